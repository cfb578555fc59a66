# SPDX-License-Identifier: MPL-2.0
import math

import pytest
import torch

from srnn.network.neurons import (
    NEURONS,
    AdaptiveCurrent,
    AdaptiveThreshold,
    Neuron,
    Normal,
    Uniform,
)
from srnn.network.neurons.base import decay


def trajectory(neuron: Neuron, parameters: list[float], currents: list[float]) -> list[list[float]]:
    """Step one neuron through currents: its spike, potential and adaptation at every step."""
    state = neuron.initial_state(torch.zeros(1, 1))
    states = []
    for current in currents:
        state = neuron.step(torch.tensor([[current]]), state, torch.tensor(parameters)[:, None])
        states.append([part.item() for part in state])
    return states


def test_trajectory_of_an_adaptive_threshold_computed_by_hand() -> None:
    """One neuron, alpha = 1/2, rho = 3/4, threshold 1, adaptation 1/2, by pencil and paper.

    b starts at 1, so theta_1 = 1 + 3/4 / 2 = 1.375.
    t=1, I=2: b = .75;             theta = 1.375;     v = 1                          no spike
    t=2, I=3: b = .5625;           theta = 1.28125;   v = .5 + 1.5 = 2               spike
    t=3, I=0: b = .421875 + .25;   theta = 1.3359375; v = 1 - 1.3359375 = -.3359375  no spike
    t=4, I=4: b = .50390625;       theta = 1.251953125; v = -.16796875 + 2 = 1.83203125  spike
    """
    neuron = AdaptiveThreshold(threshold=1.0, adaptation=0.5)
    assert trajectory(neuron, [0.5, 0.75], [2.0, 3.0, 0.0, 4.0]) == [
        [0.0, 1.0, 0.75],
        [1.0, 2.0, 0.5625],
        [0.0, -0.3359375, 0.671875],
        [1.0, 1.83203125, 0.50390625],
    ]


def test_trajectory_of_an_adaptive_current_computed_by_hand() -> None:
    """One neuron, alpha = 1/2, rho = 1/2, a = 1/4, c = 1, by pencil and paper.

    t=1, I=4: w = 0;                      u = 2                                      spike
    t=2, I=1: w = 2/4 + 1 = 1.5;          u = (2 - 1)/2 + (1 - 1.5)/2 = .25          no spike
    t=3, I=3: w = .75 + .0625 = .8125;    u = .125 + (3 - .8125)/2 = 1.21875         spike
    t=4, I=0: w = .40625 + .3046875 + 1;  u = .21875/2 - 1.7109375/2 = -.74609375    no spike
    """
    assert trajectory(AdaptiveCurrent(), [0.5, 0.5, 0.25, 1.0], [4.0, 1.0, 3.0, 0.0]) == [
        [1.0, 2.0, 0.0],
        [0.0, 0.25, 1.5],
        [1.0, 1.21875, 0.8125],
        [0.0, -0.74609375, 1.7109375],
    ]


def test_trajectory_of_a_leaky_integrate_and_fire_neuron_computed_by_hand() -> None:
    """One neuron, alpha = 1/2, threshold 1, by pencil and paper.

    t=1, I=2: v = 1                      no spike
    t=2, I=3: v = .5 + 1.5 = 2           spike
    t=3, I=0: v = 1 - 1 = 0              no spike
    t=4, I=4: v = 0 + 2 = 2              spike
    """
    neuron = NEURONS["lif"](threshold=1.0)  # type: ignore[call-arg]
    assert trajectory(neuron, [0.5], [2.0, 3.0, 0.0, 4.0]) == [
        [0.0, 1.0, 0.0],
        [1.0, 2.0, 0.0],
        [0.0, 0.0, 0.0],
        [1.0, 2.0, 0.0],
    ]


@pytest.mark.parametrize("kind", NEURONS.values())
def test_initial_state_is_silent(kind: type[Neuron]) -> None:
    adaptation = 1.6 if kind is AdaptiveThreshold else 0.0
    state = kind().initial_state(torch.ones(2, 3, dtype=torch.float64))
    assert [part.unique().tolist() for part in state] == [[0.0], [0.0], [adaptation]]
    assert all(part.shape == (2, 3) and part.dtype == torch.float64 for part in state)


def test_parameters_of_an_adaptive_current_are_drawn_evenly_between_their_bounds() -> None:
    torch.manual_seed(0)
    neuron = AdaptiveCurrent()
    assert neuron.alpha == Uniform(math.exp(-1 / 5), math.exp(-1 / 25))
    assert neuron.rho == Uniform(math.exp(-1 / 30), math.exp(-1 / 120))
    for name, values in neuron.draw(10_000).items():
        (lowest, highest), drawn = neuron.distribution(name).bounds, values.detach()
        width = highest - lowest
        assert lowest <= drawn.min() < lowest + 0.01 * width
        assert highest - 0.01 * width < drawn.max() <= highest
        assert drawn.std().item() == pytest.approx(width / 12**0.5, rel=0.02)


def test_parameters_of_an_adaptive_current_are_clamped_where_they_are_used() -> None:
    neuron = AdaptiveCurrent()
    bounds = [neuron.distribution(name).bounds for name in neuron.learnable]
    below = [torch.tensor([lowest - 1]).requires_grad_() for lowest, _ in bounds]
    above = [torch.tensor([highest + 1]).requires_grad_() for _, highest in bounds]
    for learnt, end in ((below, 0), (above, 1)):
        parameters = neuron.parameters(learnt)
        assert torch.equal(parameters, torch.tensor([[each[end]] for each in bounds]))
        gradients = torch.autograd.grad(parameters.sum(), learnt)
        assert all(gradient.item() == 0 for gradient in gradients)
    inside = neuron.draw(3)
    total = neuron.parameters(inside.values()).sum()
    gradients = torch.autograd.grad(total, list(inside.values()))
    assert all(gradient.tolist() == [1.0, 1.0, 1.0] for gradient in gradients)


@pytest.mark.parametrize("kind", [AdaptiveThreshold, AdaptiveCurrent])
def test_learnable_parameters_are_named_in_the_order_of_the_parameters(kind: type[Neuron]) -> None:
    neuron = kind()
    drawn = neuron.draw(3)
    assert tuple(drawn) == neuron.learnable
    assert neuron.parameters(drawn.values()).shape == (len(neuron.learnable), 3)


def test_decay() -> None:
    assert decay(torch.tensor(20.0)).item() == pytest.approx(math.exp(-1 / 20))


def test_time_constants_are_drawn_within_their_limits() -> None:
    torch.manual_seed(0)
    drawn = Normal(20.0, 5.0, (15.0, 24.0)).draw(10_000).detach()
    assert drawn.min() == 15.0
    assert drawn.max() == 24.0
    inside = Normal(20.0, 5.0).draw(10_000).detach()
    assert inside.mean().item() == pytest.approx(20.0, abs=0.2)
    assert inside.std().item() == pytest.approx(5.0, abs=0.2)
