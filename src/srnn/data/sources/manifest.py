# SPDX-License-Identifier: MPL-2.0
"""A manifest as a source: a file that lists recordings, or parts of them, with their labels.

``FILE.tsv`` has a header line with the names of its columns, ``FILE.jsonl`` an object a line. The
columns; others are ignored:

path
    Recording of any format that soundfile reads, relative to the folder of the manifest.
label
    A word. `_silence_` and `_unknown_` are clips of these classes; silence is cut from the
    recordings labelled `_background_noise_`.
speaker
    Optional. Its hash decides the partition of a clip without a split; where no speaker is stated
    either, that of the file's name does.
split
    Optional: training, validation or testing, or another name in `SPLITS`. Background recordings
    without one are divided among the three.
start, end
    Optional: the part of the recording that is the clip (s).
"""

import json
import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from srnn.data.corpus import listed
from srnn.data.dataset import DataSet, Entry, File
from srnn.data.labels import BACKGROUND, SILENCE, UNKNOWN
from srnn.data.names import composed, speaker_of
from srnn.data.partitions import PARTITIONS, SPLITS, partition_of_speaker
from srnn.data.sources.text import read_text
from srnn.data.task import Task
from srnn.errors import InputError, printable

_SUFFIXES = (".tsv", ".jsonl")
_SPECIAL = (BACKGROUND, SILENCE, UNKNOWN)  # labels that are no words

_log = logging.getLogger(__name__)


class _Row(NamedTuple):
    """The cells of a row, empty where nothing is stated."""

    line: int
    path: str
    label: str
    speaker: str
    split: str
    start: str
    end: str


_COLUMNS = _Row._fields[1:]


def fits(url: str) -> bool:
    """Whether ``data.gsc_url`` names a manifest: by its suffix."""
    return "://" not in url and url.lower().endswith(_SUFFIXES)


def get(task: Task) -> DataSet:
    """Return the data set that a manifest lists; see `read`."""
    return read(Path(task.keys.gsc_url), "data.gsc_url")


find = get


def missing(task: Task) -> str:
    """Return nothing: a manifest is neither fetched nor made, and `get` reports what is missing."""
    return ""


def read(path: Path, named_by: str) -> DataSet:
    """Read a manifest; its recordings are not opened.

    The clips are sorted by label, path and time: the order of the rows does not matter.

    Parameters
    ----------
    path : Path
    named_by : str
        The key or option that names it, for messages.

    Raises
    ------
    InputError
        It cannot be read or lists no clips; or, a line each and at most 20 of them, a recording is
        missing, a clip is listed twice, a split is unknown, a label is empty or no word, or start
        and end are no times in order.
    """
    if not path.is_file():
        raise InputError(
            f"{named_by}: expected a manifest (a .tsv or .jsonl file), found none at "
            f"{path.absolute()}"
        )
    entries: list[Entry] = []
    files: dict[str, File] = {}
    lines: dict[tuple[str, float, float | None], int] = {}  # of a clip
    speakers: dict[str, dict[str, int]] = {}  # speaker -> partition -> line
    unnamed: list[int] = []  # lines with neither speaker nor split
    problems: list[str] = []
    for row in _rows(path, problems):
        try:
            entry = _entry(row, f"{path}, line {row.line}")
            first = lines.setdefault((entry.name, entry.start, entry.end), row.line)
            if first != row.line:
                raise ValueError(f"path: expected each clip once, found that of line {first} again")
            if entry.name not in files:
                files[entry.name] = _file(path.parent, entry.name)
        except ValueError as error:
            problems.append(f"{path}, line {row.line}: {error}")
            continue
        entries.append(entry)
        if entry.partition and row.speaker:
            speakers.setdefault(row.speaker, {}).setdefault(entry.partition, row.line)
        elif entry.partition and not row.split:
            unnamed.append(row.line)
    if problems:
        raise InputError(*listed(problems))
    if not entries:
        raise InputError(f"{path}: expected rows that list recordings, found none")
    _warn_of_shared_speakers(path, speakers)
    if unnamed:
        _log.warning(
            "%s: %s rows state neither speaker nor split, such as line %d: the same voices may be "
            "in several partitions",
            *(printable(path), f"{len(unnamed):,}", unnamed[0]),
        )
    ordered = sorted(entries, key=_place)
    return DataSet(path, path.parent, tuple(files[name] for name in sorted(files)), tuple(ordered))


def _place(entry: Entry) -> tuple[str, str, float, float]:
    return entry.word, entry.name, entry.start, math.inf if entry.end is None else entry.end


def _rows(path: Path, problems: list[str]) -> Iterator[_Row]:
    """Yield the records of a manifest; append the errors of its lines to ``problems``."""
    text = read_text(path, "a manifest")
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    parse = _tsv if path.suffix.lower() == ".tsv" else _jsonl
    yield from parse(path, lines, problems)


def _tsv(path: Path, lines: list[tuple[int, str]], problems: list[str]) -> Iterator[_Row]:
    (number, header), *rows = lines or [(1, "")]
    columns = [cell.strip() for cell in header.split("\t")]
    if not {"path", "label"} <= set(columns):
        raise InputError(
            f"{path}, line {number}: expected a header with the columns path and label, separated "
            f"by tabs, found {', '.join(columns) or 'nothing'}"
        )
    for number, line in rows:
        cells = [cell.strip() for cell in line.rstrip("\r").split("\t")]
        if len(cells) > len(columns):
            found = f"expected {len(columns)} columns, as in the header, found {len(cells)}"
            problems.append(f"{path}, line {number}: {found}")
            continue
        stated = dict(zip(columns, cells, strict=False))
        yield _Row(number, *(stated.get(column, "") for column in _COLUMNS))


def _jsonl(path: Path, lines: list[tuple[int, str]], problems: list[str]) -> Iterator[_Row]:
    for number, line in lines:
        try:
            stated = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(f"{path}, line {number}: expected a JSON object, found {error}")
            continue
        if not isinstance(stated, dict):
            problems.append(f"{path}, line {number}: expected a JSON object, found {line[:80]}")
            continue
        cells = [stated.get(column) for column in _COLUMNS]
        yield _Row(number, *("" if cell is None else str(cell).strip() for cell in cells))


def _entry(row: _Row, origin: str) -> Entry:
    """Return the entry of a record; raise ValueError (expected, found) if it is invalid."""
    if not row.path:
        raise ValueError("path: expected a recording, found nothing")
    label = composed(row.label)
    if not label:
        raise ValueError("label: expected a word, found nothing")
    if (label.startswith(("_", ".")) and label not in _SPECIAL) or "/" in label or "\\" in label:
        raise ValueError(f"label: expected a word or {', '.join(_SPECIAL)}, found {label!r}")
    name = os.path.normpath(row.path)
    speaker = composed(row.speaker) or speaker_of(name.replace(os.sep, "/").rpartition("/")[2])
    partition: str | None
    if row.split:
        partition = SPLITS.get(row.split.lower())
        if not partition:
            expected = ", ".join(PARTITIONS)
            raise ValueError(f"split: expected {expected} or a synonym, found {row.split!r}")
    elif label == BACKGROUND:
        partition = None
    else:
        partition = partition_of_speaker(speaker)
    start = _seconds("start", row.start) if row.start else 0.0
    end = _seconds("end", row.end) if row.end else None
    if end is not None and end <= start:
        raise ValueError(f"end: expected more than the start, {start:g} s, found {end:g}")
    return Entry(name, label, partition, start, end, origin, speaker)


def _seconds(column: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{column}: expected a number of seconds >= 0, found {text!r}")
    return seconds


def _file(folder: Path, name: str) -> File:
    """Return the state of a recording; raise ValueError if it is not there."""
    try:
        status = (folder / name).stat()
    except OSError as error:
        raise ValueError(f"path: expected a recording, found {error.strerror}: {name}") from error
    except ValueError as error:  # a zero byte
        raise ValueError(f"path: expected a recording, found {error}: {name}") from error
    return File(name, status.st_size, status.st_mtime_ns, status.st_mode)


def _warn_of_shared_speakers(path: Path, speakers: dict[str, dict[str, int]]) -> None:
    """Warn, on one line, of speakers in several partitions.

    It is no error: published splits have them, and their results must be possible to repeat.
    """
    shared = {speaker: lines for speaker, lines in speakers.items() if len(lines) > 1}
    if shared:
        speaker, lines = next(iter(shared.items()))
        found = " and ".join(f"{name} (line {line})" for name, line in lines.items())
        _log.warning(
            "%s: %s of %s speakers are in several partitions, such as %r in %s: accuracy is then "
            "not that of new voices",
            *(printable(path), f"{len(shared):,}", f"{len(speakers):,}", speaker, found),
        )
