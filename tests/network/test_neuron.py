# SPDX-License-Identifier: MPL-2.0
import math

import pytest
import torch

from srnn.network.neuron import Spread, decay, initial_state, step
from srnn.network.surrogate import MULTI_GAUSSIAN


def test_trajectory_computed_by_hand() -> None:
    """One neuron, alpha = 1/2, rho = 3/4, threshold 1, adaptation 1/2, by pencil and paper.

    b starts at 1, so theta_1 = 1 + 3/4 / 2 = 1.375.
    t=1, I=2: b = .75;             theta = 1.375;     v = 1                          no spike
    t=2, I=3: b = .5625;           theta = 1.28125;   v = .5 + 1.5 = 2               spike
    t=3, I=0: b = .421875 + .25;   theta = 1.3359375; v = 1 - 1.3359375 = -.3359375  no spike
    t=4, I=4: b = .50390625;       theta = 1.251953125; v = -.16796875 + 2 = 1.83203125  spike
    """
    alpha, rho = torch.tensor([0.5]), torch.tensor([0.75])
    state = initial_state(torch.zeros(1, 1), threshold=1.0)
    trajectory = []
    for current in (2.0, 3.0, 0.0, 4.0):
        inflow = torch.tensor([[current]])
        state = step(inflow, state, alpha, rho, MULTI_GAUSSIAN, threshold=1.0, adaptation=0.5)
        trajectory.append([part.item() for part in state])
    assert trajectory == [
        [0.0, 1.0, 0.75],
        [1.0, 2.0, 0.5625],
        [0.0, -0.3359375, 0.671875],
        [1.0, 1.83203125, 0.50390625],
    ]


def test_initial_state_is_silent_with_the_adaptation_at_the_threshold() -> None:
    state = initial_state(torch.ones(2, 3, dtype=torch.float64), threshold=1.6)
    assert [part.unique().tolist() for part in state] == [[0.0], [0.0], [1.6]]
    assert all(part.shape == (2, 3) and part.dtype == torch.float64 for part in state)


def test_decay() -> None:
    assert decay(torch.tensor(20.0)).item() == pytest.approx(math.exp(-1 / 20))


def test_time_constants_are_drawn_within_their_limits() -> None:
    torch.manual_seed(0)
    drawn = Spread(20.0, 5.0, (15.0, 24.0)).draw(10_000).detach()
    assert drawn.min() == 15.0
    assert drawn.max() == 24.0
    inside = Spread(20.0, 5.0).draw(10_000).detach()
    assert inside.mean().item() == pytest.approx(20.0, abs=0.2)
    assert inside.std().item() == pytest.approx(5.0, abs=0.2)
