# SPDX-License-Identifier: MPL-2.0
"""One process at a time: the others say that they wait, and wait."""

import logging
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock, Timeout

_log = logging.getLogger(__name__)


def locked(path: Path, waiting: str) -> AbstractContextManager[object]:
    """Take a lock that only one process or thread holds at a time.

    Parameters
    ----------
    path : Path
        Of the lock, a file. It is created as needed and stays there, empty: a lock that is deleted
        may be one that somebody waits for. A process that dies leaves it unlocked.
    waiting : str
        What is logged where another process holds it.

    Returns
    -------
    context manager
        The lock is held already; leaving the context releases it.

    Raises
    ------
    OSError
        If the file cannot be created.
    """
    lock = FileLock(path)
    try:
        return lock.acquire(blocking=False)
    except Timeout:
        _log.info("%s", waiting)
        return lock.acquire()
