# SPDX-License-Identifier: MPL-2.0
"""The layout of a folder of words: `WORD/FILE` or `WORD/SPEAKER/FILE`.

Another layout would make words of partitions or of other data sets; where it can be recognised, it
is refused with the layout that is expected.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from srnn.data.fetch.dataroot import CORPORA, SYNTHETIC_WORDS
from srnn.data.names import OTHER_SUFFIXES, is_recording, suffix_of
from srnn.data.partitions import SPLITS
from srnn.errors import InputError

NOT_WORDS = frozenset([CORPORA, SYNTHETIC_WORDS])
"""Folders of a data root that hold data sets."""


def folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted, without hidden ones, leftovers of an unpacking."""
    if not folder.is_dir():
        return []
    return sorted(
        place for place in folder.iterdir() if place.is_dir() and not place.name.startswith(".")
    )


def words_in(folder: Path) -> list[Path]:
    """Return the folders that may be words: not `_silence_` and other names with an underscore."""
    return [
        place
        for place in folders(folder)
        if not place.name.startswith("_") and place.name not in NOT_WORDS
    ]


def holds_words(folder: Path) -> bool:
    """Whether a folder holds `WORD/FILE`."""
    return any(_holds_recordings(place) for place in words_in(folder))


def holds_speakers(folder: Path) -> bool:
    """Whether a folder holds `WORD/SPEAKER/FILE`, of two words at least.

    With one it is rather a folder around a data set.
    """
    return sum(map(_holds_folders_of_recordings, words_in(folder))) > 1


def is_data_set(folder: Path) -> bool:
    """Whether a folder holds folders of words with recordings, there or in folders of speakers."""
    return holds_words(folder) or holds_speakers(folder)


def are_partitions(places: Iterable[Path]) -> bool:
    """Whether two or more folders have names of partitions."""
    return sum(place.name.lower() in SPLITS for place in places) > 1


def expect_words_on_top(folder: Path, inner: Mapping[str, Sequence[str]]) -> None:
    """Check that the folders of a data set are no partitions.

    Parameters
    ----------
    folder : Path
        The data set.
    inner : mapping
        Each of its folders -> the folders in it that hold recordings, if any.

    Raises
    ------
    InputError
        They are, or the folders in those of the words are.
    """
    words = {word: subs for word, subs in inner.items() if not word.startswith("_")}
    nested = {word: subs for word, subs in words.items() if subs}
    splits = [word for word in nested if word.lower() in SPLITS]
    if len(splits) < 2 and splits != list(words):
        every = {sub.lower() for subs in nested.values() for sub in subs}
        splits = list(nested) if every <= SPLITS.keys() else []
    if splits:
        found = ", ".join(f"{word}/{min(nested[word])}" for word in splits[:3])
        raise InputError(
            f"{folder}: expected a folder for each word, WORD/FILE or WORD/SPEAKER/FILE, and "
            "partitions in validation_list.txt and testing_list.txt, found folders of partitions, "
            f"{found}"
        )


def why_no_data_set(folder: Path) -> str:
    """Return, on one line, why a folder with recordings is no data set; empty: it has none."""
    if inner := _data_set_in(folder, depth=2):
        return f"{inner} holds folders of recordings: set data.dataroot to it"
    if folder.is_dir() and _holds_recordings(folder):
        return f"{folder} holds recordings, expected a folder of them for each word"
    suffixes = {suffix_of(name) for place in _words_quietly(folder) for name in _files(place)}
    if others := sorted(suffixes & OTHER_SUFFIXES):
        listed = ", ".join(f".{suffix}" for suffix in others)
        return f"{folder} holds {listed} files, which soundfile does not read: convert them"
    return ""


def _data_set_in(folder: Path, depth: int) -> Path | None:
    """Return the first data set in the folders of a folder, or in those in them."""
    places = _words_quietly(folder)
    for place in places:
        if _words_quietly(place) and is_data_set(place):
            return place
    inner = (_data_set_in(place, depth - 1) for place in places if depth > 1)
    return next(filter(None, inner), None)


def _words_quietly(folder: Path) -> list[Path]:
    try:
        return words_in(folder)
    except PermissionError:  # someone else's folder, such as lost+found
        return []


def _holds_recordings(folder: Path) -> bool:
    return any(map(is_recording, _files(folder)))


def _holds_folders_of_recordings(folder: Path) -> bool:
    return any(map(_holds_recordings, _words_quietly(folder)))


def _files(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries)
    except PermissionError:  # as above
        return
