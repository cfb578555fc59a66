# SPDX-License-Identifier: MPL-2.0
"""The classes of a task: keywords, `_silence_`, and `_unknown_` for all other words."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Strict, StringConstraints

from srnn.data.dataset import DataSet
from srnn.data.names import composed
from srnn.errors import InputError
from srnn.settings import MANY, BrokenRelation, Keys, key, noun

SILENCE = "_silence_"
UNKNOWN = "_unknown_"
BACKGROUND = "_background_noise_"
"""No class: the folder, or the label, of long recordings that silence is cut from."""


def _distinct(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return names in the composed form of Unicode: how an accent is coded makes no other name."""
    words = tuple(map(composed, words))
    for position, word in enumerate(words):
        if word in words[:position]:
            raise ValueError(f'"{word}" twice')
    return words


# Names with "_" or "." in front are no words.
Word = Annotated[
    str,
    StringConstraints(pattern=r"^[^/\\_.\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,59}$"),
    noun('name (1 to 60 characters, no slash, not starting with "_" or ".")'),
]
# TOML has lists only, hence the lax tuples; what lies in them stays strict.
_Words = Annotated[
    tuple[Word, ...],
    Strict(False),
    Field(json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]
_SomeWords = Annotated[
    tuple[Word, ...],
    Strict(False),
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]
_ClipCounts = Annotated[
    tuple[
        Annotated[int, Field(ge=0, le=MANY, title="training")],
        Annotated[int, Field(ge=0, le=MANY, title="validation")],
        Annotated[int, Field(ge=0, le=MANY, title="testing")],
    ],
    Strict(False),
]


class ClassKeys(Keys):
    """Which classes the recordings make."""

    words: Literal["all"] | _SomeWords = key(
        ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"),
        "keywords, in the order of their labels; `all`: every word of the data set (`unknown` "
        "is then off)",
    )
    unknown: bool = key(True, "whether all other words form a class, `_unknown_`")
    held_out: _Words = key(
        (),
        "held-out words and background recordings (names without suffix): kept out of "
        "training, kept in validation and testing, to measure generalisation to unseen words "
        "and noises",
    )
    silence: bool = key(True, "whether background noise forms a class, `_silence_`")
    silence_clips: _ClipCounts = key(
        (2300, 260, 260),
        "maximum number of silence clips in each partition; fewer if the mean keyword has fewer",
        "clips",
        idle_if={"data.silence": False},
    )

    def broken_relations(self) -> Iterator[BrokenRelation]:
        """Yield the broken relations between these keys."""
        if self.words != "all" and len(self.words) == 1 and not (self.unknown or self.silence):
            yield BrokenRelation(
                ("data.words", "data.unknown", "data.silence"),
                "at least two words where data.unknown and data.silence are false",
                self.words,
            )
        if self.words != "all" and (shared := [w for w in self.held_out if w in self.words]):
            yield BrokenRelation(("data.held_out", "data.words"), "no keyword", shared[0])
        if self.silence and self.silence_clips[0] == 0:
            yield BrokenRelation(
                ("data.silence_clips", "data.silence"),
                "training clips of silence (or data.silence = false)",
                self.silence_clips,
            )


def label_names(words: Sequence[str], *, unknown: bool, silence: bool) -> tuple[str, ...]:
    """Return the labels in their fixed order: the words as written, `_silence_`, `_unknown_`."""
    return (*words, *([SILENCE] if silence else []), *([UNKNOWN] if unknown else []))


def keywords(labels: Iterable[str]) -> list[str]:
    """Return the labels that are words, in their order."""
    return [name for name in labels if name not in (SILENCE, UNKNOWN)]


def choose_labels(
    data_set: DataSet, words: Sequence[str] | Literal["all"], *, unknown: bool, silence: bool
) -> tuple[str, ...]:
    """Return the labels of a task; for "all" the words of the data set, sorted, without unknown.

    Raises
    ------
    InputError
        "all" is asked for and the data set has no word.
    """
    if words != "all":
        return label_names(words, unknown=unknown, silence=silence)
    found = [word for word in keywords(data_set.words) if word != BACKGROUND]
    if not found:
        raise InputError(
            f"data.words: expected words with recordings in {data_set.place}, found none"
        )
    return label_names(found, unknown=False, silence=silence)


def label_of(word: str, labels: tuple[str, ...]) -> int | None:
    """Return the index of a word's label; None where it has none."""
    if word in labels:
        return labels.index(word)
    return labels.index(UNKNOWN) if UNKNOWN in labels and word != SILENCE else None
