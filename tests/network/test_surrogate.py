# SPDX-License-Identifier: MPL-2.0
import math

import pytest
import torch

from srnn.network.surrogate import SURROGATES, spike


def normal(x: float, mean: float, deviation: float) -> float:
    return math.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))


CLOSED_FORMS = {
    "multi_gaussian": lambda x: (
        0.5 * (1.15 * normal(x, 0, 0.5) - 0.15 * normal(x, 0.5, 3) - 0.15 * normal(x, -0.5, 3))
    ),
    "gaussian": lambda x: 0.5 * normal(x, 0, 0.5),
    "linear": lambda x: 0.5 * max(0.0, 1 - abs(x)),
    "slayer": lambda x: 0.5 * math.exp(-5 * abs(x)),
}


@pytest.mark.parametrize("name", SURROGATES)
def test_gradient_is_the_closed_form(name: str) -> None:
    points = torch.linspace(-8, 8, 161, dtype=torch.float64, requires_grad=True)
    upstream = torch.linspace(-1, 2, 161, dtype=torch.float64)
    spike(points, SURROGATES[name]).backward(upstream)
    expected = [CLOSED_FORMS[name](x) for x in points.tolist()]
    torch.testing.assert_close(points.grad, upstream * torch.tensor(expected, dtype=torch.float64))


def test_every_surrogate_has_a_closed_form() -> None:
    assert CLOSED_FORMS.keys() == SURROGATES.keys()


def test_spikes_strictly_above_the_threshold() -> None:
    distance = torch.tensor([-1.0, -1e-30, 0.0, 1e-30, 1.0])
    spikes = spike(distance, SURROGATES["multi_gaussian"])
    assert spikes.tolist() == [0.0, 0.0, 0.0, 1.0, 1.0]


def test_multi_gaussian_is_negative_on_its_flanks() -> None:
    derivative = SURROGATES["multi_gaussian"].derivative
    assert derivative(torch.tensor([-2.0, 2.0])).max() < 0 < derivative(torch.tensor(0.0))
