# SPDX-License-Identifier: MPL-2.0
"""Small networks that fire without training, and clips, on which exports are compared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from srnn.config import Config
from srnn.export.clips import Clips
from srnn.features.batched import MelFeatures
from srnn.features.normaliser import Normaliser, moments
from srnn.network.neurons import Neuron, Normal, State
from srnn.network.scaling import scale_to_firing_rate
from srnn.network.surrogate import MULTI_GAUSSIAN, Surrogate, spike
from srnn.runs.checkpoint import Checkpoint
from srnn.runs.parts import network_of, spec_of
from srnn.runs.recogniser import Recogniser
from srnn.training.spotter import Spotter

RATE, SIZE = 8_000, 2_000
LABELS = ["low", 'h\u00f6h "??=', "_silence_", "_unknown_"]

Changes = Mapping[str, Mapping[str, Any]]

CASES: dict[str, Changes] = {
    "as in the paper": {"srnn": {"threshold": 0.3}},
    "as gsc8-small": {
        "mel": {"features": "pcen"},
        "data": {"normalisation": "standardise"},
        "srnn": {
            "neuron": "adaptive_current",
            "recurrent": [True, True],
            "encoder": "none",
            "batch_norm": True,
            "readout_scale": 10.0,
            "unknown_readouts": 5,
        },
    },
    "a window of a prime number of samples, no deltas": {
        "mel": {"features": "log_mel", "delta_order": 0, "window": 30.125},
        "data": {"normalisation": "standardise"},
        "srnn": {
            "neuron": "lif",
            "threshold": 0.4,
            "recurrent": [False, False],
            "encoder": "none",
            "bias": False,
            "readout": "last",
        },
    },
    "deltas alone, three layers": {
        "mel": {"features": "log_mel", "stack": False, "window": 12.5, "hop": 12.5},
        "srnn": {
            "threshold": 0.3,
            "network_size": [9, 17, 5],
            "recurrent": [True, False, True],
            "readout": "max",
        },
    },
    "features of whole clips, up to 2 kHz": {
        "mel": {"fmax": 2000, "delta_order": 1},
        "srnn": {"neuron": "lif", "threshold": 0.3},
    },
}


@dataclass(frozen=True)
class Resetting(Neuron):
    """A neuron of somebody else, which spikes set back to 0."""

    name: ClassVar[str] = "resetting"
    learnable: ClassVar[tuple[str, ...]] = ("tau_mem",)

    tau_mem: Normal = Normal(20.0, 5.0)
    surrogate: Surrogate = MULTI_GAUSSIAN

    def parameters(self, learnt: Iterable[Tensor]) -> Tensor:
        return torch.stack([torch.exp(-1 / tau) for tau in learnt])

    def firing_threshold(self, adaptation: Tensor) -> Tensor:
        return torch.full_like(adaptation, 0.2)

    def step(self, current: Tensor, state: State, parameters: Tensor) -> State:
        (alpha,) = parameters
        potential = alpha * state.potential * (1 - state.spikes) + (1 - alpha) * current
        return State(spike(potential - 0.2, self.surrogate), potential, state.adaptation)


def clips() -> Clips:
    """Return bursts of tones in noise, one of them loud enough to clip, and digital silence."""
    rng = np.random.default_rng(3)
    time = np.arange(SIZE) / RATE
    made = [np.zeros(SIZE)]
    for number in range(23):
        burst = np.abs(time - rng.uniform(0.05, 0.2)) < 0.04
        tone = burst * np.sin(2 * np.pi * rng.uniform(200, 3500) * time)
        made.append((2 if number == 5 else 0.3) * tone + 0.003 * rng.normal(size=SIZE))
    samples = (np.stack(made) * 2**15).clip(-(2**15), 2**15 - 1).astype(np.int16)
    return Clips(torch.from_numpy(samples), None, "tones")


def recogniser_of(changes: Changes) -> Recogniser:
    """Return a network that fires, without training, its normalisation measured on the clips."""
    tables: dict[str, dict[str, Any]] = {
        "srnn": {"network_size": [13, 11], "size": SIZE, "sample_rate": RATE},
        "mel": {"n_mels": 8, "fmax": 4000},
        "data": {"words": LABELS[:2]},
    }
    for name, keys in changes.items():
        tables[name] |= keys
    config = Config.model_validate(tables)
    torch.manual_seed(7)
    features = MelFeatures(spec_of(config))(clips().samples)
    mean, scale = moments([features])
    is_shifted = config.data.normalisation == "standardise"
    normaliser = Normaliser(scale, mean if is_shifted else None)
    network = network_of(config, len(LABELS))
    scale_to_firing_rate(network, normaliser(features), 0.1)
    with torch.no_grad():
        for _ in range(50):  # in training: the averages of a batch normalisation move
            network(normaliser(features))
    spotter = Spotter(normaliser, network)
    content = config.model_dump(mode="json")
    return Recogniser(Checkpoint(content, list(LABELS), "", 1, spotter.state_dict()))


def expect_equal(computed: torch.Tensor, expected: torch.Tensor) -> None:
    """Check that probabilities (N, K) differ by rounding errors alone, and that clips do differ."""
    assert np.ptp(expected.numpy(), axis=0).max() > 0.01
    differences = (computed - expected).abs().amax(dim=1)
    assert differences.median() < 1e-5
    assert (differences < 1e-3).float().mean() >= 0.9  # a spike that rounding moves
