# SPDX-License-Identifier: MPL-2.0
from typing import Any

import pytest
import torch

from srnn.network.model import SpikingNetwork
from srnn.network.neurons import AdaptiveCurrent
from srnn.network.scaling import scale_to_firing_rate

OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "no bias": {"bias": False},
    "adaptive current": {"neuron": AdaptiveCurrent(), "recurrent": [True, True]},
    "batch norm": {"batch_norm": True, "encoder_threshold": None},
}


def _network(options: str) -> SpikingNetwork:
    torch.manual_seed(0)
    return SpikingNetwork(12, [40, 30], 4, **OPTIONS[options])


@pytest.mark.parametrize("rate", [0.03, 0.2])
@pytest.mark.parametrize("options", OPTIONS)
def test_every_layer_fires_at_the_rate_asked_for(options: str, rate: float) -> None:
    network, features = _network(options), 0.5 * torch.randn(16, 3, 50, 4)
    before = network.train()(features).firing_rates
    reached = scale_to_firing_rate(network, features, rate)
    rates = network.train()(features).firing_rates
    assert not torch.allclose(before, rates, rtol=0.2)
    torch.testing.assert_close(rates, torch.tensor([rate, rate]), rtol=0.05, atol=0)
    torch.testing.assert_close(rates, torch.tensor(reached))


def test_a_silent_network_learns_once_it_fires() -> None:
    network, features = _network("default"), 0.05 * torch.randn(16, 3, 50, 4)
    assert network(features).firing_rates[1] == 0
    scale_to_firing_rate(network, features, 0.1)
    network(features).log_probabilities[:, 0].sum().backward()
    gradients = [parameter.grad for parameter in network.hidden[0].parameters()]
    assert all(each is not None and each.abs().max() > 0 for each in gradients)


def test_running_averages_and_all_else_stay_as_they_are() -> None:
    network = _network("batch norm")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    scale_to_firing_rate(network, torch.randn(16, 3, 50, 4), 0.1)
    changed = {
        name
        for name, tensor in network.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == {"hidden.0.norm.weight", "hidden.1.norm.weight"}


def test_inputs_that_are_all_zero_leave_finite_weights() -> None:
    network = _network("no bias")
    assert scale_to_firing_rate(network, torch.zeros(4, 3, 50, 4), 0.1) == [0.0, 0.0]
    assert all(parameter.isfinite().all() for parameter in network.parameters())
