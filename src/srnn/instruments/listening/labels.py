# SPDX-License-Identifier: MPL-2.0
"""Labels of a recording: a file of when each word is said, such as Audacity exports."""

from collections.abc import Collection, Sequence
from pathlib import Path

from srnn.data.labels import UNKNOWN
from srnn.errors import InputError, printable
from srnn.instruments.listening.scenes import Utterance

_TOLERANCE = 0.01  # seconds by which a stated end may exceed the recording, from rounding


def read(path: Path, keywords: Collection[str]) -> list[Utterance]:
    """Read a file of labels, a line for each word: start (s), end (s), word, between tabs.

    A line ``start``, ``end``, ``word`` may be the first, and lines that begin with a backslash are
    skipped. Words that are no keywords, in whatever case, are `_unknown_`. A word counts as said
    at its end.

    Returns
    -------
    list of Utterance
        In order of their start.

    Raises
    ------
    InputError
        If it cannot be read, a line is none of these, or no keyword is among them.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path}: expected a file of labels, found {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a file of labels in UTF-8, found others") from error
    found = [
        _utterance(line, f"{path}:{number}", keywords)
        for number, line in enumerate(lines, start=1)
        if line.strip()
        and not line.startswith("\\")  # where Audacity keeps the frequencies of a label
        and not (number == 1 and line.split() == ["start", "end", "word"])
    ]
    if all(each.label == UNKNOWN for each in found):
        others = ", ".join(sorted({each.word for each in found})[:5]) or "no line"
        raise InputError(
            f"{path}: expected keywords ({', '.join(keywords)}), found {printable(others)}"
        )
    return sorted(found)


def expect_within(utterances: Sequence[Utterance], path: Path, seconds: float) -> None:
    """Check that a recording is as long as its labels say.

    Raises
    ------
    InputError
        If a word ends after it.
    """
    last = max(each.end for each in utterances)
    if last > seconds + _TOLERANCE:
        raise InputError(
            f"{path}: expected ends within the {seconds:.3f} s of the recording, found {last:g}"
        )


def _utterance(line: str, place: str, keywords: Collection[str]) -> Utterance:
    try:
        start, end, word = line.rstrip("\r\n").split("\t")
        begin, until = float(start), float(end)
    except ValueError:
        raise InputError(
            f"{place}: expected start, end and word between tabs, found '{printable(line)}'"
        ) from None
    if not 0 <= begin < until < float("inf"):
        raise InputError(f"{place}: expected 0 <= start < end, found {start} and {end}")
    word = word.strip()
    as_label = {each.casefold(): each for each in keywords}.get(word.casefold(), UNKNOWN)
    return Utterance(begin, until, until, as_label, word)
