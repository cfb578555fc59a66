# SPDX-License-Identifier: MPL-2.0
"""Where a study is kept, and the locks by which workers share it: a file, or PostgreSQL.

A worker holds the lock of its trial from the beginning to the end. The system that gave the lock
takes it back when the worker dies, whatever it died of: a trial that is neither finished nor locked
waits for a worker to go on with it. Neither clocks nor a time of grace are needed for that. (The
heartbeats of Optuna work only within ``Study.optimize``, which begins a lost trial anew under
another number, and the storage in a file has none.)
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from filelock import Timeout
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from srnn.data.fetch.locks import locked
from srnn.errors import InputError
from srnn.packages import expect_packages
from srnn.sweeps.keys import POSTGRESQL
from srnn.sweeps.reading import Sweep

# The server asks whether a silent worker is still there: after so many seconds, so often.
_IDLE, _INTERVAL, _PROBES = 30, 10, 3

JOURNAL = "study.journal"


def trial_directory(sweep: Sweep, number: int) -> Path:
    """Return the directory of a trial; its runs lie below it."""
    return sweep.directory / f"trial-{number:04d}"


def run_directory(trial: Path, seed: int) -> Path:
    """Return the directory of a run in the directory of its trial."""
    return trial / f"seed-{seed}"


class Locks(Protocol):
    """Locks of one worker; they end with its process."""

    def study(self) -> AbstractContextManager[object]:
        """Wait for the lock under which trials are handed out, and hold it within the context."""

    def trial(self, number: int) -> AbstractContextManager[object] | None:
        """Take the lock of a trial until the end of a context, or return None: another has it."""

    def still_held(self, number: int) -> bool:
        """Whether the lock of a trial, which was taken, was held without a break."""

    def close(self) -> None:
        """Close all connections, also those of the storage."""


def open_storage(sweep: Sweep) -> tuple[BaseStorage, Locks]:
    """Return the storage of a sweep, created if missing, and the locks that belong to it.

    Raises
    ------
    InputError
        If the server or the directory cannot be used, or a package is missing.
    """
    if sweep.server:
        return _open_server(sweep, sweep.server)
    try:
        sweep.directory.mkdir(parents=True, exist_ok=True)
        journal = sweep.directory / JOURNAL
        backend = JournalFileBackend(str(journal), lock_obj=_JournalLock(journal))
        return JournalStorage(backend), _FileLocks(sweep)
    except (ValueError, LookupError) as error:  # of any kind, from Optuna
        raise InputError(
            f"{journal}: expected the journal of a study, found a damaged file"
        ) from error
    except OSError as error:
        found = error.strerror or error
        raise InputError(
            f"{sweep.directory}: expected a writable directory, found {found}"
        ) from error


class _JournalLock(JournalFileOpenLock):
    """The lock of the journal while something is appended.

    Optuna's own locks outlive a process that is killed, and its journal ends for ever after a line
    of which a part is missing.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._held = ExitStack()

    def acquire(self) -> bool:
        self._held.enter_context(locked(self._journal.with_suffix(".lock"), waiting=""))
        with self._journal.open("rb+") as file:
            if end := file.seek(0, os.SEEK_END):
                start = max(0, end - 2**20)
                file.seek(start)
                whole = file.read().rfind(b"\n") + 1
                file.truncate(start + whole)
        return True

    def release(self) -> None:
        self._held.close()


class _FileLocks:
    """Locks of files in the directory of the sweep."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep

    def study(self) -> AbstractContextManager[object]:
        return locked(self._sweep.directory / ".lock", waiting="")

    def trial(self, number: int) -> AbstractContextManager[object] | None:
        path = trial_directory(self._sweep, number)
        path.mkdir(exist_ok=True)
        try:
            return locked(path / ".lock", waiting=None)
        except Timeout:
            return None

    def still_held(self, number: int) -> bool:
        return True  # as long as the process lives

    def close(self) -> None:
        pass  # there are none


def _open_server(sweep: Sweep, address: str) -> tuple[BaseStorage, Locks]:
    expect_packages("srnn sweep", "sweep")
    import psycopg
    from sqlalchemy.exc import SQLAlchemyError

    url = f"postgresql+psycopg://{address.removeprefix(POSTGRESQL)}"
    try:
        # First the locks: two workers that create the tables at once get in each other's way.
        locks = _ServerLocks(address, sweep.name)
        with locks.study():
            storage = RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
    except (psycopg.Error, SQLAlchemyError) as error:
        reason = " ".join(str(getattr(error, "orig", error)).split())
        raise InputError(
            f"{sweep.file}: sweep.storage: expected a PostgreSQL server that lets this user in, "
            f"found: {reason}"
        ) from error
    locks.closing.callback(storage.engine.dispose)
    return storage, locks


class _ServerLocks:
    """Advisory locks of PostgreSQL, which end with the connection that took them.

    https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
    """

    def __init__(self, address: str, study: str) -> None:
        self._address = address
        self._name = study
        self.closing = ExitStack()
        self._connection = self._connect()

    def close(self) -> None:
        self._connection.close()
        self.closing.close()

    def _connect(self) -> Any:
        import psycopg

        connection = psycopg.connect(self._address, autocommit=True, connect_timeout=30)
        # Of a machine that vanished the server learns by asking; by default after two hours. It
        # ignores this on a local socket, whose other end cannot vanish unseen.
        for name, value in (("idle", _IDLE), ("interval", _INTERVAL), ("count", _PROBES)):
            connection.execute(f"SET tcp_keepalives_{name} = {value}")
        return connection

    @contextmanager
    def study(self) -> Iterator[None]:
        key = self._key("study")
        self._renewed()
        self._connection.execute("SELECT pg_advisory_lock(%s)", [key])
        try:
            yield
        finally:
            self._connection.execute("SELECT pg_advisory_unlock(%s)", [key])

    def trial(self, number: int) -> AbstractContextManager[object] | None:
        cursor = self._connection.execute(
            "SELECT pg_try_advisory_lock(%s)", [self._key(f"trial {number}")]
        )
        if not cursor.fetchone()[0]:
            return None
        held = ExitStack()
        held.callback(self._release, number)
        return held

    def _release(self, number: int) -> None:
        import psycopg

        try:
            self._connection.execute(
                "SELECT pg_advisory_unlock(%s)", [self._key(f"trial {number}")]
            )
        except psycopg.OperationalError:  # without a connection there is no lock to release
            self._connection.close()

    def still_held(self, number: int) -> bool:
        return not self._renewed()

    def _renewed(self) -> bool:
        """Connect again if the connection is lost, and with it all locks; return whether it was."""
        import psycopg

        try:
            self._connection.execute("SELECT 1")
        except psycopg.OperationalError:
            self._connection.close()
            self._connection = self._connect()
            return True
        return False

    def _key(self, what: str) -> int:
        """Return the number by which the server knows a lock (64 bits, signed)."""
        digest = hashlib.sha256(f"srnn sweep {self._name}: {what}".encode()).digest()
        return int.from_bytes(digest[:8], signed=True)
