# SPDX-License-Identifier: MPL-2.0
"""Files that are there whole or not at all, also after a crash."""

import contextlib
import errno
import os
from pathlib import Path

from srnn.errors import InputError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


def cache_directory() -> Path:
    """Return the user's directory for what can be made again; it need not exist.

    ``$XDG_CACHE_HOME/srnn``, or ``~/.cache/srnn`` without such a variable.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "srnn"


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
            file.flush()
            os.fsync(file.fileno())
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


def sync_directory(directory: Path) -> None:
    """Have a new name in ``directory`` survive a loss of power."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:  # not every file system can
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(handle)
