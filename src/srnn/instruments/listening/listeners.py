# SPDX-License-Identifier: MPL-2.0
"""Two ways to classify a stream: windows of it, each from rest, or all of it, statefully.

Legend: n samples, N classifications, T time steps of a clip, R outputs, K labels, M mel bands,
C channels.
"""

from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from srnn.errors import InputError
from srnn.features.stream import FeatureStream
from srnn.network.model import Operations, Output
from srnn.network.steps import NetworkState, advance
from srnn.runs.recogniser import Recogniser

_BATCH = 64  # windows that are classified at a time


class Posteriors(NamedTuple):
    """Classifications of a stream.

    Attributes
    ----------
    times : Tensor, shape (N,), float64
        Time since the beginning of the stream of the last sample that each depends on (s).
    probabilities : Tensor, shape (N, K)
        Probabilities of the labels.
    spikes : float
        Spikes of all hidden neurons meanwhile.
    operations : Operations
        Synaptic operations of spikes and inputs meanwhile.
    """

    times: Tensor
    probabilities: Tensor
    spikes: float
    operations: Operations


class Listener(Protocol):
    """Classifies a stream as its samples arrive, in parts of any size."""

    def push(self, samples: Tensor) -> Posteriors:
        """Return the classifications that further samples (n,) complete, N >= 0.

        Samples are float32 in [-1, 1), at the sample rate of the network.
        """
        ...

    def flush(self) -> Posteriors:
        """End the stream and return its last classifications, N >= 0."""
        ...


class Windows:
    """Classifies the last samples of a stream, as many as a clip has, at every interval.

    Any network does. Before the beginning of the stream is digital silence.

    Parameters
    ----------
    recogniser : Recogniser
    interval : float > 0
        Time from one window to the next (s).
    """

    def __init__(self, recogniser: Recogniser, interval: float) -> None:
        config = recogniser.config.srnn
        self._recogniser = recogniser
        self._size, self._rate = config.size, config.sample_rate
        self._interval = max(1, round(interval * self._rate))  # (samples)
        self._samples = torch.zeros(self._size)  # those of the last window, and later ones
        self._position = 0  # in the stream, of the end of the last window (samples)

    def push(self, samples: Tensor) -> Posteriors:
        """Return the classifications that further samples (n,) complete, N >= 0."""
        samples = torch.cat([self._samples, samples])
        count = (len(samples) - self._size) // self._interval
        self._samples = samples[count * self._interval :].clone()
        ends = self._position + self._interval * torch.arange(1, count + 1, dtype=torch.float64)
        self._position += count * self._interval
        if not count:
            return self._classify(torch.zeros(0, self._size), ends)
        return self._classify(samples[self._interval :].unfold(0, self._size, self._interval), ends)

    def flush(self) -> Posteriors:
        """Return the classification of the window at the end, unless `push` has returned it."""
        more = len(self._samples) - self._size
        windows = self._samples[None, -self._size :] if more else torch.zeros(0, self._size)
        ends = torch.full((len(windows),), self._position + more, dtype=torch.float64)
        return self._classify(windows, ends)

    @torch.inference_mode()
    def _classify(self, windows: Tensor, ends: Tensor) -> Posteriors:
        """Return the classifications of windows (N, n) that end at ``ends`` (N,) (samples)."""
        network = self._recogniser.spotter.network
        probabilities = [torch.zeros(0, len(self._recogniser.labels))]
        spikes, inputs = torch.zeros(len(network.hidden)), 0
        last = torch.zeros_like(spikes)
        # With "batch" normalisation a prediction depends on the other clips of the batch.
        size = 1 if self._recogniser.spotter.normaliser.scale is None else _BATCH
        for some in windows.split(size) if len(windows) else ():
            output = self._recogniser.spotter(self._recogniser.extract(some.contiguous()))
            probabilities.append(output.log_probabilities.exp())
            spikes += output.spikes.sum(dim=1)
            last += output.last_spikes.sum(dim=1)
            inputs += int(output.inputs.count_nonzero())
        operations = network.operations(inputs, spikes.tolist(), last.tolist())
        times = ends / self._rate
        return Posteriors(times, torch.cat(probabilities), float(spikes.sum()), operations)


class Stateful:
    """Runs the network once over a stream, its state carried from step to step.

    A classification is that of the potentials of the readout in the last time steps, as many as a
    clip has, or all where the stream is shorter. A clip, flushed at its end, is thus classified as
    `Recogniser.predict_waveform` does.

    Parameters
    ----------
    recogniser : Recogniser
    interval : float > 0
        Time from one classification to the next (s), rounded to time steps.

    Raises
    ------
    InputError
        If the features or their normalisation depend on the whole clip.
    """

    def __init__(self, recogniser: Recogniser, interval: float) -> None:
        spec = recogniser.extract.spec
        if recogniser.spotter.normaliser.scale is None:
            raise InputError(
                'data.normalisation: expected "standardise" or "dataset", found "batch", which '
                "divides by the standard deviation of a whole clip"
            )
        self._recogniser = recogniser
        self._features = FeatureStream(recogniser.extract)
        self._rate = spec.sample_rate
        self._step = spec.hop / spec.sample_rate  # (s)
        self._interval = max(1, round(interval / self._step))  # (time steps)
        self._steps = spec.frames
        self._samples = 0  # of the stream
        self._done = 0  # time steps
        self._state: NetworkState | None = None
        self._potentials = torch.zeros(0, 1, 0)  # (up to T - 1, 1, R): of the last time steps

    def push(self, samples: Tensor) -> Posteriors:
        """Return the classifications that further samples (n,) complete, N >= 0."""
        self._samples += len(samples)
        return self._advance(self._features.push(samples), at_end=False)

    def flush(self) -> Posteriors:
        """Return the last classifications; the last of all is that of the end of the stream."""
        return self._advance(self._features.flush(), at_end=True)

    @torch.inference_mode()
    def _advance(self, features: Tensor, *, at_end: bool) -> Posteriors:
        """Return the classifications in the time steps of features (T, C, M)."""
        spotter, begin = self._recogniser.spotter, self._done
        self._done += len(features)
        first_end = begin - begin % self._interval + self._interval
        ends = [*range(first_end, self._done + 1, self._interval)]
        if at_end and self._done and self._done % self._interval:
            ends.append(self._done)
        spikes, inputs = [0.0] * len(spotter.network.hidden), 0
        if len(features):
            normalised = spotter.normaliser(features.transpose(0, 1)[None])
            steps, self._state = advance(spotter.network, normalised, self._state)
            potentials = steps.potentials
            spikes = [layer.sum().item() for layer in steps.hidden]
            inputs = int(steps.inputs.count_nonzero())
            if begin:
                potentials = torch.cat([self._potentials, potentials])
            self._potentials = potentials
        first = self._done - len(self._potentials)  # time step
        probabilities = [torch.zeros(0, len(self._recogniser.labels))]
        for end in ends:
            last = self._potentials[max(0, end - self._steps - first) : end - first]
            log_probs = F.log_softmax(spotter.network.readout.scores(last), dim=-1)
            output = Output(log_probs, spotter.network.classes, last, ())
            probabilities.append(output.log_probabilities.exp())
        self._potentials = self._potentials[-(self._steps - 1) :].clone()
        centres = self._step * (torch.tensor(ends, dtype=torch.float64) - 1)
        times = (centres + self._features.latency).clamp(max=self._samples / self._rate)
        operations = spotter.network.operations(inputs, spikes)
        return Posteriors(times, torch.cat(probabilities), sum(spikes), operations)
