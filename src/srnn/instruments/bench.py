# SPDX-License-Identifier: MPL-2.0
"""How fast the network trains here, beside an LSTM of the same size, measured in turns.

Times of one machine vary with what else it does: the ratio of two things timed in turns says more
than either. Inputs are random, so layers fire at the rate of a fresh network, which is printed.
"""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from srnn.config import Config
from srnn.features.reference import features
from srnn.network.model import SpikingNetwork
from srnn.training.assemble import make_spec

_CLASSES = 12
_SPEC = make_spec(Config())


class Timing(NamedTuple):
    """A row of the table: medians over the repetitions.

    Attributes
    ----------
    device : str
    network_size, batch_size : int
    forward_ms, step_ms : float
        Time of a forward pass, and of a whole training step (ms).
    clips_per_second : float
        Of training.
    lstm_ratio : float
        Time of a training step of `torch.nn.LSTM` over that of the network.
    firing_rate : float
        Spikes per neuron and time step.
    """

    device: str
    network_size: int
    batch_size: int
    forward_ms: float
    step_ms: float
    clips_per_second: float
    lstm_ratio: float
    firing_rate: float


class _Lstm(nn.Module):
    """Two LSTM layers in the place of the two spiking ones."""

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.hidden = nn.LSTM(inputs, size, num_layers=2)
        self.readout = nn.Linear(size, _CLASSES)

    def forward(self, features: Tensor) -> Tensor:
        hidden, _ = self.hidden(features.permute(2, 0, 1, 3).flatten(2))
        return F.log_softmax(self.readout(hidden).mean(dim=0), dim=-1)


def bench(device: torch.device, *, quick: bool = False) -> tuple[list[Timing], float]:
    """Time networks of several sizes, and the features.

    Parameters
    ----------
    device : torch.device
    quick : bool
        Take the sizes of the reference configuration alone.

    Returns
    -------
    timings : list of Timing
    features_ms : float
        Time that the features of one clip take on one core (ms).
    """
    sizes = [256] if quick else [128, 256, 512]
    batches = [32] if quick else [1, 8, 32, 256]
    cases = [(size, batch) for size in sizes for batch in batches]
    bar = tqdm(cases, "bench", leave=False, disable=None)
    return [_time_case(device, size, batch) for size, batch in bar], _time_features()


def table(timings: list[Timing], features_ms: float) -> str:
    """Return the timings as text."""
    lines = [
        f"{'device':>6} {'size':>5} {'batch':>5} {'forward':>10} {'step':>10} {'clips/s':>8} "
        f"{'LSTM/step':>9} {'firing':>7}"
    ]
    lines += [
        f"{t.device:>6} {t.network_size:>5} {t.batch_size:>5} {t.forward_ms:>7.1f} ms "
        f"{t.step_ms:>7.1f} ms {t.clips_per_second:>8.0f} {t.lstm_ratio:>9.2f} "
        f"{t.firing_rate:>7.3f}"
        for t in timings
    ]
    return "\n".join([*lines, f"features (librosa): {features_ms:.2f} ms a clip"])


def _time_case(device: torch.device, size: int, batch: int) -> Timing:
    channels, steps, bands = _SPEC.shape
    heard = torch.randn(batch, *_SPEC.shape, device=device)
    labels = torch.randint(_CLASSES, (batch,), device=device)
    network = SpikingNetwork(channels * bands, [size, size], _CLASSES).to(device)
    lstm = _Lstm(channels * bands, size).to(device)
    forward, step, lstm_step = _medians(
        device,
        lambda: network(heard),
        _training_step(network, lambda: network(heard).log_probabilities, labels),
        _training_step(lstm, lambda: lstm(heard), labels),
    )
    spikes = network(heard).spikes.sum().item()
    return Timing(
        device=device.type,
        network_size=size,
        batch_size=batch,
        forward_ms=1e3 * forward,
        step_ms=1e3 * step,
        clips_per_second=batch / step,
        lstm_ratio=lstm_step / step,
        firing_rate=spikes / (batch * steps * 2 * size),
    )


def _training_step(
    model: nn.Module, forward: Callable[[], Tensor], labels: Tensor
) -> Callable[[], object]:
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        F.nll_loss(forward(), labels).backward()
        optimizer.step()

    return step


def _time_features() -> float:
    waveform = np.random.default_rng(0).normal(size=_SPEC.size).astype(np.float32)
    (median,) = _medians(torch.device("cpu"), lambda: features(waveform, _SPEC), repetitions=100)
    return 1e3 * median


def _medians(
    device: torch.device, *works: Callable[[], object], repetitions: int = 7
) -> list[float]:
    """Return the median time of each work (s), taken in turns after one round to warm up."""
    times: list[list[float]] = [[] for _ in works]
    for repetition in range(repetitions + 1):
        for work, taken in zip(works, times, strict=True):
            _finish(device)
            started = time.perf_counter()
            work()
            _finish(device)
            if repetition:
                taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in times]


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
