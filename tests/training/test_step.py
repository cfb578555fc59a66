# SPDX-License-Identifier: MPL-2.0
"""One step of training: what it changes, and when it changes nothing."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from srnn.config import SrnnConfig
from srnn.features.normaliser import Normaliser
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import AdaptiveThreshold
from srnn.training.batch import Batch
from srnn.training.ema import WeightEma
from srnn.training.optimizer import make_optimizer
from srnn.training.spotter import Spotter
from srnn.training.step import Step


def make_step(**settings: Any) -> Step:
    torch.manual_seed(0)
    spotter = Spotter(
        Normaliser(None), SpikingNetwork(4, [5, 5], 3, neuron=AdaptiveThreshold(threshold=0.02))
    )
    keys = SrnnConfig(**settings)
    ema = WeightEma(spotter, keys.averaging) if keys.averaging else None
    return Step(spotter, make_optimizer(spotter.network, keys), keys, 3, ema)


def make_batch(scale: float = 1.0) -> Batch:
    features = torch.randn(6, 1, 12, 4, generator=torch.Generator().manual_seed(1))
    return Batch.unmixed(scale * features, torch.arange(6) % 3)


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
    step = make_step(gradient_clip=share * norm)
    step(make_batch())
    expected = gradients(free) * min(1.0, share)
    torch.testing.assert_close(gradients(step), expected, rtol=1e-3, atol=1e-7)


def test_smoothed_labels_have_the_gradient_that_torch_finds() -> None:
    plain, smoothed = make_step(), make_step(label_smoothing=0.2)
    batch = make_batch()
    loss, _, _ = smoothed.differentiate(batch)
    log_probabilities = plain.spotter(batch.features).log_probabilities
    torch.testing.assert_close(loss, F.nll_loss(log_probabilities, batch.labels).detach())
    F.cross_entropy(log_probabilities, batch.labels, label_smoothing=0.2).backward()
    torch.testing.assert_close(gradients(smoothed), gradients(plain))


def test_the_loss_of_mixtures_has_the_gradient_of_mixed_labels() -> None:
    plain, step = make_step(), make_step(label_smoothing=0.1)
    batch = make_batch()
    mixed = batch._replace(mixed_targets=batch.labels.roll(2), weights=torch.linspace(0.5, 1, 6))
    loss, _, _ = step.differentiate(mixed)
    own, other = F.one_hot(mixed.labels, 3), F.one_hot(mixed.mixed_targets, 3)
    targets = mixed.weights[:, None] * own + (1 - mixed.weights[:, None]) * other
    log_probabilities = plain.spotter(batch.features).log_probabilities
    torch.testing.assert_close(loss, F.cross_entropy(log_probabilities, targets).detach())
    F.cross_entropy(log_probabilities, targets, label_smoothing=0.1).backward()
    torch.testing.assert_close(gradients(step), gradients(plain))


def test_readouts_of_the_last_class_are_learnt_apart_and_hit_together() -> None:
    torch.manual_seed(0)
    network = SpikingNetwork(4, [5], 3, last_class_readouts=3)
    step = Step(
        spotter := Spotter(Normaliser(None), network),
        make_optimizer(network, SrnnConfig()),
        SrnnConfig(network_size=(5,)),
        3,
    )
    labels, readouts = torch.tensor([[0, 1, 2, 2, 2, 2], [0, 1, 2, 3, 4, 4]])
    batch = Batch.unmixed(make_batch().features, labels, readouts)
    output = spotter(batch.features)
    together = output.log_probabilities.exp()
    assert together.shape == (6, 3)
    torch.testing.assert_close(together.sum(dim=1), torch.ones(6))
    torch.testing.assert_close(together[:, 2], output.log_probs[:, 2:].exp().sum(dim=1))
    loss, hits, _ = step.differentiate(batch)
    torch.testing.assert_close(loss, F.nll_loss(output.log_probs, readouts).detach())
    assert hits == (together.argmax(dim=1) == labels).sum()


def test_spikes_cost_nothing_up_to_the_target_and_something_beyond() -> None:
    batch = make_batch(100.0)
    free = make_step()
    loss, _, _ = free.differentiate(batch)
    rate = free.spotter(batch.features).firing_rates.mean().item()
    assert rate > 0.01
    within = make_step(firing_penalty=1000.0, firing_target=2 * rate)
    within.differentiate(batch)
    assert torch.equal(gradients(within), gradients(free))
    beyond = make_step(firing_penalty=1000.0, firing_target=rate / 2, network_size=(5, 5))
    penalised, _, _ = beyond.differentiate(batch)
    assert penalised == loss  # it is no part of what is reported and judged
    assert not torch.allclose(gradients(beyond), gradients(free))


@pytest.mark.parametrize(("earlier", "share"), [(0, 0.9), (5, 0.6), (1000, 0.25)])
def test_the_average_follows_the_weights(earlier: int, share: float) -> None:
    step = make_step(averaging=0.75)
    assert step.ema
    step.earlier.fill_(earlier)
    before = torch.cat([each.flatten() for each in step.ema.module.parameters()])
    step(make_batch())
    after = torch.cat([each.flatten() for each in step.ema.module.parameters()])
    torch.testing.assert_close(after, (1 - share) * before + share * weights(step))


def test_firing_is_measured_in_the_steps_that_are_to() -> None:
    step, batch = make_step(), make_batch()
    step(batch)
    assert step.firing_rate.isnan()
    with torch.no_grad():
        expected = step.spotter(batch.features).firing_rates.mean()  # layers of one size
    step.measures_firing = True
    step(batch)
    assert 0 < step.firing_rate < 1
    torch.testing.assert_close(step.firing_rate, expected)
