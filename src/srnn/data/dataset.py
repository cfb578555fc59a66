# SPDX-License-Identifier: MPL-2.0
"""A data set as its source lists it: files that are not opened yet, and the clips in them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple


class File(NamedTuple):
    """A file with a recording, and what changes when the file does."""

    name: str  # path in the folder of the data set
    size: int  # bytes
    changed: int  # time of change (ns)
    mode: int  # permissions: a file that may be read now may have been unreadable before


class Entry(NamedTuple):
    """A clip, or a background recording, as a source lists it."""

    name: str  # of its `File`
    word: str  # a word, `_background_noise_`, `_silence_` or `_unknown_`, composed (NFC)
    partition: str | None  # None: a background recording for all three partitions
    start: float = 0.0  # of the clip in the recording (s)
    end: float | None = None  # None: the end of the recording (s)
    origin: str = ""  # where `start` and `end` are stated, for messages
    speaker: str = ""


@dataclass(frozen=True)
class DataSet:
    """The recordings of a source, with labels and partitions.

    Attributes
    ----------
    place : Path
        What messages name: the folder of words, or the manifest.
    folder : Path
        The folder that the names of files are relative to.
    files : tuple of File
        What a pack is made of, each once.
    entries : tuple of Entry
        The clips of a word one behind the other, in the order in which training counts them.
    for_testing : bool
        Whether it is a test archive: all of it is for testing, and no silence is cut from it.
    """

    place: Path
    folder: Path
    files: tuple[File, ...]
    entries: tuple[Entry, ...]
    for_testing: bool = False

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words, and the labels that are none, sorted."""
        return tuple(sorted({entry.word for entry in self.entries}))
