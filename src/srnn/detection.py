# SPDX-License-Identifier: MPL-2.0
"""Detection of keywords in a stream: from probabilities over time to words.

Legend: K labels.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srnn.data.labels import keywords


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

    The most probable keyword among those whose average reaches their threshold is detected; then
    nothing is for a refractory time, in which the same utterance would be detected again.

    Parameters
    ----------
    labels : sequence of str
        The K labels, in the order of the probabilities.
    thresholds : mapping of str to float, 0 to 1
        For each keyword.
    steps : int >= 1
        Classifications that probabilities are averaged over.
    refractory : float >= 0
        Refractory time (s).
    """

    def __init__(
        self,
        labels: Sequence[str],
        thresholds: Mapping[str, float],
        steps: int,
        refractory: float,
    ) -> None:
        self._labels = tuple(labels)
        words = keywords(self._labels)
        # What is no keyword is never detected.
        self._thresholds = np.array([thresholds[x] if x in words else np.inf for x in labels])
        self._recent: deque[NDArray[np.floating]] = deque(maxlen=steps)
        self._steps = steps
        self._refractory = refractory
        self._ready = -np.inf  # end of the refractory time (s)

    def push(self, time: float, probabilities: NDArray[np.floating]) -> Detection | None:
        """Take the probabilities (K,) of the next classification, at ``time`` (s).

        Returns
        -------
        Detection or None
            Before the first ``steps`` classifications, those that are missing count as zeros.
        """
        self._recent.append(probabilities)
        average = np.sum(self._recent, axis=0) / self._steps
        if time < self._ready:
            return None
        reached = np.where(average >= self._thresholds, average, -1.0)
        best = int(np.argmax(reached))
        if reached[best] < 0:
            return None
        self._ready = time + self._refractory
        return Detection(time, self._labels[best], float(average[best]))
