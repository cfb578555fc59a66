# SPDX-License-Identifier: MPL-2.0
"""The whole network against an independent version of it, written out step by step in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor

from srnn.network.dropout import drop
from srnn.network.layers import AdaptiveLIF
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import AdaptiveCurrent, AdaptiveThreshold, Normal
from srnn.network.norm import CurrentNorm
from srnn.network.readout import LeakyReadout, Readout
from srnn.network.surrogate import MULTI_GAUSSIAN


class Step(torch.autograd.Function):
    """A step function of its own: shares nothing with the package."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return (x > 0).double()

    @staticmethod
    def backward(context: Any, upstream: Tensor) -> Tensor:
        x: Tensor = context.saved_tensors[0]
        density = [
            height * torch.distributions.Normal(mean, deviation).log_prob(x).exp()
            for height, mean, deviation in ((1.15, 0, 0.5), (-0.15, 0.5, 3), (-0.15, -0.5, 3))
        ]
        gradient: Tensor = upstream * 0.5 * (density[0] + density[1] + density[2])
        return gradient


def independent(p: dict[str, Tensor], x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """One feed-forward and one recurrent layer; returns log-probabilities and spike trains."""
    batch, _, steps, _ = x.shape
    spikes1, spikes2 = [], []
    zeros1 = torch.zeros(batch, len(p["hidden.0.tau_mem"]), dtype=torch.float64)
    zeros2 = torch.zeros(batch, len(p["hidden.1.tau_mem"]), dtype=torch.float64)
    s1, v1, b1 = zeros1, zeros1, zeros1 + 1.6
    s2, v2, b2 = zeros2, zeros2, zeros2 + 1.6
    u = torch.zeros(batch, len(p["readout.tau_mem"]), dtype=torch.float64)
    total = torch.zeros_like(u)
    decays = {name: torch.exp(-1 / value) for name, value in p.items() if ".tau_" in name}
    for t in range(steps):
        frame = x[:, :, t, :].reshape(batch, -1)
        theta_in = p["encoder.threshold"]
        events = Step.apply(frame - theta_in) - Step.apply(-theta_in - frame)
        i1 = events @ p["hidden.0.input.weight"].T + p["hidden.0.input.bias"]
        alpha, rho = decays["hidden.0.tau_mem"], decays["hidden.0.tau_adapt"]
        b1 = rho * b1 + (1 - rho) * s1
        theta = 1.6 + 0.184 * b1
        v1 = alpha * v1 + (1 - alpha) * i1 - theta * s1
        s1 = Step.apply(v1 - theta)
        i2 = s1 @ p["hidden.1.input.weight"].T + p["hidden.1.input.bias"]
        i2 = i2 + s2 @ p["hidden.1.recurrent.weight"].T + p["hidden.1.recurrent.bias"]
        alpha, rho = decays["hidden.1.tau_mem"], decays["hidden.1.tau_adapt"]
        b2 = rho * b2 + (1 - rho) * s2
        theta = 1.6 + 0.184 * b2
        v2 = alpha * v2 + (1 - alpha) * i2 - theta * s2
        s2 = Step.apply(v2 - theta)
        alpha = decays["readout.tau_mem"]
        u = alpha * u + (1 - alpha) * (s2 @ p["readout.output.weight"].T + p["readout.output.bias"])
        total = total + u
        spikes1.append(s1)
        spikes2.append(s2)
    return torch.log_softmax(total / steps, dim=1), [torch.stack(spikes1), torch.stack(spikes2)]


def lively_network() -> SpikingNetwork:
    """A small network whose neurons fire: a fresh one of the usual scale is nearly silent."""
    torch.manual_seed(3)
    network = SpikingNetwork(
        2 * 5, [13, 11], 4, neuron=AdaptiveThreshold(tau_mem=Normal(5.0, 2.0))
    ).double()
    hidden: Any = network.hidden
    with torch.no_grad():
        for layer in hidden:
            layer.input.weight.mul_(12)
            layer.input.bias.normal_()
        hidden[1].recurrent.bias.normal_()
        network.readout.output.bias.normal_()
    return network


def test_forward_and_every_gradient_agree_with_an_independent_version() -> None:
    network = lively_network()
    features = torch.randn(3, 2, 21, 5, dtype=torch.float64)
    upstream = torch.randn(3, 4, dtype=torch.float64)
    parameters = {
        name: value.detach().clone().requires_grad_() for name, value in network.named_parameters()
    }
    expected, trains = independent(parameters, features)
    expected.backward(upstream)

    output = network(features)
    output.log_probabilities.backward(upstream)

    assert all(0.02 < train.mean() < 0.8 for train in trains)
    torch.testing.assert_close(output.log_probabilities, expected)
    counts = torch.stack([train.detach().sum(dim=(0, 2)) for train in trains])
    assert torch.equal(output.spikes, counts)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, parameters[name].grad, msg=name)
        assert parameter.grad.abs().max() > 0, name


def independent_current(
    p: dict[str, Tensor], x: Tensor, over_time: str, scale: float
) -> tuple[Tensor, list[Tensor]]:
    """Two recurrent layers of adaptive currents on normalised currents, without an encoder."""
    seen, trains = x.transpose(1, 2).flatten(2), []  # (B, T, F)
    for name in ("hidden.0", "hidden.1"):
        alpha, rho, a, c = (p[f"{name}.{each}"] for each in ("alpha", "rho", "a", "c"))
        current = normalised(seen @ p[f"{name}.input.weight"].T, p, name)
        s = u = w = torch.zeros_like(current[:, 0])
        train = []
        for inflow in current.unbind(1):
            total = inflow + s @ p[f"{name}.recurrent.weight"].T
            w = rho * w + a * u + c * s
            u = alpha * (u - s) + (1 - alpha) * (total - w)
            s = Step.apply(u - 1)
            train.append(s)
        seen = torch.stack(train, 1)
        trains.append(seen.transpose(0, 1))
    current = normalised(seen @ p["readout.output.weight"].T, p, "readout")
    alpha = torch.exp(-1 / p["readout.tau_mem"])
    potential, potentials = torch.zeros_like(current[:, 0]), []
    for inflow in current.unbind(1):
        potential = alpha * potential + (1 - alpha) * inflow
        potentials.append(potential)
    over = torch.stack(potentials)
    score = {"mean": over.mean(0), "last": over[-1], "max": over.max(0).values}[over_time]
    return torch.log_softmax(scale * score, dim=1), trains


def normalised(current: Tensor, p: dict[str, Tensor], name: str) -> Tensor:
    mean = current.mean(dim=(0, 1))
    variance = ((current - mean) ** 2).mean(dim=(0, 1))
    unit = (current - mean) / torch.sqrt(variance + 1e-5)
    return p[f"{name}.norm.weight"] * unit + p[f"{name}.norm.bias"]


def network_of_currents(readout: Readout | None = None, dropout: float = 0.0) -> SpikingNetwork:
    """A small network with everything that is off by default, which fires."""
    torch.manual_seed(4)
    network = SpikingNetwork(
        10,
        [13, 11],
        4,
        neuron=AdaptiveCurrent(),
        recurrent=[True, True],
        batch_norm=True,
        dropout=dropout,
        encoder_threshold=None,
        readout=readout,
    )
    for module in network.modules():
        if isinstance(module, CurrentNorm):
            torch.nn.init.uniform_(module.weight, 2, 4)
            torch.nn.init.uniform_(module.bias, -1, 1)
    return network


@pytest.mark.parametrize("over_time", ["mean", "last", "max"])
def test_the_options_agree_with_an_independent_version(over_time: Any) -> None:
    network = network_of_currents(Readout(over_time, scale=3.0)).double()
    features = torch.randn(3, 2, 21, 5, dtype=torch.float64)
    upstream = torch.randn(3, 4, dtype=torch.float64)
    parameters = {
        name: value.detach().clone().requires_grad_() for name, value in network.named_parameters()
    }
    expected, trains = independent_current(parameters, features, over_time, 3.0)
    expected.backward(upstream)

    output = network(features)
    output.log_probabilities.backward(upstream)

    assert all(0.02 < train.mean() < 0.8 for train in trains)
    torch.testing.assert_close(output.log_probabilities, expected)
    assert all(map(torch.equal, output.hidden, trains))
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, parameters[name].grad, msg=name)
        assert parameter.grad.abs().max() > 0, name


def test_running_averages_are_those_of_torch() -> None:
    torch.manual_seed(0)
    layer = AdaptiveLIF(6, 9, batch_norm=True)
    torchs = torch.nn.BatchNorm1d(9)
    for _ in range(3):
        inputs = torch.randn(7, 5, 6) + 1
        layer(inputs)
        torchs(layer.input(inputs).flatten(0, 1))
    assert layer.norm is not None
    torch.testing.assert_close(layer.norm.mean, torchs.running_mean)
    torch.testing.assert_close(layer.norm.variance, torchs.running_var)


def test_inputs_that_never_change_can_be_normalised() -> None:
    layer = AdaptiveLIF(6, 9, batch_norm=True)
    spikes, _ = layer(torch.ones(7, 5, 6))
    spikes.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in layer.parameters())
    assert all(value.isfinite().all() for value in layer.state_dict().values())


def test_folded_it_is_a_network_without_normalisation_that_does_the_same() -> None:
    network = network_of_currents(Readout(scale=10.0))
    features = torch.randn(8, 2, 21, 5)
    for _ in range(80):  # the running averages begin far away
        network(features)
    output = network.eval()(features)
    plain = SpikingNetwork(
        10,
        [13, 11],
        4,
        neuron=AdaptiveCurrent(),
        recurrent=[True, True],
        encoder_threshold=None,
        readout=Readout(scale=10.0),
    )
    plain.load_state_dict(network.folded().state_dict())
    assert output.spikes.sum(dim=1).min() > 0
    for each in (network.folded(), plain):
        assert torch.equal(each(features).spikes, output.spikes)
        torch.testing.assert_close(each(features).log_probabilities, output.log_probabilities)
    assert any("norm" in name for name in network.state_dict())
    assert all(parameter.requires_grad for parameter in network.folded().parameters())


def test_without_normalisation_folding_only_copies() -> None:
    network = lively_network()
    other = network.folded().state_dict()
    assert all(torch.equal(value, other[name]) for name, value in network.state_dict().items())


def test_what_the_network_keeps_besides_weights_is_float32() -> None:
    buffers = dict(network_of_currents().named_buffers())
    assert len(buffers) == 6
    assert all(buffer.dtype == torch.float32 for buffer in buffers.values())


def test_dropout_drops_a_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    spikes = torch.ones(200, 7, 410).transpose(0, 1).requires_grad_()
    dropped = drop(spikes, 0.15)
    kept = dropped != 0
    assert kept.float().mean().item() == pytest.approx(0.85, abs=0.005)
    assert dropped[kept].unique().item() == pytest.approx(1 / 0.85, rel=1e-4)
    assert torch.equal(kept, kept[:1].expand_as(kept))  # over the whole sequence
    assert dropped.stride() == spikes.stride()
    (gradient,) = torch.autograd.grad(dropped.sum(), spikes)
    assert torch.equal(gradient, dropped)
    again = drop(spikes, 0.15) != 0
    assert (kept == again).float().mean().item() == pytest.approx(0.85**2 + 0.15**2, abs=0.01)


def test_dropout_is_between_the_layers_and_in_training_only() -> None:
    network, without = network_of_currents(dropout=0.5), network_of_currents()
    features = torch.randn(8, 2, 21, 5)
    output, expected = network(features), without(features)
    assert torch.equal(output.hidden[0], expected.hidden[0])  # not those that the layer above sees
    assert not torch.equal(output.hidden[1], expected.hidden[1])
    assert output.hidden[1].unique().tolist() == [0.0, 1.0]
    without.load_state_dict(network.state_dict())
    in_evaluation = network.eval()(features).log_probabilities
    assert torch.equal(in_evaluation, without.eval()(features).log_probabilities)


def test_firing_rates_can_be_regularised() -> None:
    network = network_of_currents()
    output = network(torch.randn(3, 2, 21, 5))
    rates = output.firing_rates
    torch.testing.assert_close(
        rates.detach(), output.spikes.sum(1) / (3 * 21 * torch.tensor([13, 11]))
    )
    rates.sum().backward()
    hidden: Any = network.hidden
    assert all(layer.input.weight.grad.abs().max() > 0 for layer in hidden)


def test_each_layer_may_be_recurrent() -> None:
    network = SpikingNetwork(8, [5, 4, 3], 2, recurrent=[True, False, True])
    hidden: Any = network.hidden
    assert [layer.recurrent is not None for layer in hidden] == [True, False, True]
    assert SpikingNetwork(8, [5], 2)(torch.randn(6, 1, 9, 8)).spikes.shape == (1, 6)


def test_recurrent_weights_of_adaptive_currents_start_orthogonal_without_a_diagonal() -> None:
    layer = AdaptiveLIF(6, 64, recurrent=True, neuron=AdaptiveCurrent())
    assert layer.recurrent is not None
    weight = layer.recurrent.weight.detach()
    assert weight.diagonal().count_nonzero() == 0
    product = weight @ weight.t()
    assert (product - torch.eye(64)).abs().max() < 0.2
    assert layer.recurrent.bias.count_nonzero() == 0


def test_without_an_encoder_the_features_are_the_current() -> None:
    network = SpikingNetwork(8, [5], 2, encoder_threshold=None)
    assert not any(name.startswith("encoder") for name, _ in network.named_parameters())
    layer: Any = network.hidden[0]
    features = 10 * torch.randn(6, 2, 9, 4)
    spikes, _ = layer(features.permute(2, 0, 1, 3).flatten(2))
    assert spikes.sum() > 0
    assert torch.equal(network(features).hidden[0], spikes)


@pytest.mark.parametrize("recurrent", [False, True])
def test_state_continues_a_sequence(recurrent: bool) -> None:
    torch.manual_seed(0)
    layer = AdaptiveLIF(6, 9, recurrent=recurrent)
    inputs = 20 * torch.randn(31, 4, 6)
    whole, last = layer(inputs)
    first, between = layer(inputs[:13])
    second, end = layer(inputs[13:], between)
    assert whole.mean() > 0.01
    assert torch.equal(torch.cat([first, second]), whole)
    assert all(torch.equal(a, b) for a, b in zip(end, last, strict=True))


def test_gradient_reaches_the_initial_state() -> None:
    torch.manual_seed(0)
    layer = AdaptiveLIF(6, 9, recurrent=True)
    _, state = layer(20 * torch.randn(3, 4, 6))
    state = type(state)(*(part.detach().requires_grad_() for part in state))
    spikes, _ = layer(torch.randn(5, 4, 6), state)
    spikes.sum().backward()
    assert all(part.grad is not None and part.grad.abs().sum() > 0 for part in state)


@pytest.mark.parametrize("over_time", ["mean", "last", "max"])
def test_readout_without_a_loop_is_the_leaky_integrator(over_time: Any) -> None:
    torch.manual_seed(0)
    readout = LeakyReadout(7, 3, readout=Readout(over_time, scale=2.0)).double()
    spikes = (torch.rand(19, 2, 7, dtype=torch.float64) < 0.3).double()
    alpha = torch.exp(-1 / readout.tau_mem)
    potential, potentials = torch.zeros(2, 3, dtype=torch.float64), []
    for frame in spikes:
        potential = alpha * potential + (1 - alpha) * readout.output(frame)
        potentials.append(potential)
    over = torch.stack(potentials)
    expected = {"mean": over.mean(0), "last": over[-1], "max": over.max(0).values}[over_time]
    torch.testing.assert_close(readout(spikes), 2 * expected)


def test_initialisation_is_the_papers() -> None:
    torch.manual_seed(0)
    network = SpikingNetwork(120, [256, 256], 12)
    first: Any
    second: Any
    first, second = network.hidden
    assert sum(p.numel() for p in network.parameters()) == 166_681
    assert first.input.weight.std().item() == pytest.approx((2 / (120 + 256)) ** 0.5, rel=0.02)
    assert second.recurrent.weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.02)
    assert second.input.weight.abs().max().item() <= 256**-0.5
    assert network.readout.output.weight.std().item() == pytest.approx(
        (2 / (256 + 12)) ** 0.5, rel=0.05
    )
    zero = (first.input.bias, second.recurrent.bias, network.readout.output.bias)
    assert all(bias.abs().max() == 0 for bias in zero)
    assert second.input.bias.abs().max() > 0


def test_any_depth_and_no_bias() -> None:
    network = SpikingNetwork(8, [5, 4, 3], 2, bias=False)
    output = network(torch.randn(6, 1, 9, 8))
    assert output.log_probabilities.shape == (6, 2)
    assert output.spikes.shape == (3, 6)
    hidden: Any = network.hidden
    assert [layer.recurrent is not None for layer in hidden] == [False, True, True]
    assert not any(name.endswith("bias") for name, _ in network.named_parameters())


def test_encoder_is_ternary() -> None:
    network = SpikingNetwork(4, [2], 2, encoder_threshold=0.5)
    events = network.encoder(torch.tensor([-2.0, -0.5, 0.0, 0.5, 0.51]))
    assert events.tolist() == [-1.0, 0.0, 0.0, 0.0, 1.0]
    assert network.encoder.surrogate is MULTI_GAUSSIAN
