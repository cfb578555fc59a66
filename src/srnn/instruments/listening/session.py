# SPDX-License-Identifier: MPL-2.0
"""Listening to one stream: from its samples to detected keywords, and what it took."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from srnn.detection import Detection, Detector, ListenKeys
from srnn.instruments.listening.listeners import Listener, Posteriors, Stateful, Windows
from srnn.network.model import Operations
from srnn.runs.recogniser import Recogniser


class Moment(NamedTuple):
    """What is known of a stream after one more block of it.

    Attributes
    ----------
    detections : list of Detection
    label : str
        The label that was most probable last; empty before the first classification.
    probability : float
        Its probability.
    peak : float
        Largest absolute value of the block.
    """

    detections: list[Detection]
    label: str
    probability: float
    peak: float


def make_listener(recogniser: Recogniser, keys: ListenKeys) -> Listener:
    """Return the listener that the keys name.

    Raises
    ------
    InputError
        If the network cannot listen statefully, see `Stateful`.
    """
    kind = Stateful if keys.mode == "stateful" else Windows
    return kind(recogniser, keys.interval / 1000)


class Session:
    """Listens to a stream.

    Parameters
    ----------
    recogniser : Recogniser
    keys : ListenKeys
    thresholds : mapping of str to float, optional
        For each keyword; by default that of the keys.

    Attributes
    ----------
    duration : float
        Length of the stream so far (s).
    seconds : float
        Time that its classification took (s).
    spikes : float
        Spikes of all hidden neurons.
    operations : Operations
        Synaptic operations of spikes and inputs.
    counts : Counter of str
        Detections of each keyword.

    Raises
    ------
    InputError
        If the network cannot listen statefully, see `Stateful`.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        keys: ListenKeys,
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        self._listener = make_listener(recogniser, keys)
        self._detector = Detector(recogniser.labels, keys, thresholds)
        self._labels = recogniser.labels
        self._rate = recogniser.config.srnn.sample_rate
        self._kept = recogniser.config.srnn.size + self._rate // 2
        self._label, self._probability = "", 0.0
        self.duration = self.seconds = self.spikes = 0.0
        self.operations = Operations(0.0, 0.0)
        self.counts: Counter[str] = Counter()
        self._recent = torch.zeros(0)  # the last samples

    def listen(self, sound: Iterable[Tensor]) -> Iterator[Moment]:
        """Listen to blocks (n,) of float32 samples at the sample rate of the network.

        Yields
        ------
        Moment
            After each block, and after the end.
        """
        for block in sound:
            self.duration += len(block) / self._rate
            self._recent = torch.cat([self._recent, block])[-self._kept - len(block) :]
            began = time.perf_counter()
            found = self._listener.push(block)
            self.seconds += time.perf_counter() - began
            yield self._moment(found, float(block.abs().max()) if len(block) else 0.0)
        began = time.perf_counter()
        found = self._listener.flush()
        self.seconds += time.perf_counter() - began
        yield self._moment(found, 0.0)

    def sound_before(self, moment: float) -> Tensor:
        """Return the samples (n,) before a time (s) in the last block.

        They are as many as a clip has and half a second, or fewer at the beginning.
        """
        end = len(self._recent) - round((self.duration - moment) * self._rate)
        return self._recent[max(0, end - self._kept) : end]

    def _moment(self, found: Posteriors, peak: float) -> Moment:
        self.spikes += found.spikes
        pairs = zip(self.operations, found.operations, strict=True)
        self.operations = Operations(*map(sum, pairs))
        detections = []
        for moment, probabilities in zip(
            found.times.tolist(), found.probabilities.numpy(), strict=True
        ):
            detection = self._detector.push(moment, probabilities)
            if detection:
                detections.append(detection)
                self.counts[detection.word] += 1
            best = int(probabilities.argmax())
            self._label, self._probability = self._labels[best], float(probabilities[best])
        return Moment(detections, self._label, self._probability, peak)

    def summary(self) -> str:
        """Return how long the stream was, what was detected, and what it took, on one line."""
        words = ", ".join(f"{word} {count}" for word, count in self.counts.most_common())
        total = self.counts.total()
        detections = f"{total} {'detection' if total == 1 else 'detections'}"
        line = f"listened to {self.duration:.1f} s: {detections}{f' ({words})' if words else ''}"
        if not self.duration:
            return line
        accumulates, products = (each / self.duration / 1e6 for each in self.operations)
        return (
            f"{line}; real-time factor {self.seconds / self.duration:.3f}; a second: "
            f"{self.spikes / self.duration:,.0f} spikes, {accumulates:.2f} M accumulates, "
            f"{products:.2f} M multiply-accumulates"
        )
