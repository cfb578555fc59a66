# SPDX-License-Identifier: MPL-2.0
"""What is recorded of a network is what it does."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from srnn.network.activity import Activity, activity
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import AdaptiveCurrent, AdaptiveThreshold
from srnn.network.neurons.lif.definition import LeakyIntegrateAndFire
from srnn.network.readout import Readout

STEPS, CHANNELS, BANDS = 31, 2, 5

Double = NDArray[np.float64]


def lively(**options: Any) -> SpikingNetwork:
    torch.manual_seed(3)
    network = SpikingNetwork(CHANNELS * BANDS, [13, 11], 4, last_class_readouts=3, **options)
    layer: Any
    for layer in network.hidden:
        torch.nn.init.normal_(layer.input.weight, std=4)
    return network.eval()


NETWORKS = {
    "adaptive threshold": lambda: lively(neuron=AdaptiveThreshold(0.4, 0.3)),
    "without biases": lambda: lively(neuron=AdaptiveThreshold(0.4, 0.3), bias=False),
    "the definition": lambda: lively(neuron=AdaptiveThreshold(0.4, 0.3), backend="reference"),
    "adaptive current": lambda: lively(
        neuron=AdaptiveCurrent(), recurrent=[True, True], encoder_threshold=None, batch_norm=True
    ),
    "leaky integrate-and-fire": lambda: lively(neuron=LeakyIntegrateAndFire(0.4)),
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> SpikingNetwork:
    return NETWORKS[request.param]()


FEATURES = torch.randn(1, CHANNELS, STEPS, BANDS, generator=torch.Generator().manual_seed(1))


def potentials_of(layer: Any, inputs: Double, spikes: Double) -> tuple[Double, Double, Double]:
    """Potential, threshold and adaptation, (T, H), by the equations of design and paper."""
    p = {name: value.detach().double().numpy() for name, value in layer.named_parameters()}
    current = inputs @ p["input.weight"].T + p.get("input.bias", 0) + p.get("recurrent.bias", 0)
    if layer.norm is not None:  # running averages of a network that was never trained: 0 and 1
        current = p["norm.weight"] * current / np.sqrt(1 + 1e-5) + p["norm.bias"]
    fired = np.concatenate([np.zeros_like(spikes[:1]), spikes[:-1]])  # one step earlier
    current += fired @ p.get("recurrent.weight", np.zeros((spikes.shape[1],) * 2)).T
    potential, adaptation = np.zeros_like(spikes), np.zeros_like(spikes)
    if isinstance(layer.neuron, AdaptiveCurrent):
        u, w = np.zeros(spikes.shape[1]), np.zeros(spikes.shape[1])
        for t, before in enumerate(fired):
            w = p["rho"] * w + p["a"] * u + p["c"] * before
            u = p["alpha"] * (u - before) + (1 - p["alpha"]) * (current[t] - w)
            potential[t], adaptation[t] = u, w
        return potential, np.ones_like(spikes), adaptation
    if isinstance(layer.neuron, LeakyIntegrateAndFire):
        alpha, v = np.exp(-1 / p["tau_mem"]), np.zeros(spikes.shape[1])
        for t, before in enumerate(fired):
            v = alpha * v + (1 - alpha) * current[t] - 0.4 * before
            potential[t] = v
        return potential, np.full_like(spikes, 0.4), adaptation
    alpha, rho = np.exp(-1 / p["tau_mem"]), np.exp(-1 / p["tau_adapt"])
    v, b = np.zeros(spikes.shape[1]), np.full(spikes.shape[1], 0.4)
    for t, before in enumerate(fired):
        b = rho * b + (1 - rho) * before
        v = alpha * v + (1 - alpha) * current[t] - (0.4 + 0.3 * b) * before
        potential[t], adaptation[t] = v, b
    return potential, 0.4 + 0.3 * adaptation, adaptation


def test_potentials_follow_the_equations(network: SpikingNetwork) -> None:
    recorded = activity(network, FEATURES)
    below = recorded.inputs
    for layer, its in zip(network.hidden, recorded.layers, strict=True):
        assert 0.01 < its.spikes.mean() < 0.9
        expected = potentials_of(layer, below.astype(np.float64), its.spikes.astype(np.float64))
        found = (its.potential, its.threshold, its.adaptation)
        for one, other in zip(found, expected, strict=True):
            assert one.shape == its.spikes.shape
            assert one.dtype == np.float32
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
        above = its.potential - its.threshold
        clear = np.abs(above) > 1e-4
        assert np.array_equal(its.spikes[clear] == 1, above[clear] > 0)
        below = its.spikes


def test_inputs_spikes_and_result_are_the_networks(network: SpikingNetwork) -> None:
    recorded, output = activity(network, FEATURES), network(FEATURES)
    assert np.array_equal(recorded.inputs, output.inputs[:, 0].detach().numpy())
    for its, spikes in zip(recorded.layers, output.hidden, strict=True):
        assert np.array_equal(its.spikes, spikes[:, 0].detach().numpy())
    log_probabilities = output.log_probabilities[0].detach().numpy()
    assert np.array_equal(recorded.log_probabilities, log_probabilities)


@pytest.mark.parametrize("over_time", ["mean", "last", "max"])
def test_the_result_follows_from_the_potentials_of_the_readouts(over_time: Any) -> None:
    network = lively(neuron=AdaptiveThreshold(0.4, 0.3), readout=Readout(over_time, scale=3.0))
    recorded = activity(network, FEATURES)
    assert recorded.readout.shape == (STEPS, 4 - 1 + 3)
    np.testing.assert_allclose(
        scores(recorded, over_time, 3.0), recorded.log_probabilities, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("over_time", ["mean", "last", "max"])
def test_probabilities_are_those_of_the_steps_up_to_each(over_time: Any) -> None:
    network = lively(neuron=AdaptiveThreshold(0.4, 0.3), readout=Readout(over_time, scale=3.0))
    recorded = activity(network, FEATURES)
    assert recorded.probabilities.shape == (STEPS, 4)
    for steps in (1, 2, 17, STEPS):
        cut_short = activity(network, FEATURES[:, :, :steps])
        np.testing.assert_allclose(
            recorded.probabilities[steps - 1],
            np.exp(cut_short.log_probabilities),
            rtol=1e-4,
            atol=1e-6,
        )
    np.testing.assert_allclose(
        recorded.probabilities[-1], np.exp(recorded.log_probabilities), rtol=1e-5, atol=1e-6
    )
    assert np.array_equal(recorded.features, FEATURES[0].numpy())


def scores(recorded: Activity, over_time: str, scale: float) -> Double:
    potentials = recorded.readout.astype(np.float64)
    of_readouts = {"mean": potentials.mean(0), "last": potentials[-1], "max": potentials.max(0)}
    exponentials = np.exp(scale * of_readouts[over_time])
    exponentials /= exponentials.sum()
    return np.array(np.log([*exponentials[:3], exponentials[3:].sum()]), np.float64)
