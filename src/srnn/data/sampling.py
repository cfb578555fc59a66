# SPDX-License-Identifier: MPL-2.0
"""The order in which an epoch presents the training clips: a value of seed and epoch alone."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Sampling = Literal["natural", "balanced"]

_PURPOSE = 1  # keeps these random numbers apart from those of the same seed drawn elsewhere


def epoch_order(
    labels: NDArray[np.integer], sampling: Sampling, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Return the indices of the clips of one epoch, in the order in which they are presented.

    Parameters
    ----------
    labels : shape (N,), N > 0
        Label of each clip.
    sampling
        "natural": every clip once. "balanced": N clips too, but every label that has clips equally
        often (to within one), each label's clips equally often (to within one).
    seed, epoch : int >= 0
        Another epoch of the same seed has another order.

    Returns
    -------
    Indices into `labels`, shape (N,).
    """
    rng = np.random.default_rng((seed, epoch, _PURPOSE))
    if sampling == "natural":
        return rng.permutation(len(labels))
    # The labels that get one clip more are drawn anew in every epoch.
    classes = rng.permutation(np.unique(labels))
    share, more = divmod(len(labels), len(classes))
    drawn = [
        _draw(np.flatnonzero(labels == label), share + (place < more), rng)
        for place, label in enumerate(classes)
    ]
    return rng.permutation(np.concatenate(drawn))


def _draw(members: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw `count` of `members`: all of them as often as possible, then some of them once."""
    whole, rest = divmod(count, len(members))
    return np.concatenate([np.tile(members, whole), rng.permutation(members)[:rest]])
