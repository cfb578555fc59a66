# SPDX-License-Identifier: MPL-2.0
"""The whole network against an independent version of it, written out step by step in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor

from srnn.network.layers import AdaptiveLIF, LeakyReadout
from srnn.network.model import SpikingNetwork
from srnn.network.neuron import Neuron, Spread
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
    network = SpikingNetwork(2 * 5, [13, 11], 4, neuron=Neuron(tau_mem=Spread(5.0, 2.0))).double()
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


def test_readout_without_a_loop_is_the_leaky_integrator() -> None:
    torch.manual_seed(0)
    readout = LeakyReadout(7, 3).double()
    spikes = (torch.rand(19, 2, 7, dtype=torch.float64) < 0.3).double()
    alpha = torch.exp(-1 / readout.tau_mem)
    potential, total = torch.zeros(2, 3, dtype=torch.float64), 0
    for frame in spikes:
        potential = alpha * potential + (1 - alpha) * readout.output(frame)
        total = total + potential
    torch.testing.assert_close(readout(spikes), total / 19)


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
