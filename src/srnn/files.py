# SPDX-License-Identifier: MPL-2.0
"""Atomic and durable writing of files: after a crash a file is complete or absent."""

import contextlib
import ctypes
import errno
import logging
import os
from functools import cache
from pathlib import Path
from typing import IO

from srnn.errors import InputError, printable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}

# Errors of an operation that a file system does not support; others are failures.
UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}

_log = logging.getLogger(__name__)


def remedy(error: OSError, elsewhere: str) -> str:
    """Return the remedy for a failed write; ``elsewhere`` states another one."""
    if error.errno in _FULL:
        return f"free some space there, or {elsewhere}"
    return f"allow it, or {elsewhere}" if error.errno in _FORBIDDEN else elsewhere


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a temporary file beside ``path``, flush it to disk, and rename it to ``path``.

    Raises
    ------
    InputError
        If writing fails. The previous file is then unchanged, unless only the flush of the
        directory failed: the new file is then in place, but may be lost with the power.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            sync_file(file)
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise InputError(
            f"{path}: expected to write {len(content):,} bytes, found "
            f"{error.strerror or error}: {remedy(error, 'choose another place')}"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # a leftover file is harmless
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to ``path`` as `write_atomically` does."""
    write_atomically(path, text.encode())


def sync_file(file: IO[bytes]) -> None:
    """Flush a file, open for writing, to disk.

    Raises
    ------
    OSError
        If that fails. Errors of file systems without this operation are ignored.
    """
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def sync_directory(directory: Path) -> None:
    """Flush a directory to disk, so that a new name in it survives a loss of power.

    A failure is logged as a warning, not raised: the file itself is already on disk.
    """
    try:
        handle = os.open(directory, os.O_RDONLY)
    except OSError:  # Windows cannot open folders; some folders are writable, but not readable
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in UNSUPPORTED | _FORBIDDEN:
            _warn_once(directory, error.strerror or str(error))
    finally:
        os.close(handle)


@cache
def _warn_once(directory: Path, reason: str) -> None:
    _log.warning(
        "%s: a new file in it may be lost with the power (%s)", printable(directory), reason
    )


def sync_tree(folder: Path) -> None:
    """Flush all files in a folder and its subfolders to disk.

    Where possible, one system call flushes the whole file system: for 105,829 recordings that takes
    a second, and a call for each file takes a minute.

    Raises
    ------
    OSError
        If that fails.
    """
    if _sync_file_system(folder):
        return
    for place, _, names in os.walk(folder):
        for name in names:
            with (Path(place) / name).open("rb+") as file:  # Windows flushes only writable files
                sync_file(file)
        sync_directory(Path(place))


def _sync_file_system(folder: Path) -> bool:
    """Flush the file system of a folder to disk; return False where that is not supported."""
    call = (
        getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None) if os.name == "posix" else None
    )
    if call is None:
        return False
    handle = os.open(folder, os.O_RDONLY)
    try:
        failed, number = call(handle), ctypes.get_errno()
    finally:
        os.close(handle)
    if failed and number not in UNSUPPORTED:
        raise OSError(number, os.strerror(number), folder)
    return not failed
