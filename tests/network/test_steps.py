# SPDX-License-Identifier: MPL-2.0
"""A network in parts computes what it computes at once."""

from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from srnn.network.model import SpikingNetwork
from srnn.network.neurons import AdaptiveCurrent, AdaptiveThreshold, Neuron
from srnn.network.readout import Readout
from srnn.network.steps import advance

STEPS, CHANNELS, BANDS = 31, 2, 5


def lively(neuron: Neuron, **options: Any) -> SpikingNetwork:
    torch.manual_seed(3)
    network = SpikingNetwork(CHANNELS * BANDS, [13, 11], 4, neuron=neuron, **options)
    layer: Any
    for layer in network.hidden:
        torch.nn.init.normal_(layer.input.weight, std=4)
    return network.eval()


def features(clips: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(clips, CHANNELS, STEPS, BANDS, generator=generator)


@pytest.mark.parametrize("over_time", ["mean", "last", "max"])
@pytest.mark.parametrize("sizes", [[31], [1] * 31, [5, 1, 25]], ids=["whole", "steps", "parts"])
@pytest.mark.parametrize(
    ("neuron", "options"),
    [
        (AdaptiveThreshold(0.4, 0.3), {}),
        (AdaptiveThreshold(0.4, 0.3), {"backend": "reference"}),
        (AdaptiveCurrent(), {"recurrent": [True, True], "encoder_threshold": None}),
        (AdaptiveCurrent(), {"batch_norm": True, "last_class_readouts": 3}),
    ],
    ids=["adaptive threshold", "definition", "adaptive current", "several outputs"],
)
def test_parts_give_the_spikes_and_scores_of_the_whole(
    neuron: Neuron,
    options: dict[str, Any],
    sizes: list[int],
    over_time: Literal["mean", "last", "max"],
) -> None:
    network = lively(neuron, readout=Readout(over_time, 3.0), **options)
    whole = features(2)
    expected = network(whole)
    assert all(spikes.any() for spikes in expected.hidden)
    state, parts = None, []
    for part in whole.split(sizes, dim=2):
        steps, state = advance(network, part, state)
        parts.append(steps)
    for layer, spikes in enumerate(expected.hidden):
        torch.testing.assert_close(torch.cat([part.hidden[layer] for part in parts]), spikes)
    torch.testing.assert_close(torch.cat([part.inputs for part in parts]), expected.inputs)
    scores = network.readout.scores(torch.cat([part.potentials for part in parts]))
    torch.testing.assert_close(scores.log_softmax(dim=-1), expected.log_probs)
