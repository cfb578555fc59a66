# SPDX-License-Identifier: MPL-2.0
"""A network that continues from the state of the time steps before.

Legend: T time steps, B batch, C channels, M mel bands, F inputs, H neurons, R outputs, K classes.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from srnn.network.layers import AdaptiveLIF
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import State


class NetworkState(NamedTuple):
    """What a network carries from one time step to the next.

    Attributes
    ----------
    hidden : tuple of State
        Of each hidden layer.
    potential : Tensor, shape (B, R)
        Of the readout.
    """

    hidden: tuple[State, ...]
    potential: Tensor


class Steps(NamedTuple):
    """What a network computes in some time steps.

    Attributes
    ----------
    inputs : Tensor, shape (T, B, F)
        Input of the first layer: events, or features.
    hidden : tuple of Tensor, each of shape (T, B, H)
        The spikes of each hidden layer.
    potentials : Tensor, shape (T, B, R)
        The potentials of the readout, see `LeakyReadout.scores`.
    """

    inputs: Tensor
    hidden: tuple[Tensor, ...]
    potentials: Tensor


@torch.no_grad()
def advance(
    network: SpikingNetwork, features: Tensor, state: NetworkState | None = None
) -> tuple[Steps, NetworkState]:
    """Run a network over further time steps.

    Parameters
    ----------
    network : SpikingNetwork
        In evaluation.
    features : Tensor, shape (B, C, T, M), T >= 1
        Normalised.
    state : NetworkState, optional
        The state that an earlier call returned; at rest if not given.

    Returns
    -------
    steps : Steps
    state : NetworkState
        The state after the last step.
    """
    inputs = below = network.encode(features)
    states = [None] * len(network.hidden) if state is None else state.hidden
    spikes, after = [], []
    for layer, before in zip(network.hidden, states, strict=True):
        assert isinstance(layer, AdaptiveLIF)
        below, layer_state = layer(below, before)
        spikes.append(below)
        after.append(layer_state)
    potentials = network.readout.potentials(below, None if state is None else state.potential)
    return Steps(inputs, tuple(spikes), potentials), NetworkState(tuple(after), potentials[-1])
