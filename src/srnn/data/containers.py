# SPDX-License-Identifier: MPL-2.0
"""Compare the length that the header of a recording states with the length of the file.

libsndfile trusts the header. It reads a truncated file without an error, and no samples of a file
whose writer was killed before it wrote the length.
"""

import os
from io import FileIO
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_STREAMED = 0x7FFF0000  # 32-bit lengths from here on mark an unknown length
_MAX_CHUNKS = 1_000  # searched for samples; a file of zeros holds millions of empty chunks
_MAX_TRAILING = 0.1  # fraction of the stated length: fewer bytes after the samples are ignored


class Stated(NamedTuple):
    """Differences between the length that a header states and the file.

    Attributes
    ----------
    missing : int
        Bytes of samples by which the file is shorter than it states.
    correction : tuple of int and bytes, or None
        Where the writer left the length open: place and content of a length field that makes
        libsndfile read to the end of the file.
    trailing : int
        Bytes after the samples that are neither samples nor chunks; 0 if they are few.
    """

    missing: int = 0
    correction: tuple[int, bytes] | None = None
    trailing: int = 0


_WHOLE = Stated()


class _Length(NamedTuple):
    """A field of a header that states the length of the samples."""

    place: int  # of the field in the file
    width: int  # bytes
    order: Literal["little", "big"]
    value: int  # bytes of samples
    start: int  # of the samples in the file
    in_chunks: bool = False  # whether chunks of 32-bit lengths surround it


def stated(file: FileIO) -> Stated:
    """Compare the length that a header states with the length of the file.

    Parameters
    ----------
    file : FileIO
        Positioned at its start; the position changes.

    Returns
    -------
    Stated
        No differences for a format that states no length.
    """
    start = file.read(12)
    if start[:4] == b"OggS":
        return Stated(missing=_missing_of_ogg(file))
    length = _length(file, start)
    if length is None:
        return _WHOLE
    there = os.fstat(file.fileno()).st_size - length.start
    if there == length.value and there:
        return _WHOLE
    streamed = length.value >= (_STREAMED if length.width == 4 else 2**63 - 1)
    if streamed and length.width == 4:  # libsndfile reads to the end of the file
        return _WHOLE
    after = length.start + length.value + length.value % 2
    if there > 0 and (
        streamed or (not length.value and not _chunks_follow(file, length, length.start))
    ):
        content = 2**32 - 1 if length.width == 4 else there
        return Stated(correction=(length.place, content.to_bytes(length.width, length.order)))
    trailing = there - length.value
    many = length.in_chunks and trailing > _MAX_TRAILING * length.value
    if not many or _chunks_follow(file, length, after):
        trailing = 0
    return Stated(missing=max(0, length.value - there), trailing=trailing)


def _length(file: FileIO, start: bytes) -> _Length | None:
    """Return the field that states the length of the samples; None where there is none."""
    if start[:4] == b"RIFF":  # the most frequent format
        return _of_chunks(file, "little")
    match start[:4]:
        case b"RIFX" | b"FORM":
            return _of_chunks(file, "big")
        case b"RF64":
            return _of_rf64(file)
        case b"riff":
            return _of_wave64(file)
        case b".snd" | b"dns.":
            order: Literal["little", "big"] = "big" if start[:4] == b".snd" else "little"
            place = int.from_bytes(start[4:8], order)
            return _Length(8, 4, order, int.from_bytes(start[8:], order), place)
        case b"caff":
            return _of_core_audio(file)
    return None


def _of_rf64(file: FileIO) -> _Length | None:
    sizes = file.read(28)  # the first chunk: lengths of more than 32 bits
    file.seek(12)
    found = _of_chunks(file, "little")
    if found is None or found.value < 2**32 - 1 or sizes[:4] != b"ds64":
        return found
    return _Length(28, 8, "little", int.from_bytes(sizes[16:24], "little"), found.start)


def _of_chunks(file: FileIO, order: Literal["little", "big"]) -> _Length | None:
    for _ in range(_MAX_CHUNKS):
        header = file.read(8)
        length = int.from_bytes(header[4:], order)
        if header[:4] in (b"data", b"SSND", b"BODY"):
            # libsndfile reads an AIFF file of unknown length to its end.
            known = header[:4] == b"data" or length
            place = file.tell()
            return _Length(place - 4, 4, order, length, place, True) if known else None
        file.seek(length + length % 2, os.SEEK_CUR)
    return None


def _of_wave64(file: FileIO) -> _Length | None:
    file.seek(40)
    for _ in range(_MAX_CHUNKS):
        header = file.read(24)
        length = int.from_bytes(header[16:], "little") - 24  # the length includes this header
        if header[:4] == b"data":
            # libsndfile reads a file of unknown length to its end.
            known = 0 < length < 2**63 - 25
            return _Length(file.tell() - 8, 8, "little", length, file.tell()) if known else None
        if length < 0:
            return None
        file.seek(length + -length % 8, os.SEEK_CUR)
    return None


def _of_core_audio(file: FileIO) -> _Length | None:
    file.seek(8)
    for _ in range(_MAX_CHUNKS):
        header = file.read(12)
        length = int.from_bytes(header[4:], "big")
        if header[:4] == b"data":
            return _Length(file.tell() - 8, 8, "big", length, file.tell())
        if length >= 2**63:
            return None
        file.seek(length, os.SEEK_CUR)
    return None


def _missing_of_ogg(file: FileIO) -> int:
    """Return the number of bytes missing from the last page of an Ogg file."""
    size = os.fstat(file.fileno()).st_size
    first = max(0, size - 2**16)  # more than a page
    file.seek(first)
    end = file.read()
    page = end.rfind(b"OggS")
    segments = end[page + 27 : page + 27 + end[page + 26]] if 0 <= page < len(end) - 26 else b""
    # A page without segments or with a truncated header holds no sound.
    return max(0, page + 27 + len(segments) + sum(segments) - len(end)) if segments else 0


def _chunks_follow(file: FileIO, length: _Length, place: int) -> bool:
    """Whether only complete chunks lie between a place and the end of the file."""
    size = os.fstat(file.fileno()).st_size
    for _ in range(_MAX_CHUNKS):
        if place >= size:
            return True
        file.seek(place)
        header = file.read(8)
        if len(header) < 8 or not header[:4].isascii() or not header[:4].decode().isprintable():
            return False
        place += 8 + int.from_bytes(header[4:], length.order)
        place += place % 2
        if place > size + 1:
            return False
    return True


class Corrected(FileIO):
    """A file, some of whose bytes are replaced during reading.

    Parameters
    ----------
    path : bytes
        Name of the file.
    correction : tuple of int and bytes
        Place and content of these bytes.
    """

    def __init__(self, path: bytes, correction: tuple[int, bytes]) -> None:
        super().__init__(path)
        self._place, self._content = correction

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill a buffer with the next bytes; return their number."""
        start = self.tell()
        count = super().readinto(buffer) or 0
        view = memoryview(buffer).cast("B")
        for offset, byte in enumerate(self._content, self._place - start):
            if 0 <= offset < count:
                view[offset] = byte
        return count
