# SPDX-License-Identifier: MPL-2.0
"""Unpack a tar archive that somebody else made: whole, and inside one folder, or not at all."""

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from tqdm import tqdm

from srnn.errors import InputError

_CHUNK = 1 << 20  # bytes read at once


def extract(archive: Path, folder: Path) -> int:
    """Extract every member of a tar archive, gzipped or not.

    Parameters
    ----------
    archive : Path
    folder : Path
        Where to, an empty folder. What was extracted before an error stays there.

    Returns
    -------
    int
        The number of files.

    Raises
    ------
    InputError
        If a member would land outside the folder or is a link out of it or a device, or if the
        archive is truncated or damaged.
    """
    files = 0
    try:
        with (
            archive.open("rb") as raw,
            _decompressed(raw) as stream,
            tarfile.open(fileobj=stream, mode="r:") as tar,
            tqdm(
                desc=f"unpacking {archive.name}",
                total=archive.stat().st_size,
                unit="B",
                unit_scale=True,
                leave=False,
                disable=None,
            ) as bar,
        ):
            for member in tar:
                tar.extract(member, folder, filter="data")
                files += member.isfile()
                bar.update(raw.tell() - bar.n)
            _expect_end(stream)
    except tarfile.FilterError as error:
        raise InputError(
            f"{archive}: expected files inside one folder, found {error.tarinfo.name!r}: {error}"
        ) from error
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{archive}: expected a whole tar archive, found a truncated or damaged one ({error}): "
            "delete or replace it and run again"
        ) from error
    return files


def _decompressed(raw: BinaryIO) -> BinaryIO:
    magic = raw.read(2)
    raw.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if magic == b"\x1f\x8b" else raw


def _expect_end(stream: BinaryIO) -> None:
    """Raise ReadError unless zeros follow the last block read.

    tarfile takes any block that is no header for the end of the archive. The end is two blocks of
    zeros, of which it has read one. Reading all also lets gzip compare its checksum.
    """
    length = 0
    while chunk := stream.read(_CHUNK):
        length += len(chunk)
        if any(chunk):
            raise tarfile.ReadError("no member where one is expected")
    if length < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("no end-of-archive marker")
