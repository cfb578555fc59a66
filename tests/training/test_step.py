# SPDX-License-Identifier: MPL-2.0
"""One step of training: what it changes, and when it changes nothing."""

import math

import pytest
import torch

from srnn.config import SrnnConfig
from srnn.features.normaliser import Normaliser
from srnn.network.model import SpikingNetwork
from srnn.training.examples import Batch
from srnn.training.optimizer import make_optimizer
from srnn.training.spotter import Spotter
from srnn.training.step import Step

LIMITS = (0.1, 1000.0)


def make_step(clip: float = 0.0) -> Step:
    torch.manual_seed(0)
    spotter = Spotter(Normaliser(None), SpikingNetwork(4, [5, 5], 3))
    return Step(spotter, make_optimizer(spotter.network, SrnnConfig()), LIMITS, clip, math.log(3))


def make_batch(scale: float = 1.0) -> Batch:
    features = torch.randn(6, 1, 12, 4, generator=torch.Generator().manual_seed(1))
    return Batch(scale * features, torch.arange(6) % 3)


def weights(step: Step) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in step.spotter.parameters()])


def gradients(step: Step) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in step.spotter.parameters() if p.grad is not None])


def test_a_step_that_is_not_sound_changes_nothing_and_nor_does_any_after_it() -> None:
    step = make_step()
    step(make_batch())
    after_one, moments = weights(step), str(step.optimizer.state_dict())
    step(make_batch(math.nan))
    step(make_batch())
    assert torch.equal(weights(step), after_one)
    assert str(step.optimizer.state_dict()) == moments
    assert step.failed == 1
    assert step.taken == 1


def test_a_loss_far_beyond_guessing_is_not_sound() -> None:
    step = make_step()
    with torch.no_grad():
        step.spotter.network.readout.output.bias[0] = 1e5
    before = weights(step)
    step(make_batch())
    assert step.totals.isfinite().all()
    assert step.failed == 1
    assert torch.equal(weights(step), before)


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_gradients_are_scaled_down_to_the_longest_allowed(share: float) -> None:
    free = make_step()
    free(make_batch())
    norm = gradients(free).norm().item()
    step = make_step(clip=share * norm)
    step(make_batch())
    expected = gradients(free) * min(1.0, share)
    torch.testing.assert_close(gradients(step), expected, rtol=1e-4, atol=1e-7)
