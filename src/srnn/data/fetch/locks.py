# SPDX-License-Identifier: MPL-2.0
"""Locks between processes."""

import contextlib
import errno
import logging
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from filelock import FileLock, Timeout

from srnn.errors import printable
from srnn.files import UNSUPPORTED

# Errors where there are no locks: of NFS without its daemon, of Lustre mounted without them.
_NO_LOCKS = UNSUPPORTED | {errno.ENOLCK}

_log = logging.getLogger(__name__)


def locked(path: Path, waiting: str | None) -> AbstractContextManager[object]:
    """Take a lock that only one process or thread holds at a time.

    Where the file system has no locks, a warning is logged and none is taken. That a file exists
    is no lock: its maker may have died.

    Parameters
    ----------
    path : Path
        The file of the lock. It is created where missing and stays there, empty: another process
        may be waiting for it. A process that dies leaves it unlocked.
    waiting : str or None
        Message to log while another process holds it. None: do not wait.

    Returns
    -------
    context manager
        The lock is held already; the end of the context releases it.

    Raises
    ------
    filelock.Timeout
        If another process holds it and ``waiting`` is None.
    OSError
        If the file cannot be created.
    """
    lock = FileLock(path, fallback_to_soft=False)
    try:
        _acquire(lock, path, waiting)
    except Timeout:
        raise
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _log.warning(
            "%s: this file system has no locks (%s): see to it that no other process works in %s",
            printable(path),
            error.strerror,
            printable(path.parent),
        )
        return contextlib.nullcontext()
    held = ExitStack()
    held.callback(_release, lock)
    return held


def _acquire(lock: FileLock, path: Path, waiting: str | None) -> None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if waiting is None:
            raise
        _log.info("%s", waiting)
        _log.info("it holds the lock %s", printable(path))
        lock.acquire()


def _release(lock: FileLock) -> None:
    # What was done under the lock is done. At the latest, it ends with this process.
    with contextlib.suppress(OSError):
        lock.release()
