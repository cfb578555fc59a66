# SPDX-License-Identifier: MPL-2.0
"""Files that are there whole or not at all, also after a crash."""

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

# What a file system says that cannot do something, rather than one that has failed.
UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}

_log = logging.getLogger(__name__)


def remedy(error: OSError, elsewhere: str) -> str:
    """Return what to do about a disk that does not take something; ``elsewhere`` is one way."""
    if error.errno in _FULL:
        return f"free some space there, or {elsewhere}"
    return f"allow it, or {elsewhere}" if error.errno in _FORBIDDEN else elsewhere


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write ``content`` beside ``path``, have it on the disk, and rename it to ``path``.

    Raises
    ------
    InputError
        If the disk does not take it. What was at ``path`` is still there then, unless all but the
        last step succeeded: then the content is there, but a loss of power may take it back.
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
            f"{path}: expected a disk that takes {len(content):,} bytes, found "
            f"{error.strerror or error}: {remedy(error, 'choose another place')}"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # what is left of it does no harm
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to ``path`` as `write_atomically` does."""
    write_atomically(path, text.encode())


def sync_file(file: IO[bytes]) -> None:
    """Have the disk take what was written to a file, which may not be open for reading alone.

    Raises
    ------
    OSError
        If it does not. That of a file system that cannot tell is not raised.
    """
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def sync_directory(directory: Path) -> None:
    """Have a new name in ``directory`` survive a loss of power, where that is possible.

    The file is there, whatever becomes of this: a refusal is no error.
    """
    try:
        handle = os.open(directory, os.O_RDONLY)
    except OSError:  # Windows opens no folders, and some may be written, but not read
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
        "%s: a new name in it may not survive a loss of power (%s)", printable(directory), reason
    )


def sync_tree(folder: Path) -> None:
    """Have the disk take all files in a folder and its subfolders.

    One call for the whole file system where there is such a call: for 105,829 recordings it takes
    a second, and one for each of them a minute.

    Raises
    ------
    OSError
        If the disk does not take one.
    """
    if _sync_file_system(folder):
        return
    for place, _, names in os.walk(folder):
        for name in names:
            with (Path(place) / name).open("rb+") as file:  # Windows asks for a file to be written
                sync_file(file)
        sync_directory(Path(place))


def _sync_file_system(folder: Path) -> bool:
    """Have the disk take all that was written to the file system of a folder; False: it cannot."""
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
