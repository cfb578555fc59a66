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

# Errors of file systems without locks, such as NFS without its daemon, or some Lustre mounts.
_NO_LOCKS = UNSUPPORTED | {errno.ENOLCK}

_log = logging.getLogger(__name__)


def locked(path: Path, waiting: str | None) -> AbstractContextManager[object]:
    """Take an exclusive lock between processes and threads.

    Where the file system has no locks, a warning is logged and no lock is taken. The existence of
    the file is not the lock: a process that dies leaves the file behind, unlocked.

    Parameters
    ----------
    path : Path
        The file of the lock, created if missing. It is not deleted: others may wait for it.
    waiting : str or None
        Message to log while another process holds it; if empty, none. None: do not wait.

    Returns
    -------
    context manager
        The lock is already held and is released at the end of the context.

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
            "%s: this file system has no locks (%s): do not run another srnn process in %s",
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
        if waiting:
            _log.info("%s", waiting)
            _log.info("the other process holds the lock %s", printable(path))
        lock.acquire()


def _release(lock: FileLock) -> None:
    # The work under the lock is complete. The system releases it at the end of the process.
    with contextlib.suppress(OSError):
        lock.release()
