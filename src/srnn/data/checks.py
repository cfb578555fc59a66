# SPDX-License-Identifier: MPL-2.0
"""What a data set must hold to be trained on: checked before it is decoded, and after."""

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
_MANY = 0.7  # share of `_unknown_` in the training clips: a warning where it is larger

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
    """Check that every label can be learnt and the best epoch chosen.

    Raises
    ------
    InputError
        A keyword has no training clips, silence has neither clips nor recordings to cut them from,
        no clip is left for validation, or what is to be held out is not there or is all there is of
        background: a line each.
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
    """Warn where nearly all training clips are `_unknown_`, if each is presented as often."""
    clips = corpus.counts("training")
    unknown, total = clips.get(UNKNOWN, 0), sum(clips.values())
    if unknown > _MANY * total:
        _log.warning(
            "%s has %s of %s training clips, and always answering it is right as often: "
            'data.sampling = "balanced" presents every class equally often',
            UNKNOWN,
            f"{unknown:,}",
            f"{total:,}",
        )


def warn_of_few_for_validation(corpus: Corpus) -> None:
    """Warn of words with few validation clips; those of silence are as many as the keys ask for."""
    counts = corpus.counts("validation")
    few = {label: n for label, n in counts.items() if n < _FEW and label != SILENCE}
    if few:
        listed = [f"{printable(label)} {n}" for label, n in few.items()]
        more = f" and {len(few) - _NAMED} more" if len(few) > _NAMED else ""
        _log.warning(
            "fewer than %d clips for validation of %s%s: the validation accuracy, by which the "
            "best epoch is chosen, says little of them; add recordings to this partition",
            _FEW,
            ", ".join(listed[:_NAMED]),
            more,
        )


def _with_suggestion(word: str, words: Sequence[str]) -> str:
    spelt = {each.lower(): each for each in words}
    near = difflib.get_close_matches(word.lower(), spelt, n=1, cutoff=0.7)
    return f"{word!r} (did you mean {spelt[near[0]]!r}?)" if near else repr(word)
