# SPDX-License-Identifier: MPL-2.0
"""The order in which an epoch presents the training clips: a function of seed and epoch alone."""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from srnn.data.corpus import Corpus
from srnn.data.labels import UNKNOWN
from srnn.data.negatives import WORD as NEGATIVES
from srnn.randomness import Purpose, generator
from srnn.settings import Keys, key

Sampling = Literal["natural", "square_root", "balanced"]


class SamplingKeys(Keys):
    """How often an epoch presents each training clip."""

    sampling: Sampling = key(
        "natural",
        "sampling of training clips in an epoch: `natural`, each clip once; `square_root`, "
        "each word in proportion to the square root of its number of clips (all synthetic "
        "words and negatives count as one); `balanced`, each class equally often, each word of a "
        "class equally often. The number of clips in an epoch is the same",
    )
    unknown_share: float = key(
        0.0,
        "fraction of the clips of an epoch that are `_unknown_`, with `balanced` sampling; 0: as "
        "many as of any other class",
        "fraction of all clips",
        ge=0,
        lt=1,
        idle_unless={"data.sampling": "balanced"},
    )
    synthetic_share: float = key(
        0.3,
        "fraction of the clips of `_unknown_` that are synthetic or negatives, with `balanced` "
        "sampling",
        "fraction of its clips",
        ge=0,
        le=1,
        idle_unless={"data.sampling": "balanced"},
    )


@dataclass(frozen=True, eq=False)
class Pool:
    """The clips of a training partition, for the order of an epoch.

    Attributes
    ----------
    labels : array of int, shape (N,), N > 0
        Label of each clip.
    words : array of int, shape (N,)
        Index of its word.
    added : array of bool, shape (N,)
        Whether it is from elsewhere: a synthetic word or a negative.
    unknown : int or None
        The label `_unknown_`, if there is one.
    """

    labels: NDArray[np.int64]
    words: NDArray[np.int64]
    added: NDArray[np.bool_]
    unknown: int | None = None

    @classmethod
    def of(cls, corpus: Corpus) -> Self:
        """Return the training partition of a corpus."""
        clips = corpus.partitions["training"]
        # Every negative is a word of its own: all others hold one word each.
        names = [
            f"{clip.word}/{n}" if clip.word == NEGATIVES else clip.word
            for n, clip in enumerate(clips)
        ]
        _, words = np.unique(names, return_inverse=True)
        return cls(
            np.array([clip.label for clip in clips], np.int64),
            words.astype(np.int64),
            np.array([corpus.is_added(clip) for clip in clips], np.bool_),
            corpus.labels.index(UNKNOWN) if UNKNOWN in corpus.labels else None,
        )


def epoch_order(
    pool: Pool,
    sampling: Sampling,
    seed: int,
    epoch: int,
    synthetic_share: float = 0.0,
    unknown_share: float = 0.0,
) -> NDArray[np.int64]:
    """Return the indices of the clips of one epoch, in the order in which they are presented.

    Parameters
    ----------
    pool : Pool
        Of N clips.
    sampling
        "natural": every clip once. "square_root": N clips, of each word in proportion to
        the square root of its number of clips (Mahajan et al. 2018, https://arxiv.org/abs/1805.00932);
        silence is a word, all clips from elsewhere together are one. "balanced": N clips, every
        label with clips equally often, each word of a label equally often. Each clip of a word
        is presented equally often (all to within one).
    seed, epoch : int >= 0
        Each epoch has an order of its own.
    synthetic_share : float, 0 to 1
        With "balanced": fraction of the clips of a label that are from elsewhere, if it has any.
    unknown_share : float, 0 <= unknown_share < 1
        With "balanced": fraction of the clips that are `_unknown_`; 0: as many as of any other
        label.

    Returns
    -------
    Indices of clips, shape (N,).
    """
    rng = generator(Purpose.ORDER, seed, epoch)
    labels = pool.labels
    if sampling == "natural":
        return rng.permutation(len(labels))
    if sampling == "square_root":
        return rng.permutation(np.concatenate(_by_square_root(pool, rng)))
    drawn = []
    for label, count in _by_label(pool, unknown_share, rng):
        recorded = np.flatnonzero((labels == label) & ~pool.added)
        added = np.flatnonzero((labels == label) & pool.added)
        fraction = synthetic_share if len(recorded) else 1.0
        spoken = round(fraction * count) if len(added) else 0
        drawn += _draw_words(recorded, pool.words, count - spoken, rng)
        drawn += _draw_words(added, pool.words, spoken, rng)
    return rng.permutation(np.concatenate(drawn))


def _by_label(pool: Pool, unknown_share: float, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return each label and its number of clips: even, but for `_unknown_`."""
    labels, total = np.unique(pool.labels), len(pool.labels)
    others = labels[labels != pool.unknown]
    if not unknown_share or pool.unknown is None or len(others) in (0, len(labels)):
        return _evenly(labels, total, rng)
    unknown = round(unknown_share * total)
    return [*_evenly(others, total - unknown, rng), (pool.unknown, unknown)]


def _by_square_root(pool: Pool, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Draw N clips, of each word in proportion to the square root of its number of clips."""
    words = np.where(pool.added, -1, pool.words)
    names, counts = np.unique(words, return_counts=True)
    roots = np.sqrt(counts).cumsum()
    ends = np.rint(len(words) * roots / roots[-1]).astype(np.int64)
    return [
        _draw(np.flatnonzero(words == name), int(count), rng)
        for name, count in zip(names, np.diff(ends, prepend=0), strict=True)
    ]


def _evenly(
    things: NDArray[np.int64], count: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Divide a count among things, to within one; those that get one more are drawn."""
    each, more = divmod(count, max(1, len(things)))
    return [(int(t), each + (place < more)) for place, t in enumerate(rng.permutation(things))]


def _draw_words(
    members: NDArray[np.int64], words: NDArray[np.int64], count: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Draw `count` of `members`, each of their words equally often."""
    return [
        _draw(members[words[members] == word], some, rng)
        for word, some in _evenly(np.unique(words[members]), count, rng)
    ]


def _draw(members: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw `count` of `members`: all of them as often as possible, then some of them once."""
    whole, rest = divmod(count, len(members))
    return np.concatenate([np.tile(members, whole), rng.permutation(members)[:rest]])
