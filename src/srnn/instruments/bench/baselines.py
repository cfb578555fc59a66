# SPDX-License-Identifier: MPL-2.0
"""Baselines: a loop over time steps, an LSTM, and the dense products alone.

Legend: T time steps, B batch, C channels, M mel bands, F = C * M inputs, H neurons, K classes.
"""

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srnn.network.encoder import TernaryEncoder
from srnn.network.layers import AdaptiveLIF
from srnn.network.model import SpikingNetwork
from srnn.network.readout import LeakyReadout


class EagerLoop(nn.Module):
    """A spiking network computed in the manner of the reference implementation.

    A loop takes each time step through both layers and the readout, and reads the firing rate of
    each layer back to the host. Nothing is shared with the operators of
    `srnn.network`: this is the equations of `srnn.network.neurons` as one writes them first, for
    the constants of the paper.

    Parameters
    ----------
    network : SpikingNetwork
        Two hidden layers, biases, the paper's constants. Its weights are copied.
    """

    def __init__(self, network: SpikingNetwork) -> None:
        super().__init__()
        first, second = network.hidden
        assert isinstance(first, AdaptiveLIF)
        assert isinstance(second, AdaptiveLIF)
        assert second.recurrent is not None
        self.threshold = copy.deepcopy(network.encoder.threshold)
        self.input = copy.deepcopy(first.input)
        self.between = copy.deepcopy(second.input)
        self.recurrent = copy.deepcopy(second.recurrent)
        self.output = copy.deepcopy(network.readout.output)
        self.tau_mem = copy.deepcopy(nn.ParameterList([first.tau_mem, second.tau_mem]))
        self.tau_adapt = copy.deepcopy(nn.ParameterList([first.tau_adapt, second.tau_adapt]))
        self.tau_readout = copy.deepcopy(network.readout.tau_mem)
        self.firing_rates: list[list[float]] = []

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, C, T, M) to log-probabilities (B, K)."""
        batch, _, steps, _ = features.shape
        state1, state2 = (_rest(features.new_zeros(batch, len(tau))) for tau in self.tau_mem)
        potential = total = features.new_zeros(batch, len(self.tau_readout))
        events = _spike(features - self.threshold) - _spike(-self.threshold - features)
        self.firing_rates = [[], []]
        for t in range(steps):
            current = self.input(events[:, :, t].flatten(1))  # (B, H)
            state1 = _neuron(current, state1, self.tau_mem[0], self.tau_adapt[0])
            current = self.between(state1[0]) + self.recurrent(state2[0])
            state2 = _neuron(current, state2, self.tau_mem[1], self.tau_adapt[1])
            alpha = torch.exp(-1 / self.tau_readout)
            potential = alpha * potential + (1 - alpha) * self.output(state2[0])
            total = total + potential
            for rates, state in zip(self.firing_rates, (state1, state2), strict=True):
                rates.append(state[0].mean().item())
        return F.log_softmax(total / steps, dim=1)


_Neurons = tuple[Tensor, Tensor, Tensor]  # spikes, potential, adaptation; each (B, H)


def _rest(zeros: Tensor) -> _Neurons:
    return zeros, zeros, torch.full_like(zeros, 1.6)


def _neuron(current: Tensor, state: _Neurons, tau_mem: Tensor, tau_adapt: Tensor) -> _Neurons:
    spikes, potential, adaptation = state
    alpha = torch.exp(-1 / tau_mem)
    rho = torch.exp(-1 / tau_adapt)
    adaptation = rho * adaptation + (1 - rho) * spikes
    threshold = 1.6 + 0.184 * adaptation
    potential = alpha * potential + (1 - alpha) * current - threshold * spikes
    return _spike(potential - threshold), potential, adaptation


def _spike(distance: Tensor) -> Tensor:
    spikes: Tensor = _MultiGaussian.apply(distance)
    return spikes


class _MultiGaussian(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, distance: Tensor) -> Tensor:
        context.save_for_backward(distance)
        return distance.gt(0).float()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (x,) = context.saved_tensors
        bump = 1.15 * _density(x, 0.0, 0.5)
        bump = bump - 0.15 * _density(x, 0.5, 3.0) - 0.15 * _density(x, -0.5, 3.0)
        return gradient * 0.5 * bump


def _density(x: Tensor, mean: float, std: float) -> Tensor:
    peak = 1 / (math.sqrt(2 * math.pi) * std)
    return torch.exp(-((x - mean) ** 2) / (2 * std**2)) * peak


class LstmNetwork(nn.Module):
    """Two LSTM layers in the place of the two spiking ones, with the same input and readout."""

    def __init__(self, inputs: int, size: int, classes: int) -> None:
        super().__init__()
        self.encoder = TernaryEncoder(backend="reference")
        self.hidden = nn.LSTM(inputs, size, num_layers=2)
        self.readout = LeakyReadout(size, classes, backend="reference")

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, C, T, M) to log-probabilities (B, K)."""
        hidden, _ = self.hidden(self.encoder(features).permute(2, 0, 1, 3).flatten(2))
        return F.log_softmax(self.readout(hidden), dim=-1)


class DenseProducts:
    """The matrix products of a step alone, each one call for all time steps, without allocation.

    Going forward a product for each weight matrix: W1 x, W2 s1, Wr s2, Wo s2. Going backward two
    for each: the gradients of its weights and of its inputs. What a dense engine cannot do
    without.
    """

    def __init__(
        self, rows: int, inputs: int, size: int, classes: int, device: torch.device
    ) -> None:
        self.products = [
            _Product(rows, columns, outputs, device)
            for columns, outputs in [(inputs, size), (size, size), (size, size), (size, classes)]
        ]

    def forward(self) -> None:
        """Do the products of a forward pass."""
        for product in self.products:
            product.forward()

    def step(self) -> None:
        """Do the products of a training step."""
        self.forward()
        for product in self.products:
            product.backward()


class _Product:
    """One weight matrix, its operands and results."""

    def __init__(self, rows: int, inputs: int, outputs: int, device: torch.device) -> None:
        self.inputs = torch.randn(rows, inputs, device=device)
        self.weight = torch.randn(outputs, inputs, device=device)
        self.outputs = torch.randn(rows, outputs, device=device)
        self.result = torch.empty_like(self.outputs)
        self.grad_inputs = torch.empty_like(self.inputs)
        self.grad_weight = torch.empty_like(self.weight)

    def forward(self) -> None:
        torch.mm(self.inputs, self.weight.T, out=self.result)

    def backward(self) -> None:
        torch.mm(self.outputs, self.weight, out=self.grad_inputs)
        torch.mm(self.outputs.T, self.inputs, out=self.grad_weight)
