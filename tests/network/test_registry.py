# SPDX-License-Identifier: MPL-2.0
"""The registry of neurons, and a neuron of a user's own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from srnn import AdaptiveLIF
from srnn.network.learnable import Learnable, learnables
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import (
    NEURONS,
    AdaptiveCurrent,
    Neuron,
    State,
    Uniform,
    register_neuron,
    registry,
)
from srnn.network.surrogate import spike


@dataclass(frozen=True)
class Perfect(Neuron):
    """Integrates without a leak up to a learnable threshold, and starts again at 0."""

    name: ClassVar[str] = "perfect"
    learnable: ClassVar[tuple[str, ...]] = ("level",)

    level: Uniform = Uniform(0.5, 2.0)

    def parameters(self, learnt: Iterable[Tensor]) -> Tensor:
        return torch.stack(list(learnt))

    def firing_threshold(self, adaptation: Tensor) -> Tensor:
        return adaptation

    def step(self, current: Tensor, state: State, parameters: Tensor) -> State:
        potential = state.potential * (1 - state.spikes) + current
        level = parameters[0].expand_as(potential)
        return State(spike(potential - level, self.surrogate), potential, level)


@pytest.fixture(autouse=True)
def _no_traces() -> Iterator[None]:
    before = dict(registry._kinds)
    yield
    registry._kinds.clear()
    registry._kinds.update(before)


def test_a_registered_neuron_is_among_the_kinds() -> None:
    assert "perfect" not in NEURONS
    assert register_neuron(Perfect) is Perfect
    assert NEURONS["perfect"] is Perfect
    assert "perfect" not in registry.WITH_KERNELS
    register_neuron(Perfect)  # again, as when a notebook's cell is run again


def test_a_neuron_of_ones_own_computes_and_learns() -> None:
    torch.manual_seed(0)
    network = SpikingNetwork(4, [5, 6], 3, neuron=Perfect())
    output = network(3 * torch.randn(8, 1, 20, 4))
    assert all(0 < rate < 1 for rate in output.firing_rates)
    output.log_probs[:, 0].sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    levels = learnables(network)
    assert levels["hidden.1.level"] == Learnable("level", (0.5, 2.0))
    layer = AdaptiveLIF(1, 1, neuron=Perfect(Uniform(0.9, 0.9)), bias=False)
    torch.nn.init.constant_(layer.input.weight, 0.4)
    spikes, state = layer(torch.ones(6, 1, 1))
    assert spikes.flatten().tolist() == [0, 0, 1, 0, 0, 1]
    assert state.potential.item() == pytest.approx(1.2)


def test_every_parameter_of_a_network_has_a_group() -> None:
    network = SpikingNetwork(4, [5], 3, neuron=AdaptiveCurrent(), batch_norm=True)
    found = learnables(network)
    assert list(found) == [name for name, _ in network.named_parameters()]
    groups = {name: each.group for name, each in found.items()}
    assert groups == {
        "encoder.threshold": "encoder",
        **{f"hidden.0.{name}": name for name in ("alpha", "rho", "a", "c")},
        "hidden.0.input.weight": "weights",
        "hidden.0.norm.weight": "norm",
        "hidden.0.norm.bias": "norm",
        "readout.tau_mem": "tau",
        "readout.output.weight": "weights",
        "readout.norm.weight": "norm",
        "readout.norm.bias": "norm",
    }
    assert found["hidden.0.c"].bounds == (0.0, 2.0)
    assert found["readout.tau_mem"].bounds == (0.1, 10_000.0)
    assert found["hidden.0.input.weight"].bounds is None


def test_what_is_no_neuron_is_refused() -> None:
    class NoStep(Neuron):
        name = "no_step"

    class Taken(AdaptiveCurrent):
        pass

    with pytest.raises(TypeError, match=r"NoStep lacks learnable, firing_threshold, parameters, s"):
        register_neuron(NoStep)
    with pytest.raises(TypeError, match=r"expected a subclass of srnn\.Neuron, found <class"):
        register_neuron(int)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="a new name for Taken, found 'adaptive_current'"):
        register_neuron(Taken)
