# SPDX-License-Identifier: MPL-2.0
"""Precision, recall and F1 of each class, with 95 % intervals, from a confusion matrix.

Legend: K classes, R resamples.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srnn.training.evaluation import wilson_interval

RESAMPLES = 2000
_SEED = 0


class Score(NamedTuple):
    """A fraction with its 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


class ClassScores(NamedTuple):
    """The scores of one class.

    Attributes
    ----------
    label : str
    clips : int
        With this true label.
    precision : Score
        Of the clips with this predicted label, the fraction whose true label it is.
    recall : Score
        Of the clips with this true label, the fraction whose predicted label it is.
    f1 : Score
        The harmonic mean of the two.
    """

    label: str
    clips: int
    precision: Score
    recall: Score
    f1: Score


def class_scores(confusion: Sequence[Sequence[int]], labels: Sequence[str]) -> list[ClassScores]:
    """Return the scores of each class.

    The intervals of precision and recall are Wilson's. That of F1, which is no proportion of
    independent trials, is the range of the middle 95 % of its values in `RESAMPLES` bootstrap
    samples of the clips, where it is defined. Where F1 is 0 or 1 in all of them, and in the clips
    themselves, there is no interval: the bootstrap cannot estimate one.

    Parameters
    ----------
    confusion : K sequences of K int
        Clips by true label (rows) and predicted label (columns).
    labels : sequence of K str
    """
    counts = np.array(confusion, np.int64)
    bounds = _f1_bounds(counts)
    values = _f1(counts)
    return [
        ClassScores(
            label,
            int(counts[k].sum()),
            _proportion(int(counts[k, k]), int(counts[:, k].sum())),
            _proportion(int(counts[k, k]), int(counts[k].sum())),
            _f1_score(float(values[k]), *bounds[k]),
        )
        for k, label in enumerate(labels)
    ]


def _proportion(hits: int, trials: int) -> Score:
    interval = wilson_interval(hits, trials)
    return Score(hits / trials, *interval) if interval else Score(None)


def _f1_score(value: float, low: float, high: float) -> Score:
    if np.isnan(value):
        return Score(None)
    return Score(value, low, high) if low < high else Score(value)


def _f1(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Map confusions (..., K, K) to F1 (..., K); NaN for a class with neither kind of clips."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    both = counts.sum(axis=-1) + counts.sum(axis=-2)
    found: NDArray[np.float64] = np.full(hits.shape, np.nan)
    np.divide(2 * hits, both, out=found, where=both > 0)
    return found


def _f1_bounds(counts: NDArray[np.int64]) -> list[tuple[float, float]]:
    """Return the bootstrap interval of each class's F1; NaN where it has none."""
    total = counts.sum()
    if not total:
        return [(float("nan"), float("nan"))] * len(counts)
    rng = np.random.default_rng(_SEED)
    samples = rng.multinomial(total, counts.ravel() / total, size=RESAMPLES)
    found = _f1(samples.reshape(RESAMPLES, *counts.shape))  # (R, K)
    bounds = []
    for values in found.T:
        defined = values[~np.isnan(values)]
        low, high = np.quantile(defined, [0.025, 0.975]) if len(defined) else (np.nan, np.nan)
        bounds.append((float(low), float(high)))
    return bounds
