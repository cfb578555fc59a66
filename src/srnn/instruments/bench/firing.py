# SPDX-License-Identifier: MPL-2.0
"""Networks that fire at a given rate: a fresh one is silent, which flatters a sparse engine.

Legend: T time steps, B batch, C channels, M mel bands.
"""

import math

import torch
from torch import Tensor

from srnn.network.layers import AdaptiveLIF
from srnn.network.model import SpikingNetwork

_MEMORY = 0.9  # correlation of a feature from one time step to the next
_EVENTS_A_FEATURE = 1 / 3  # as many are no zeros when speech has been encoded
_CURRENTS = (-2.0, 40.0)  # added to those of all neurons: none fires; they fire every other step
_HALVINGS = 13


def random_features(batch: int, shape: tuple[int, int, int], threshold: float) -> Tensor:
    """Return features, shape (B, C, T, M), a third of which exceed ``threshold`` in size.

    Each band is Gaussian noise that changes as slowly as speech does. Always the same.

    Parameters
    ----------
    batch : int
    shape : tuple of int
        (C, T, M).
    threshold : float > 0
        That of the encoder.
    """
    noise = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))
    fresh = math.sqrt(1 - _MEMORY**2)
    for t in range(1, shape[1]):
        noise[:, :, t] = _MEMORY * noise[:, :, t - 1] + fresh * noise[:, :, t]
    exceeded = math.sqrt(2) * torch.erfinv(torch.tensor(1 - _EVENTS_A_FEATURE)).item()
    return noise * (threshold / exceeded)


@torch.no_grad()
def calibrate(network: SpikingNetwork, features: Tensor, rate: float) -> None:
    """Shift the biases of each hidden layer so that it fires at ``rate``.

    Parameters
    ----------
    network : SpikingNetwork
        With biases, or in training with batch normalisation.
    features : Tensor, shape (B, C, T, M)
        What it fires at.
    rate : float, 0 to 0.4
        Spikes per neuron and time step; 0: none at all.
    """
    spikes = network.encode(features)  # (T, B, C * M)
    for layer in network.hidden:
        assert isinstance(layer, AdaptiveLIF)
        bias = layer.input.bias if layer.norm is None else layer.norm.bias
        fresh = bias.clone()
        low, high = _CURRENTS
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            bias.copy_(fresh + middle)
            fires_more = layer(spikes)[0].mean().item() > rate
            low, high = (low, middle) if fires_more else (middle, high)
        bias.copy_(fresh + low)
        spikes, _ = layer(spikes)


@torch.no_grad()
def firing_rates(network: SpikingNetwork, features: Tensor) -> list[float]:
    """Return the spikes per neuron and time step of each hidden layer."""
    batch, _, steps, _ = features.shape
    counts = network(features).spikes.sum(dim=1).tolist()
    places = [batch * steps * size for size in network.hidden_sizes]
    return [count / place for count, place in zip(counts, places, strict=True)]
