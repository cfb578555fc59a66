# SPDX-License-Identifier: MPL-2.0
"""Detection of keywords in a stream: from probabilities over time to words.

Legend: K labels.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srnn.data.labels import keywords
from srnn.settings import Keys, key


class ListenKeys(Keys):
    """Listening to streams: how they are classified, and when a keyword counts as detected."""

    mode: Literal["windows", "stateful"] = key(
        "windows",
        "how a stream is classified: `windows`, its last `srnn.size` samples, from rest, at every "
        "interval; `stateful`, by one network that runs without end",
        free_on_resume=True,
    )
    interval: float = key(
        100.0,
        "time from one classification to the next",
        "ms",
        ge=1,
        le=10_000,
        free_on_resume=True,
    )
    average: float = key(
        300.0,
        "time over which probabilities are averaged, rounded to intervals",
        "ms",
        gt=0,
        le=60_000,
        free_on_resume=True,
    )
    threshold: float = key(
        0.9,
        "averaged probability from which on a keyword is detected",
        gt=0,
        le=1,
        free_on_resume=True,
    )
    refractory: float = key(
        1000.0,
        "refractory time: time after a detection without another one",
        "ms",
        ge=0,
        le=60_000,
        free_on_resume=True,
    )


class Detection(NamedTuple):
    """A keyword in a stream.

    Attributes
    ----------
    time : float
        Time since the beginning of the stream at which it was detected (s).
    word : str
    confidence : float
        Its averaged probability.
    """

    time: float
    word: str
    confidence: float


class Detector:
    """Detects keywords by their averaged probabilities.

    Of the keywords whose average reaches their threshold, the one with the highest average is
    detected. In the refractory time that follows, in which the same utterance would be detected
    again, nothing is.

    Parameters
    ----------
    labels : sequence of str
        The K labels, in the order of the probabilities.
    keys : ListenKeys
    thresholds : mapping of str to float, optional
        For each keyword; by default that of the keys.
    """

    def __init__(
        self,
        labels: Sequence[str],
        keys: ListenKeys,
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        self._labels = tuple(labels)
        self._thresholds = _thresholds(labels, keys, thresholds)
        self._recent: deque[NDArray[np.floating]] = deque(maxlen=_steps(keys))
        self._refractory = keys.refractory / 1000  # (s)
        self._ready = -np.inf  # end of the refractory time (s)

    def push(self, time: float, probabilities: NDArray[np.floating]) -> Detection | None:
        """Take the probabilities (K,) of the next classification, at ``time`` (s).

        Returns
        -------
        Detection or None
            At the beginning of a stream, classifications that are missing count as zeros.
        """
        self._recent.append(probabilities)
        assert self._recent.maxlen
        average = np.sum(self._recent, axis=0) / self._recent.maxlen
        reached = np.where(average >= self._thresholds, average, -1)
        best = int(np.argmax(reached))
        if time < self._ready or reached[best] < 0:
            return None
        self._ready = time + self._refractory
        return Detection(time, self._labels[best], float(average[best]))


def averages(probabilities: NDArray[np.floating], keys: ListenKeys) -> NDArray[np.float64]:
    """Return the averaged probabilities (N, K) of a whole stream, as a `Detector` has them."""
    steps = _steps(keys)
    sums = np.zeros((len(probabilities) + steps, probabilities.shape[1]))
    np.cumsum(probabilities, axis=0, out=sums[steps:])
    return (sums[steps:] - sums[:-steps]) / steps


def detections(
    times: NDArray[np.float64],
    averaged: NDArray[np.float64],
    labels: Sequence[str],
    keys: ListenKeys,
    thresholds: Mapping[str, float] | None = None,
) -> list[Detection]:
    """Return what a `Detector` detects in a whole stream.

    Parameters
    ----------
    times : array, shape (N,)
        Of the classifications (s).
    averaged : array, shape (N, K)
        As `averages` returns them.
    labels, keys, thresholds
        As of `Detector`.
    """
    reached = np.where(averaged >= _thresholds(labels, keys, thresholds), averaged, -1)
    best, highest = reached.argmax(axis=1), reached.max(axis=1)
    found, ready = [], -np.inf
    for index in np.flatnonzero(highest >= 0).tolist():
        time = float(times[index])
        if time >= ready:
            ready = time + keys.refractory / 1000
            found.append(Detection(time, labels[best[index]], float(highest[index])))
    return found


def _thresholds(
    labels: Sequence[str], keys: ListenKeys, thresholds: Mapping[str, float] | None
) -> NDArray[np.float64]:
    """Return the threshold of each label (K,); what is no keyword never reaches it."""
    words = keywords(tuple(labels))
    chosen = dict.fromkeys(words, keys.threshold) | dict(thresholds or {})
    return np.array([chosen[label] if label in words else np.inf for label in labels])


def _steps(keys: ListenKeys) -> int:
    """Return the number of classifications that probabilities are averaged over."""
    return max(1, round(keys.average / keys.interval))
