# SPDX-License-Identifier: MPL-2.0
"""Initialisation at a given firing rate: input weights are scaled layer by layer.

Fresh weights may leave a layer silent, and a silent layer passes on almost no gradient. The input
weights of each layer, from the first to the last, are scaled until it fires at a given rate on some
clips (after Mishkin and Matas 2016, "All you need is a good init",
https://arxiv.org/abs/1511.06422, who scale to unit variance).

Legend: T time steps, B batch, C channels, M mel bands, H neurons.
"""

import copy

import torch
from torch import Tensor

from srnn.network.layers import AdaptiveLIF
from srnn.network.model import SpikingNetwork
from srnn.settings import Keys, key

_OCTAVES = 12  # factors from 2^-12 to 2^12 are tried
_HALVINGS = 16  # of that range: the factor is right to a few parts in ten thousand


class ScalingKeys(Keys):
    """The firing rate at initialisation."""

    firing_start: float = key(
        0.0,
        "firing rate of every hidden layer at initialisation: the input weights are scaled "
        "until the layer has this rate on training clips, unless the weights come from another run "
        "(`--init`); 0: no scaling, as in the reference implementation",
        "spikes per neuron and time step",
        ge=0,
        le=0.5,
    )


@torch.no_grad()
def scale_to_firing_rate(network: SpikingNetwork, features: Tensor, rate: float) -> list[float]:
    """Scale the input weights of each hidden layer so that it fires at ``rate``.

    With batch normalisation its weight is scaled instead.

    Parameters
    ----------
    network : SpikingNetwork
        Its hidden layers are changed.
    features : Tensor, shape (B, C, T, M)
        Normalised features of clips, as in training.
    rate : float, 0 < rate < 1
        Spikes per neuron and time step.

    Returns
    -------
    list of float
        The resulting rate of each layer. It differs from ``rate`` if no factor reaches it, as for
        inputs of zero.
    """
    inputs = network.encode(features)
    reached = []
    for layer in network.hidden:
        assert isinstance(layer, AdaptiveLIF)
        _scale(layer, _factor(layer, inputs, rate))
        inputs = _spikes(layer, inputs)
        reached.append(inputs.mean().item())
    return reached


def _factor(layer: AdaptiveLIF, inputs: Tensor, rate: float) -> float:
    """Return the factor at which a layer fires at ``rate``, found by bisection."""
    low, high = -float(_OCTAVES), float(_OCTAVES)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        scaled = copy.deepcopy(layer)
        _scale(scaled, 2.0**middle)
        if _spikes(scaled, inputs).mean() < rate:
            low = middle
        else:
            high = middle
    return float(2.0**high)


def _scale(layer: AdaptiveLIF, factor: float) -> None:
    if layer.norm is not None:
        layer.norm.weight.mul_(factor)
        return
    layer.input.weight.mul_(factor)
    if layer.input.bias is not None:
        layer.input.bias.mul_(factor)


def _spikes(layer: AdaptiveLIF, inputs: Tensor) -> Tensor:
    """Return the spikes (T, B, H) of a layer in training; its running averages stay as they are."""
    spikes: Tensor = copy.deepcopy(layer).train()(inputs)[0]
    return spikes
