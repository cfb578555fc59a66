# SPDX-License-Identifier: MPL-2.0
"""Unpack an untrusted tar archive completely and within one folder, or raise an error."""

import errno
import gzip
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from srnn.bars import progress_bar
from srnn.errors import InputError

_CHUNK = 1 << 20  # bytes read at once

_LONGEST = 200  # characters of a name in a message

# Exceptions of the standard library for a damaged archive.
_DAMAGES = (
    *(tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile),
    *(ValueError, OverflowError, RecursionError, MemoryError),  # damaged numbers and headers
)

# Errors for a member that no file system can hold.
_IMPOSSIBLE = {
    *(errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ELOOP),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY),  # both a file and a folder
    errno.ENOENT,  # both a file and a link to nothing
}


def extract(archive: Path, folder: Path) -> int:
    """Extract every member of a tar archive, gzipped or not.

    Parameters
    ----------
    archive : Path
    folder : Path
        An empty folder. Files that were extracted before an error stay there.

    Returns
    -------
    int
        The number of files.

    Raises
    ------
    InputError
        If a member has an absolute name or one with ``..``, is a link to such a name, a sparse
        file or a device, or cannot be stored; if the archive is truncated or damaged.
    OSError
        If the disk is full or cannot be written.
    """
    files = 0
    try:
        with (
            archive.open("rb") as raw,
            _decompressed(raw) as stream,
            tarfile.open(fileobj=stream, mode="r:") as tar,
            progress_bar(
                desc=f"unpacking {archive.name}",
                total=archive.stat().st_size,
                unit="B",
                unit_scale=True,
            ) as bar,
        ):
            for member in tar:
                if member.size < 0:  # tarfile would seek backwards in an endless loop
                    raise tarfile.ReadError("a member of negative size")
                _expect_inside(archive, member)
                _extract(archive, tar, member, folder)
                files += member.isfile()
                bar.update(raw.tell() - bar.n)
            _expect_end(stream)
    except _DAMAGES as error:
        raise InputError(
            f"{archive}: expected a whole tar archive, found a truncated or damaged one "
            f"({str(error) or type(error).__name__}): delete or replace it and run again"
        ) from error
    return files


def _expect_inside(archive: Path, member: tarfile.TarInfo) -> None:
    """Refuse members that are no file, folder or link, and names that lead out of the folder.

    A link without ``..`` leads to its own folder or below it, also through other such links.
    """
    link = member.issym() or member.islnk()
    if not (link or member.isfile() or member.isdir()):
        reason = "it is neither file, folder nor link"
    elif member.issparse():  # a few bytes could expand to terabytes
        reason = "it is a sparse file"
    elif _leads_out(member.name):
        reason = "its path leaves the folder"
    elif link and _leads_out(member.linkname):
        reason = f"it is a link to {_short(member.linkname)}"
    else:
        return
    raise _unfit(archive, member, reason)


def _leads_out(name: str) -> bool:
    return name.startswith("/") or ".." in name.split("/")


def _extract(archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Extract a member with tarfile's filter "data": no owners, no special permissions."""
    try:
        tar.extract(member, folder, filter="data")
    except KeyError as error:
        reason = f"it is a link to {_short(member.linkname)}, which the archive does not hold"
        raise _unfit(archive, member, reason) from error
    except (ValueError, OverflowError) as error:  # a name with NUL, a date out of range
        raise _unfit(archive, member, str(error)) from error
    except OSError as error:
        if error.errno in _IMPOSSIBLE:
            raise _unfit(archive, member, str(error.strerror)) from error
        raise


def _unfit(archive: Path, member: tarfile.TarInfo, reason: str) -> InputError:
    return InputError(
        f"{archive}: expected files inside one folder, found {_short(member.name)}: {reason}: "
        "delete or replace the archive and run again"
    )


def _short(name: str) -> str:
    return repr(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}...")


def _decompressed(raw: BinaryIO) -> BinaryIO:
    magic = raw.read(2)
    raw.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if magic == b"\x1f\x8b" else raw


def _expect_end(stream: BinaryIO) -> None:
    """Raise ReadError unless zeros follow the last block read.

    tarfile treats any block that is no header as the end of the archive. A valid end is two blocks
    of zeros; tarfile has read one. Reading the rest also verifies the checksum of gzip.
    """
    length = 0
    while chunk := stream.read(_CHUNK):
        length += len(chunk)
        if any(chunk):
            raise tarfile.ReadError("a damaged header of a member")
    if length < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("no end-of-archive marker")
