# SPDX-License-Identifier: MPL-2.0
"""List the recordings of a folder of words, `WORD/FILE` or `WORD/SPEAKER/FILE`."""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from srnn.data.dataset import File
from srnn.data.names import OTHER_SUFFIXES, is_recording, suffix_of
from srnn.data.sources.folder.layout import NOT_WORDS, expect_words_on_top
from srnn.errors import InputError, printable

_log = logging.getLogger(__name__)


def scan(folder: Path) -> list[File]:
    """List the recordings of all words and of the background, sorted by word, then by file.

    A warning, on one line, counts the audio files that are not used.

    Raises
    ------
    InputError
        If a folder cannot be read, or holds partitions in place of words.
    """
    found: list[File] = []
    unused: Counter[str] = Counter()
    speakers: dict[str, list[str]] = {}
    try:
        with os.scandir(folder) as entries:
            top = [entry for entry in entries if entry.name[0] != "."]
        words = sorted(entry.name for entry in top if _is_folder(entry))
        stray = sum(is_recording(entry.name) and not _is_folder(entry) for entry in top)
        for word in words:
            if word not in NOT_WORDS:
                inner: list[str] = []
                some = sorted(_recordings(folder / word, word, unused, inner))
                speakers |= {word: inner} if some else {}
                found += some
    except OSError as error:
        raise InputError(f"data.dataroot: {error.filename}: {error.strerror}") from error
    expect_words_on_top(folder, speakers)
    if stray or unused:
        others = [
            f"{n:,} .{suffix} that soundfile does not read" for suffix, n in sorted(unused.items())
        ]
        outside = [f"{stray:,} outside the folders of words"] if stray else []
        total = f"{stray + unused.total():,}"
        what = ", ".join([*others, *outside])
        _log.warning("%s: %s files of sound are not used: %s", printable(folder), total, what)
    return found


def _recordings(
    folder: Path,
    name: str,
    unused: Counter[str],
    inner: list[str],
    within: tuple[str, ...] = (),
) -> Iterator[File]:
    """Yield the recordings in a folder and in the folders in it.

    Parameters
    ----------
    folder : Path
    name : str
        Its path in the data set.
    unused : Counter
        Counts, by suffix, the files of sound that cannot be read.
    inner : list of str
        Receives the names of the folders in it that hold recordings.
    within : tuple of str
        The folders around it, as they are named.
    """
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            file = entry.name
            # Nearly all of a hundred thousand files, hence first.
            if (file.endswith(".wav") and file[0] != ".") or is_recording(file):
                yield File(f"{name}/{file}", *state(entry))
            elif file[0] == ".":
                continue
            elif _is_folder(entry):
                folders.append(entry)
            elif (suffix := suffix_of(file)) in OTHER_SUFFIXES:
                unused[suffix] += 1
    within += (os.fspath(folder),)
    for entry in folders:
        # A link may lead back to where it lies, round and round.
        if entry.is_symlink() and os.path.realpath(entry.path) in map(os.path.realpath, within):
            continue
        found = _recordings(Path(entry.path), f"{name}/{entry.name}", unused, [], within)
        for number, recording in enumerate(found):
            if not number:
                inner.append(entry.name)
            yield recording


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere
        return False


def state(entry: os.DirEntry[str] | Path) -> tuple[int, int, int]:
    """Return size, time of change and permissions: of a recording that is still the same, equal."""
    try:
        status = entry.stat()
    except OSError:  # a link to nothing; decoding names the reason
        return -1, -1, -1
    return status.st_size, status.st_mtime_ns, status.st_mode
