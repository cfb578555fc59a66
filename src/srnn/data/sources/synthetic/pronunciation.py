# SPDX-License-Identifier: MPL-2.0
"""Pronunciation of words, and checks that it distinguishes them."""

import logging
import unicodedata
from collections.abc import Sequence

from srnn.data.names import composed
from srnn.data.sources.synthetic import espeak
from srnn.data.sources.synthetic.installation import find_espeak
from srnn.data.sources.synthetic.speakers import ACCENTS
from srnn.data.sources.synthetic.words import COMMON_WORDS
from srnn.errors import InputError

_log = logging.getLogger(__name__)


def expect_distinct_sounds(words: Sequence[str]) -> None:
    """Check that the voices pronounce words differently.

    Raises
    ------
    InputError
        A word is written in a script that the voices cannot read, makes no sound, or is pronounced
        like another one: a line each.
    """
    words = list(dict.fromkeys(words))
    problems = []
    if foreign := unreadable(words):
        problems.append(
            "data.words: expected words that the English voices can read, found "
            f"{', '.join(map(repr, foreign))}, whose letters they name one by one: write them in "
            "Latin letters"
        )
    readable = [word for word in words if word not in foreign]
    alike: dict[tuple[str, ...], list[str]] = {}
    for word, sounds in zip(readable, _pronounced(readable), strict=True):
        alike.setdefault(tuple(sounds), []).append(word)
    if silent := alike.pop((), []):
        problems.append(
            f"data.words: expected words that can be spoken, found {', '.join(map(repr, silent))}"
        )
    problems += [
        "data.words: expected words that the voices pronounce differently, found "
        f"{' and '.join(map(repr, same))}, which sound the same"
        for same in alike.values()
        if len(same) > 1
    ]
    if problems:
        raise InputError(*problems)


def unreadable(words: Sequence[str]) -> list[str]:
    """Return the words in a script whose letters eSpeak NG only names ("Chinese letter").

    Other scripts it reads by the rules of their language, which it marks: (ko), sounds, (en-us).
    """
    parts = {word: list(filter(_has_other_letters, spoken(word).split())) for word in words}
    foreign = sorted({part for some in parts.values() for part in some})
    sounds = _pronounced(foreign) if foreign else []
    read = {
        part for part, each in zip(foreign, sounds, strict=True) if "".join(each).startswith("(")
    }
    return [word for word in words if not read.issuperset(parts[word])]


def _has_other_letters(text: str) -> bool:
    """Whether a text has letters that are not Latin."""
    return any(
        char.isalpha() and not unicodedata.name(char, "").startswith("LATIN ") for char in text
    )


def without_homophones(words: Sequence[str], keywords: Sequence[str]) -> list[str]:
    """Return the words that sound like no keyword."""
    sounds = _pronounced([*keywords, *words])
    taken, theirs = sounds[: len(keywords)], sounds[len(keywords) :]
    left_out = [word for word, each in zip(words, theirs, strict=True) if each in taken]
    if left_out := [word for word in left_out if word not in keywords]:
        _log.info("words left out because they sound like a keyword: %s", ", ".join(left_out))
    return [word for word in words if word not in left_out]


def _pronounced(words: Sequence[str]) -> list[list[str]]:
    """Return the sounds of words, in the first accent."""
    return espeak.pronounce([spoken(word) for word in words], ACCENTS[0], *find_espeak())


def unlike(keywords: Sequence[str]) -> list[str]:
    """Return the common words that differ from every keyword by two sounds at least."""
    # Imported here, as it imports torch.
    from torchaudio.functional import edit_distance

    sounds = _pronounced([*keywords, *COMMON_WORDS])
    taken, common = sounds[: len(keywords)], sounds[len(keywords) :]
    return [
        word
        for word, each in zip(COMMON_WORDS, common, strict=True)
        if all(edit_distance(each, keyword) > 1 for keyword in taken)
    ]


def spoken(word: str) -> str:
    """Return a word as text for synthesis."""
    return composed(word).replace("_", " ").replace("-", " ")
