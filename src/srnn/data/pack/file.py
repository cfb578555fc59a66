# SPDX-License-Identifier: MPL-2.0
"""The file of a pack: its layout, and how it is mapped into memory.

Little-endian: a header (`_HEADER`), the samples, the index (JSON: a `Recording` for each that is
readable; name and reason of each that is not). Header and index are checked when a pack is opened.
The samples are not: that would read gigabytes before every run, and a pack gets its name only when
all of it is on the disk. Their checksums tell whether two data sets hold the same samples.
"""

import hashlib
import json
import logging
import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srnn.data.dataset import DataSet, File
from srnn.errors import InputError, printable
from srnn.files import sync_file

SAMPLE = np.dtype("<i2")

_VERSION = 4  # of the layout and of what `audio.decode` makes of a file
_MAGIC = b"srnnpack"
_HEADER = struct.Struct("<8s32sQQI4x")  # magic, key, samples, bytes of the index, their CRC-32

_log = logging.getLogger(__name__)


def key_of(files: Sequence[File]) -> bytes:
    """Return the digest of a list of files: a data set with other or changed ones has another."""
    return hashlib.sha256(json.dumps([_VERSION, files]).encode()).digest()


def place_of(offset: int) -> int:
    """Return the position of a sample in a pack (bytes)."""
    return _HEADER.size + offset * SAMPLE.itemsize


class Recording(NamedTuple):
    """A recording in a pack."""

    name: str  # of its `srnn.data.dataset.File`
    offset: int  # its first sample
    frames: int  # its samples
    sample_rate: int  # of the file, and of the samples (Hz)
    checksum: int  # CRC-32 of the samples
    problem: str = ""  # with the samples, see `audio.decode`; empty: none


class Decoded(NamedTuple):
    """The recordings of some files, and why others are unreadable; of all files, a pack's index."""

    recordings: list[Recording]
    unreadable: dict[str, str]


@dataclass(frozen=True, eq=False)
class Pack:
    """The recordings of a data set as one array.

    Attributes
    ----------
    place : Path
        The folder of words or the manifest, for messages.
    folder : Path
        The folder that the names of recordings are relative to.
    path : Path
        The file.
    samples : array, int16
        All samples, memory-mapped: the system loads them from disk on access and may evict them.
    recordings : dict
        By name, in the order of the data set.
    unreadable : dict
        What was found in place of a recording, by name.
    """

    place: Path
    folder: Path
    path: Path
    samples: NDArray[np.int16]
    recordings: dict[str, Recording]
    unreadable: dict[str, str]

    def __getitem__(self, name: str) -> NDArray[np.int16]:
        """Return the samples of a recording, at its own rate; a view."""
        recording = self.recordings[name]
        return self.samples[recording.offset : recording.offset + recording.frames]


def read(path: Path, key: bytes, data_set: DataSet) -> Pack | None:
    """Map a pack into memory; None where there is none, or a damaged one."""
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"data.cache: {path}: {error.strerror}") from error
    try:
        with file:
            pack = _read_file(file, path, key, data_set)
    except (OSError, MemoryError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "it does not fit into memory"
        raise InputError(f"data.cache: {path}: {reason}: name another directory") from error
    if pack is None:
        _log.warning("%s is damaged or truncated: packing the recordings again", printable(path))
    return pack


def _read_file(file: BinaryIO, path: Path, key: bytes, data_set: DataSet) -> Pack | None:
    """Read header and index of a pack and map its samples; None if it is damaged."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(_HEADER.size)
    header = _HEADER.unpack(start) if len(start) == _HEADER.size else (b"", b"", 0, 0, 0)
    magic, found_key, count, length, checksum = header
    end = place_of(count)
    if (magic, found_key, end + length) != (_MAGIC, key, size):
        return None
    file.seek(end)
    index = file.read()
    if zlib.crc32(index) != checksum:
        return None
    samples: NDArray[np.int16] = np.frombuffer(_mapped(file, path), SAMPLE, count, _HEADER.size)
    rows, unreadable = json.loads(index)
    recordings = {row[0]: Recording(*row) for row in rows}
    return Pack(data_set.place, data_set.folder, path, samples, recordings, unreadable)


def _mapped(file: BinaryIO, path: Path) -> mmap.mmap | bytes:
    """Map a file into memory, or read it where the file system cannot map it."""
    try:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        _log.warning(
            "data.cache: %s cannot be mapped into memory (%s) and is loaded instead, %.1f MB; a "
            "directory on another disk may save that memory",
            printable(path),
            error.strerror,
            os.fstat(file.fileno()).st_size / 1e6,
        )
        file.seek(0)
        return file.read()


def write(file: BinaryIO, key: bytes, decoded: Decoded) -> None:
    """Complete a pack, whose samples are written, by writing index and header."""
    count = sum(recording.frames for recording in decoded.recordings)
    index = json.dumps(decoded).encode()
    file.seek(place_of(count))
    file.write(index)
    file.seek(0)
    file.write(_HEADER.pack(_MAGIC, key, count, len(index), zlib.crc32(index)))
    sync_file(file)
