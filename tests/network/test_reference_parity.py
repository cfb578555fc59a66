# SPDX-License-Identifier: MPL-2.0
"""The package against an independent implementation of what the reference implementation computes.

`Plain` loops over time steps, divides each batch by its own standard deviation, and has a surrogate
and an Adam of its own; it shares no code with the package. Both get the same weights and clips. The
package runs its definition in float64, and its kernels in float32; `Plain` always runs in float64.

Legend: B clips, C channels, T time steps, M mel bands, F = C * M inputs, H neurons, K classes.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import librosa
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from srnn.config import Config
from srnn.features.batched import MelFeatures
from srnn.features.normaliser import Normaliser
from srnn.features.reference import features
from srnn.runs.parts import network_of, spec_of
from srnn.training.batch import Batch
from srnn.training.optimizer import make_optimizer
from srnn.training.spotter import Spotter
from srnn.training.step import Step

CLIPS, NEURONS, CLASSES, STEPS = 8, 32, 12, 60
SECOND, SHORT = 16_000, 4_000  # samples of a clip
LABELS = torch.arange(CLIPS) % CLASSES

# --- The independent implementation ---------------------------------------------------------------


class Fire(torch.autograd.Function):
    """1 above zero, else 0; half a multi-Gaussian is the derivative."""

    @staticmethod
    def forward(context: Any, distance: Tensor) -> Tensor:
        context.save_for_backward(distance)
        return distance.gt(0).to(distance.dtype)

    @staticmethod
    def backward(context: Any, upstream: Tensor) -> Tensor:
        (distance,) = context.saved_tensors
        middle = (-2 * distance**2).exp() / (0.5 * math.sqrt(2 * math.pi))
        sides = (-((distance - 0.5) ** 2) / 18).exp() + (-((distance + 0.5) ** 2) / 18).exp()
        result: Tensor = (
            upstream * (1.15 * middle - 0.15 * sides / (3 * math.sqrt(2 * math.pi))) / 2
        )
        return result


class Neurons(nn.Module):
    """A layer of adaptive neurons with their time constants and their state."""

    def __init__(self, neurons: int) -> None:
        super().__init__()
        self.tau_mem = nn.Parameter(torch.empty(neurons))
        self.tau_adapt = nn.Parameter(torch.empty(neurons))

    def begin(self, clips: int) -> None:
        """Reset the state: no spikes, potentials of 0, an adaptation of 1.6."""
        self.fired = self.tau_mem.new_zeros(clips, len(self.tau_mem))
        self.potential = torch.zeros_like(self.fired)
        self.adaptation = torch.full_like(self.fired, 1.6)

    def one_step(self, current: Tensor) -> Tensor:
        alpha, rho = (-1 / self.tau_mem).exp(), (-1 / self.tau_adapt).exp()
        self.adaptation = self.adaptation * rho + self.fired * (1 - rho)
        threshold = 1.6 + 0.184 * self.adaptation
        self.potential = self.potential * alpha + current * (1 - alpha) - threshold * self.fired
        fired: Tensor = Fire.apply(self.potential - threshold)
        self.fired = fired
        return fired


@dataclass
class Result:
    """What `Plain` computes of a batch; time is the first dimension."""

    events: Tensor  # (T, B, F)
    spikes: list[Tensor]  # (T, B, H) each
    scores: Tensor  # (B, K), log-probabilities


class Plain(nn.Module):
    """Encoder, feed-forward layer, recurrent layer, leaky readout: a loop over time steps."""

    def __init__(self, inputs: int, neurons: int, classes: int) -> None:
        super().__init__()
        self.encoder_threshold = nn.Parameter(torch.empty(()))
        self.to_first = nn.Linear(inputs, neurons)
        self.to_second = nn.Linear(neurons, neurons)
        self.within_second = nn.Linear(neurons, neurons)
        self.to_readout = nn.Linear(neurons, classes)
        self.first, self.second = Neurons(neurons), Neurons(neurons)
        self.readout_tau = nn.Parameter(torch.empty(classes))

    def forward(self, maps: Tensor) -> Result:
        """Classify features (B, C, T, M), as they are before normalisation."""
        clips, _, steps, _ = maps.shape
        flat = maps.permute(0, 2, 1, 3).reshape(clips * steps, -1)
        frames = (flat / flat.std(dim=0, correction=0)).reshape(clips, steps, -1)
        alpha = (-1 / self.readout_tau).exp()
        self.first.begin(clips)
        self.second.begin(clips)
        potential = total = frames.new_zeros(clips, len(self.readout_tau))
        all_events, all_first, all_second = [], [], []
        for t in range(steps):
            frame = frames[:, t]
            rises = Fire.apply(frame - self.encoder_threshold)
            falls = Fire.apply(-self.encoder_threshold - frame)
            events = rises - falls
            before = self.second.fired
            first = self.first.one_step(self.to_first(events))
            second = self.second.one_step(self.to_second(first) + self.within_second(before))
            potential = potential * alpha + self.to_readout(second) * (1 - alpha)
            total = total + potential
            all_events.append(events)
            all_first.append(first)
            all_second.append(second)
        mean = total / steps
        scores = mean - mean.exp().sum(dim=1, keepdim=True).log()
        spikes = [torch.stack(all_first), torch.stack(all_second)]
        return Result(torch.stack(all_events), spikes, scores)


# The name of each parameter in the package, and the factor of its learning rate.
NAMES = {
    "encoder_threshold": ("encoder.threshold", 0.01),
    "to_first.weight": ("hidden.0.input.weight", 1),
    "to_first.bias": ("hidden.0.input.bias", 1),
    "to_second.weight": ("hidden.1.input.weight", 1),
    "to_second.bias": ("hidden.1.input.bias", 1),
    "within_second.weight": ("hidden.1.recurrent.weight", 1),
    "within_second.bias": ("hidden.1.recurrent.bias", 1),
    "to_readout.weight": ("readout.output.weight", 1),
    "to_readout.bias": ("readout.output.bias", 1),
    "first.tau_mem": ("hidden.0.tau_mem", 2),
    "first.tau_adapt": ("hidden.0.tau_adapt", 2),
    "second.tau_mem": ("hidden.1.tau_mem", 2),
    "second.tau_adapt": ("hidden.1.tau_adapt", 2),
    "readout_tau": ("readout.tau_mem", 2),
}


class PlainAdam:
    """Adam (Kingma and Ba 2015, algorithm 1)."""

    def __init__(self, network: Plain, rate: float) -> None:
        self.network, self.rate, self.step = network, rate, 0
        self.first = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
        self.second = {name: torch.zeros_like(p) for name, p in network.named_parameters()}

    def update(self) -> None:
        self.step += 1
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                assert parameter.grad is not None
                first, second = self.first[name], self.second[name]
                first += 0.1 * (parameter.grad - first)
                second += 0.001 * (parameter.grad**2 - second)
                mean, square = first / (1 - 0.9**self.step), second / (1 - 0.999**self.step)
                parameter.sub_(self.rate * NAMES[name][1] * mean / (square.sqrt() + 1e-8))
                parameter.grad = None


def plain_loss(scores: Tensor) -> Tensor:
    return -torch.stack([score[label] for score, label in zip(scores, LABELS, strict=True)]).mean()


def plain_features(waveform: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return the features of a waveform of at most ``size`` samples, shape (C, T, M)."""
    missing = size - len(waveform)
    padded = np.concatenate(
        [np.zeros(missing // 2), waveform / abs(waveform).max(), np.zeros(missing - missing // 2)]
    ).astype(np.float32)
    power = librosa.feature.melspectrogram(
        y=padded, sr=16_000, n_fft=480, hop_length=160, n_mels=40, fmin=20, fmax=4000
    )
    mel = np.log1p(power / power.max())
    maps = [mel, librosa.feature.delta(mel), librosa.feature.delta(mel, order=2)]
    return np.stack([(each / each.std(axis=1, keepdims=True)).T for each in maps])


# --- The same for both ----------------------------------------------------------------------------


def waveforms(size: int) -> list[NDArray[np.float32]]:
    """Return a gliding tone in noise for each clip; every other one is shorter than a clip."""
    rng = np.random.default_rng(5)
    found = []
    for clip in range(CLIPS):
        time = np.arange(size if clip % 2 else size - 1_111 * (clip + 1) // 3) / 16_000
        phase = 2 * np.pi * (200 + 90 * clip) * time * (1 + (clip - 3) * time)
        loudness = np.exp(-(((time - 0.3 * size / 16_000) / 0.1) ** 2))
        sound = 0.4 * loudness * np.sin(phase) + 0.02 * rng.normal(size=len(time))
        found.append(sound.astype(np.float32))
    return found


def configuration(size: int, backend: str = "auto") -> Config:
    settings = {"network_size": NEURONS, "size": size, "backend": backend}
    return Config.model_validate({"srnn": settings, "data": {"normalisation": "batch"}})


@functools.cache
def clip_features(size: int) -> Tensor:
    return torch.tensor(np.stack([plain_features(each, size) for each in waveforms(size)]))


def start(size: int) -> Plain:
    """Return `Plain` with weights drawn by the package, made larger: more neurons fire.

    With this seed no potential comes so near to its threshold (1e-5, in sixty steps) that the
    rounding of float32 could decide whether it fires.
    """
    torch.manual_seed(10)
    weights = network_of(configuration(size), CLASSES).state_dict()
    assert set(weights) == {name for name, _ in NAMES.values()}
    plain = Plain(120, NEURONS, CLASSES).double()
    plain.load_state_dict({name: weights[here].double() for name, (here, _) in NAMES.items()})
    with torch.no_grad():
        for layer, factor in ((plain.to_first, 20), (plain.to_second, 100), (plain.to_readout, 20)):
            layer.weight.copy_((factor * layer.weight).float())  # as float32 can hold them
    return plain


def make_step(size: int, plain: Plain, dtype: torch.dtype) -> Step:
    """Return the package's step of training, in ``dtype``, with the weights of ``plain``."""
    config = configuration(size, "reference" if dtype == torch.float64 else "auto")
    network = network_of(config, CLASSES).to(dtype)
    weights = plain.state_dict()
    network.load_state_dict({here: weights[name] for name, (here, _) in NAMES.items()})
    spotter = Spotter(Normaliser(None), network)
    return Step(spotter, make_optimizer(network, config.srnn), config.srnn, CLASSES)


def make_batch(size: int, dtype: torch.dtype) -> Batch:
    batch = Batch.unmixed(clip_features(size).to(dtype), LABELS)
    return batch._replace(weights=batch.weights.to(dtype))


@functools.cache
def plain_training(size: int) -> tuple[Tensor, Plain]:
    """Return the losses of sixty steps, shape (60,), and the network after them."""
    plain = start(size)
    adam = PlainAdam(plain, configuration(size).srnn.learning_rate)
    losses = []
    for _ in range(STEPS):
        loss = plain_loss(plain(clip_features(size).double()).scores)
        loss.backward()
        adam.update()
        losses.append(loss.detach())
    return torch.stack(losses), plain


def assert_near(name: str, found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Compare with a tolerance that is relative to the largest of the expected values."""
    error = (found.detach().double() - expected.detach()).abs().max().item()
    assert error <= tolerance * expected.abs().max().item(), f"{name}: {error}"


# --- Comparisons ----------------------------------------------------------------------------------


def test_features_are_the_references() -> None:
    spec = spec_of(configuration(SECOND))
    clips = waveforms(SECOND)
    expected = clip_features(SECOND).numpy()
    assert expected.shape == (CLIPS, 3, 101, 40)
    one_by_one = np.stack([features(each, spec) for each in clips])
    np.testing.assert_allclose(one_by_one, expected, rtol=0, atol=1e-5 * abs(expected).max())
    padded = [
        np.pad(each, ((SECOND - len(each)) // 2, (SECOND - len(each) + 1) // 2)) for each in clips
    ]
    batched = MelFeatures(spec)(torch.tensor(np.stack(padded))).numpy()
    np.testing.assert_allclose(batched, expected, rtol=0, atol=1e-5 * abs(expected).max())


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str
)
def test_events_spikes_log_probabilities_and_gradients_are_the_references(
    dtype: torch.dtype, tolerance: float
) -> None:
    plain = start(SECOND)
    step = make_step(SECOND, plain, dtype)
    batch = make_batch(SECOND, dtype)
    expected = plain(clip_features(SECOND).double())
    output = step.spotter(batch.features)
    assert torch.equal(output.inputs.double(), expected.events)
    for layer, (spikes, theirs) in enumerate(zip(output.hidden, expected.spikes, strict=True)):
        assert 0.02 < theirs.mean() < 0.5, f"layer {layer}: nothing to compare"
        assert torch.equal(spikes.double(), theirs), f"layer {layer}"
    assert_near("log-probabilities", output.log_probabilities, expected.scores, tolerance)

    plain_loss(expected.scores).backward()
    loss, _, _ = step.differentiate(batch)
    assert_near("loss", loss, plain_loss(expected.scores), tolerance)
    gradients = {name: p.grad for name, p in plain.named_parameters()}
    for name, (here, _) in NAMES.items():
        found, wanted = step.spotter.network.get_parameter(here).grad, gradients[name]
        assert found is not None
        assert wanted is not None
        assert_near(here, found, wanted, tolerance)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 5e-5)], ids=str
)
def test_sixty_steps_of_adam_are_the_references(dtype: torch.dtype, tolerance: float) -> None:
    losses, plain = plain_training(SHORT)
    assert losses[-1] < 0.3 * losses[0]
    step, batch = make_step(SHORT, start(SHORT), dtype), make_batch(SHORT, dtype)
    before = torch.zeros((), dtype=torch.float64)
    for number, expected in enumerate(losses, start=1):
        step(batch)
        total = step.totals[0].clone()
        assert_near(f"loss of step {number}", (total - before) / CLIPS, expected, tolerance)
        before = total
    for name, (here, _) in NAMES.items():
        found = step.spotter.network.get_parameter(here)
        assert_near(here, found, plain.get_parameter(name), tolerance)
