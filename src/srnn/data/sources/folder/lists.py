# SPDX-License-Identifier: MPL-2.0
"""The files that name the clips of two partitions, `validation_list.txt` and `testing_list.txt`.

A line names a recording as `word/file.wav`. It may also have backslashes, a leading `./` or the
path of another folder, another suffix, or another Unicode form. A line that names no recording is
reported, because the recording that it means may be trained on.
"""

import logging
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from srnn.data.names import SUFFIXES, composed, suffix_of
from srnn.data.sources.text import read_text
from srnn.errors import InputError, printable

LISTS = {"validation": "validation_list.txt", "testing": "testing_list.txt"}

_OTHER_LIST = re.compile(
    r"(train|val|dev|test|eval)\w*[ _.-]?(list|split|files)?\.\w+", re.IGNORECASE
)

_log = logging.getLogger(__name__)


def read_lists(folder: Path, names: Iterable[str]) -> dict[str, frozenset[str]]:
    """Read the lists that are there.

    A line also names recordings with another suffix: the same sound in another format.

    Parameters
    ----------
    folder : Path
        The data set.
    names : iterable of str
        Its recordings, readable or not, as `word/file.wav` or `word/speaker/file.wav`.

    Returns
    -------
    dict
        Partition -> those of ``names`` that its list names.

    Raises
    ------
    InputError
        A list cannot be read, or none of its lines names a recording.
    """
    there = {
        partition: folder / name
        for partition, name in LISTS.items()
        if os.path.lexists(folder / name)
    }
    recordings = _by_stem(names) if there else {}
    lists = {partition: _read(path, recordings) for partition, path in there.items()}
    if len(lists) < len(LISTS):
        _warn_of_other_lists(folder)
    elif both := sorted(lists["validation"] & lists["testing"]):
        _log.warning(
            "%s: %s recordings are in %s, too, such as %s: they are not tested on",
            *(printable(there["testing"]), f"{len(both):,}", LISTS["validation"]),
            printable(both[0]),
        )
    return lists


def _by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names by their stem, in one Unicode form."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_stem(name), []).append(name)
    return found


def _stem(name: str) -> str:
    return composed(name.rpartition(".")[0] if suffix_of(name) in SUFFIXES else name)


def _read(path: Path, recordings: Mapping[str, list[str]]) -> frozenset[str]:
    """Return the recordings that a list names; see `read_lists`."""
    lines = [
        line for line in map(str.strip, read_text(path, "a list of recordings").split("\n")) if line
    ]
    if not lines:
        _log.warning("%s is empty: no recording is in its partition", printable(path))
    named: set[str] = set()
    lost = []
    for line in lines:
        found = _named(line, recordings)
        named.update(found)
        if not found:
            lost.append(line)
    if lost and not named:
        raise InputError(
            f"{path}: expected lines that name recordings of the data set as word/file.wav, found "
            f"{len(lost):,} lines of which none does, such as {lost[0]!r}: correct or delete it"
        )
    if lost:
        # The official lists lie beside many a part of the official recordings.
        official = all("_nohash_" in line for line in lost)
        _log.log(
            logging.INFO if official else logging.WARNING,
            "%s: %s of %s lines name no recording, such as %s",
            *(printable(path), f"{len(lost):,}", f"{len(lines):,}", printable(lost[0])),
        )
    return frozenset(named)


def _named(line: str, recordings: Mapping[str, list[str]]) -> list[str]:
    """Return the recordings that a line names: by all of its path, or by the end of it."""
    if found := recordings.get(_stem(line)):
        return found
    parts = [part for part in line.replace("\\", "/").split("/") if part not in ("", ".")]
    for first in range(len(parts) - 1):
        if found := recordings.get(_stem("/".join(parts[first:]))):
            return found
    return []


def _warn_of_other_lists(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()} - set(LISTS.values())
    if others := sorted(filter(_OTHER_LIST.fullmatch, names)):
        _log.warning(
            "%s: partitions are read from %s alone, not from %s",
            printable(folder),
            " and ".join(LISTS.values()),
            printable(", ".join(others)),
        )
