# SPDX-License-Identifier: MPL-2.0
"""The trade-off between misses and false alarms, over the threshold of detection.

Legend: N classifications, K labels.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2
from torch import Tensor

from srnn.data.labels import UNKNOWN
from srnn.detection import ListenKeys, averages, detections
from srnn.instruments.listening.scenes import Utterance
from srnn.instruments.listening.session import make_listener
from srnn.runs.recogniser import Recogniser

LATE = 0.5
"""Time after the end of a recording in which its word may be detected (s)."""

THRESHOLDS = tuple(np.round(1 / (1 + np.exp(-np.linspace(-2.0, 8.0, 101))), 5).tolist())
"""From 0.12 to 0.9997, evenly in log-odds."""


class Trace(NamedTuple):
    """The averaged probabilities of a whole stream.

    Attributes
    ----------
    times : array, shape (N,)
        (s)
    averaged : array, shape (N, K)
    duration : float
        Of the stream (s).
    spikes : float
        Of all hidden neurons.
    """

    times: NDArray[np.float64]
    averaged: NDArray[np.float64]
    duration: float
    spikes: float


class Point(NamedTuple):
    """What is found in a scene at one threshold.

    Attributes
    ----------
    threshold : float
    misses : dict of str to float
        Fraction of the utterances of each keyword that are not detected in time.
    false_alarms : dict of str to int
        Detections of each keyword that is not said.
    unknown : float or None
        Fraction of the other words in which a keyword is detected; None where there are none.
    held_out : float or None
        The same of the words that were held out of training.
    latency : float or None
        Mean time from when a keyword is said to its detection (s); None where none is detected.
    """

    threshold: float
    misses: dict[str, float]
    false_alarms: dict[str, int]
    unknown: float | None
    held_out: float | None
    latency: float | None

    @property
    def missed(self) -> float:
        """Mean of the misses of the keywords."""
        return sum(self.misses.values()) / len(self.misses)


def trace_of(recogniser: Recogniser, keys: ListenKeys, sound: Iterable[Tensor]) -> Trace:
    """Return the probabilities of a stream, given in blocks (n,)."""
    listener = make_listener(recogniser, keys)
    samples, found = 0, []
    for block in sound:
        samples += len(block)
        found.append(listener.push(block))
    found.append(listener.flush())
    probabilities = np.concatenate([each.probabilities.numpy() for each in found])
    return Trace(
        np.concatenate([each.times.numpy() for each in found]),
        averages(probabilities, keys),
        samples / recogniser.config.srnn.sample_rate,
        sum(each.spikes for each in found),
    )


def alarms(
    trace: Trace,
    labels: Sequence[str],
    keys: ListenKeys,
    thresholds: Mapping[str, float] | None = None,
) -> Counter[str]:
    """Return the number of detections of each keyword in a stream; arguments as of `detections`."""
    found = detections(trace.times, trace.averaged, labels, keys, thresholds)
    return Counter(each.word for each in found)


def point(
    trace: Trace,
    utterances: Sequence[Utterance],
    labels: Sequence[str],
    keys: ListenKeys,
    thresholds: Mapping[str, float] | None = None,
    held_out: Collection[str] = (),
) -> Point:
    """Return what is found in a scene at the threshold of the keys, or of each keyword.

    A keyword is detected in time from the start of its recording to `LATE` after its end; further
    detections of it then are false alarms, as is every other detection.

    Parameters
    ----------
    trace : Trace
    utterances : sequence of Utterance
    labels, keys, thresholds
        As of `detections`.
    held_out : collection of str
        Words that were held out of training.
    """
    found = detections(trace.times, trace.averaged, labels, keys, thresholds)
    times = np.array([each.time for each in found])
    hits: Counter[str] = Counter()
    said: Counter[str] = Counter()
    used: set[int] = set()
    wrong: dict[bool, list[bool]] = {False: [], True: []}  # of the others: by being held out
    delays = []
    for utterance in utterances:
        first, last = np.searchsorted(times, (utterance.start, utterance.end + LATE))
        within = range(int(first), int(last))
        if utterance.label == UNKNOWN:
            wrong[utterance.word in held_out].append(len(within) > 0)
            continue
        said[utterance.label] += 1
        right = [n for n in within if found[n].word == utterance.label and n not in used]
        if right:
            used.add(right[0])
            hits[utterance.label] += 1
            delays.append(found[right[0]].time - utterance.said)
    false: Counter[str] = Counter(each.word for n, each in enumerate(found) if n not in used)
    return Point(
        keys.threshold,
        {word: 1 - hits[word] / count for word, count in sorted(said.items())},
        dict(sorted(false.items())),
        _mean([*wrong[False], *wrong[True]]),
        _mean(wrong[True]),
        _mean(delays),
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def poisson_interval(count: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean of a Poisson distribution, given one draw (Garwood)."""
    low = float(chi2.ppf(0.025, 2 * count)) / 2 if count else 0.0
    return low, float(chi2.ppf(0.975, 2 * count + 2)) / 2
