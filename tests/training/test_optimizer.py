# SPDX-License-Identifier: MPL-2.0
import pytest
import torch

from srnn.config import SrnnConfig
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import AdaptiveCurrent
from srnn.training.optimizer import (
    _rate,
    clamp_parameters,
    make_optimizer,
    restore_optimizer,
    set_learning_rates,
)
from srnn.training.schedule import schedule_factor


def test_every_parameter_is_in_exactly_one_group_with_its_learning_rate() -> None:
    network = SpikingNetwork(6, [5, 4, 3], 2)
    optimizer = make_optimizer(network, SrnnConfig(learning_rate=0.5))
    set_learning_rates(optimizer, 0.1)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    rates = {
        names[id(parameter)]: group["lr"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert rates.keys() == set(names.values())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(names)
    for name, rate in rates.items():
        factor = 2.0 if ".tau_" in name else 0.01 if name.startswith("encoder") else 1.0
        assert rate == pytest.approx(0.05 * factor), name


def test_step_schedule() -> None:
    settings = SrnnConfig()
    at = {0: 1, 9.99: 1, 10: 0.1, 19.5: 0.1, 20: 0.01, 29.9: 0.01}
    for epochs_done, factor in at.items():
        assert schedule_factor(settings, epochs_done) == pytest.approx(factor)


def test_cosine_schedule() -> None:
    settings = SrnnConfig(schedule="cosine", epochs=8)
    assert schedule_factor(settings, 0) == 1
    assert schedule_factor(settings, 4) == pytest.approx(0.5)
    assert schedule_factor(settings, 8) == pytest.approx(0)


def test_constant_schedule() -> None:
    assert schedule_factor(SrnnConfig(schedule="constant"), 25) == 1


def test_time_constants_stay_within_their_limits() -> None:
    network = SpikingNetwork(6, [5, 4], 2)
    optimizer = make_optimizer(network, SrnnConfig(learning_rate=1e3))
    network(torch.randn(3, 1, 12, 6)).log_probabilities.sum().backward()
    taus = [p for name, p in network.named_parameters() if ".tau_" in name]
    with torch.no_grad():
        for tau in taus:
            tau.grad = torch.ones_like(tau)
    optimizer.step()
    assert all(tau.max() < 0 for tau in taus)
    clamp_parameters(optimizer)
    assert all(tau.unique().tolist() == [pytest.approx(0.1)] for tau in taus)
    assert network(torch.randn(3, 1, 12, 6)).log_probabilities.isfinite().all()


def test_only_weights_decay_and_neurons_stay_in_their_ranges() -> None:
    neuron = AdaptiveCurrent()
    network = SpikingNetwork(6, [5, 4], 2, neuron=neuron, batch_norm=True)
    settings = SrnnConfig(learning_rate=0.5, tau_learning_rate=0.1, weight_decay=0.25)
    optimizer = make_optimizer(network, settings)
    groups = {group["name"]: group for group in optimizer.param_groups}
    assert groups.keys() == {"weights", "norm", "tau", "encoder", "alpha", "rho", "a", "c"}
    assert {name for name, group in groups.items() if group["weight_decay"]} == {"weights"}
    assert groups["norm"]["lr"] == 0.5
    assert groups["rho"]["lr"] == pytest.approx(0.05)
    with torch.no_grad():
        groups["a"]["params"][0].fill_(-7)
        groups["c"]["params"][1].fill_(7)
    clamp_parameters(optimizer)
    assert groups["a"]["params"][0].tolist() == [0.0] * 5
    assert groups["c"]["params"][1].tolist() == [neuron.c.highest] * 4


def test_the_learning_rates_rise_at_the_start() -> None:
    settings = SrnnConfig(schedule="cosine", epochs=8, warmup_epochs=2)
    assert schedule_factor(settings, 0) == 0
    assert schedule_factor(settings, 0, 0.25) == pytest.approx(0.125)
    cosine = schedule_factor(SrnnConfig(schedule="cosine", epochs=8), 1)
    assert schedule_factor(settings, 1) == pytest.approx(cosine / 2)
    assert schedule_factor(settings, 4) == pytest.approx(0.5)


def test_the_state_of_another_optimizer_is_refused() -> None:
    own, other = (make_optimizer(SpikingNetwork(4, [n, n], 2), SrnnConfig()) for n in (3, 5))
    for optimizer in (own, other):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    restore_optimizer(own, own.state_dict()["state"])
    restore_optimizer(own, {})
    with pytest.raises(ValueError, match="expected the moments of this network's optimizer"):
        restore_optimizer(own, other.state_dict()["state"])


def test_learning_rates_that_recordings_read_lie_on_the_device_of_the_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr(torch, "tensor", lambda value, *, device: asked.append((value, device)))
    _rate(0.5, torch.device("cuda", 1))
    assert [(value, str(device)) for value, device in asked] == [(0.5, "cuda:1")]
    assert _rate(0.5, torch.device("cpu")) == 0.5
