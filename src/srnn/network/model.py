# SPDX-License-Identifier: MPL-2.0
"""The whole network: encoder, hidden layers, readout.

Legend: T time steps, B batch, C channels, M mel bands, F = C * M inputs, H neurons, K classes.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srnn.network.encoder import TernaryEncoder
from srnn.network.layers import AdaptiveLIF, LeakyReadout
from srnn.network.neuron import Neuron, Spread


class Output(NamedTuple):
    """What the network says of a batch.

    Attributes
    ----------
    log_probabilities : Tensor, shape (B, K)
    hidden : tuple of Tensor, each of shape (T, B, H)
        The spikes of each hidden layer.
    """

    log_probabilities: Tensor
    hidden: tuple[Tensor, ...]

    @property
    def spikes(self) -> Tensor:
        """Spikes of each hidden layer for each clip, shape (hidden layers, B), without a graph."""
        return torch.stack([spikes.detach().sum(dim=(0, 2)) for spikes in self.hidden])


class SpikingNetwork(nn.Module):
    """An adaptive spiking recurrent network for classifying feature maps of sound.

    Features are encoded as ternary events, go through one feed-forward and any number of recurrent
    layers of adaptive LIF neurons, and are read out by leaky integrators, whose mean potential over
    time gives the class (Yin, Corradi and Bohté 2021).

    Parameters
    ----------
    input_size : int
        Inputs of a time step, F.
    hidden_sizes : sequence of int
        Neurons of each hidden layer; the first is feed-forward, the others recurrent.
    classes : int
        Classes K.
    bias : bool
        Whether the products with the weights have biases.
    neuron : Neuron
        Constants of the hidden neurons.
    encoder_threshold : float >= 0
        Where the encoder's threshold starts.
    tau_readout : Spread
        Where the readout's time constants start, in time steps.
    backend : "auto" or "reference"
        See `srnn.network.ops.BACKENDS`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int],
        classes: int,
        *,
        bias: bool = True,
        neuron: Neuron | None = None,
        encoder_threshold: float = 0.05,
        tau_readout: Spread | None = None,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        neuron = neuron or Neuron()
        self.encoder = TernaryEncoder(encoder_threshold, neuron.surrogate, backend=backend)
        self.hidden_sizes = tuple(hidden_sizes)
        sizes = [input_size, *hidden_sizes]
        self.hidden = nn.ModuleList(
            AdaptiveLIF(
                below, above, recurrent=depth > 0, bias=bias, neuron=neuron, backend=backend
            )
            for depth, (below, above) in enumerate(itertools.pairwise(sizes))
        )
        self.readout = LeakyReadout(sizes[-1], classes, bias=bias, tau=tau_readout, backend=backend)

    def forward(self, features: Tensor) -> Output:
        """Classify a batch of normalised features of shape (B, C, T, M)."""
        events = self.encoder(features.transpose(1, 2).flatten(2))  # (B, T, F), channel by channel
        spikes = events.transpose(0, 1)  # (T, B, F)
        hidden = []
        for layer in self.hidden:
            spikes, _ = layer(spikes)  # (T, B, H)
            hidden.append(spikes)
        return Output(F.log_softmax(self.readout(spikes), dim=-1), tuple(hidden))
