# SPDX-License-Identifier: MPL-2.0
"""Checks that a data set can be trained on, before and after decoding."""

import difflib
import logging
from collections.abc import Sequence

from srnn.data.corpus import Corpus
from srnn.data.dataset import DataSet
from srnn.data.labels import BACKGROUND, SILENCE, UNKNOWN, keywords
from srnn.data.names import composed, noise_of
from srnn.data.partitions import PARTITIONS
from srnn.data.silence import where
from srnn.errors import InputError, printable

_LISTED = 40  # words in a message
_NAMED = 12  # classes in a warning
_FEW = 10  # validation clips of a class: a warning where there are fewer
_MANY = 0.7  # fraction of `_unknown_` in the training clips; a warning above it

_log = logging.getLogger(__name__)


def expect_words(data_set: DataSet, words: Sequence[str], *, silence: bool) -> None:
    """Check, before anything is decoded, that a data set has the words and the silence of a task.

    Raises
    ------
    InputError
        A keyword has no recordings, or silence has neither background recordings nor clips of its
        own: a line each.
    """
    there = [word for word in data_set.words if not word.startswith("_")]
    missing = [word for word in map(composed, words) if word not in there]
    problems = []
    if missing:
        more = f" and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
        problems.append(
            f"data.words: expected recordings of each word in {data_set.place}, "
            f"found none for {', '.join(_with_suggestion(word, there) for word in missing)}; "
            f"the words there are {', '.join(there[:_LISTED]) or 'none'}{more}"
        )
    if silence and not {BACKGROUND, SILENCE} & set(data_set.words):
        problems.append(
            f"data.silence: expected recordings to cut silence from in {where(data_set.place)}, "
            "found none; add some or set data.silence = false"
        )
    if problems:
        raise InputError(*problems)


def require_trainable(corpus: Corpus) -> None:
    """Check that every label has training clips and that there are validation clips.

    Raises
    ------
    InputError
        A keyword has no training clips, silence has neither clips nor recordings to cut them from,
        there is no validation clip, a held-out name does not exist, or all background recordings
        are held out: a line each.
    """
    clips = [clip for partition in PARTITIONS for clip in corpus.partitions[partition]]
    counts = corpus.counts("training")
    untrained = [word for word in keywords(corpus.labels) if not counts[word]]
    problems = []
    background = {noise_of(stretch.name) for stretch in corpus.background("validation")}
    unknown = {clip.word for clip in clips if corpus.labels[clip.label] == UNKNOWN}
    nowhere = corpus.held_out - background - unknown
    if nowhere:
        problems.append(
            f"data.held_out: expected background recordings of {corpus.place}, or words in it "
            f"that are in {UNKNOWN}, found none named {', '.join(map(repr, sorted(nowhere)))}"
        )
    if background and not corpus.background("training"):
        problems.append(
            "data.held_out: expected background recordings left to train on, found all of "
            f"{where(corpus.place)} held out"
        )
    if untrained:
        problems.append(
            f"data.words: expected training clips of each word in {corpus.place}, "
            f"found none for {', '.join(map(repr, untrained))}"
        )
    if SILENCE in counts and not counts[SILENCE] and not background:
        problems.append(
            f"data.silence: expected readable recordings to cut silence from in "
            f"{where(corpus.place)}, found none; add some or set data.silence = false"
        )
    if not problems and not corpus.partitions["validation"]:
        problems.append(
            f"{corpus.place}: expected clips for validation, found none; add recordings, or put "
            "some of them into this partition (validation_list.txt, or the column split of a "
            "manifest)"
        )
    if problems:
        raise InputError(*problems)
    if UNKNOWN in counts and not counts[UNKNOWN]:
        _log.warning(
            "data.unknown: no training clips in %s are left for %s, which cannot be learnt",
            corpus.place,
            UNKNOWN,
        )


def warn_of_many_unknown(corpus: Corpus) -> None:
    """Warn if `_unknown_` dominates the training clips, with natural sampling."""
    clips = corpus.counts("training")
    unknown, total = clips.get(UNKNOWN, 0), sum(clips.values())
    if unknown > _MANY * total:
        _log.warning(
            "%s has %s of %s training clips, and a constant prediction of it is right as often: "
            'data.sampling = "balanced" presents every class equally often',
            UNKNOWN,
            f"{unknown:,}",
            f"{total:,}",
        )


def warn_of_few_for_validation(corpus: Corpus) -> None:
    """Warn of words with few validation clips; that of silence is configured."""
    counts = corpus.counts("validation")
    few = {label: n for label, n in counts.items() if n < _FEW and label != SILENCE}
    if few:
        listed = [f"{printable(label)} {n}" for label, n in few.items()]
        more = f" and {len(few) - _NAMED} more" if len(few) > _NAMED else ""
        _log.warning(
            "fewer than %d validation clips of %s%s: their accuracy is inexact, and the best epoch "
            "is chosen by it; add recordings to this partition",
            _FEW,
            ", ".join(listed[:_NAMED]),
            more,
        )


def _with_suggestion(word: str, words: Sequence[str]) -> str:
    spelt = {each.lower(): each for each in words}
    near = difflib.get_close_matches(word.lower(), spelt, n=1, cutoff=0.7)
    return f"{word!r} (did you mean {spelt[near[0]]!r}?)" if near else repr(word)
