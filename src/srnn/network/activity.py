# SPDX-License-Identifier: MPL-2.0
"""The activity of a network during one clip: events, spikes and potentials, step by step.

The kernels keep no potentials. They follow from what a layer received and from the spikes it fired,
one step after the other by the equations of `srnn.network.neurons`.

Legend: T time steps, C channels, M mel bands, F = C * M inputs, H neurons, R readouts, K classes.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from srnn.network.encoder import TernaryEncoder
from srnn.network.layers import AdaptiveLIF
from srnn.network.model import SpikingNetwork, of_classes

Array = NDArray[np.float32]


@dataclass(frozen=True)
class LayerActivity:
    """Spikes and states of the neurons of a hidden layer; arrays of shape (T, H), float32.

    Attributes
    ----------
    spikes : array
        1 where a neuron fires, else 0.
    potential : array
        The membrane potential that is compared with the threshold of the same step; the reset
        by a spike takes effect in the next step.
    threshold : array
        The firing threshold, see `Neuron.firing_threshold` of the kind; only that of
        `adaptive_threshold` changes in time.
    adaptation : array
        A low-pass filter of the neuron's own spikes, which raises the threshold
        (`adaptive_threshold`), or the current that counteracts the input (`adaptive_current`);
        zeros in kinds without adaptation.
    """

    spikes: Array
    potential: Array
    threshold: Array
    adaptation: Array


@dataclass(frozen=True)
class Activity:
    """The activity of a network during one clip.

    Attributes
    ----------
    features : array, shape (C, T, M), float32
        The normalised features of the clip.
    encoded : bool
        Whether an encoder turns the features into events.
    inputs : array, shape (T, F), float32
        What the first layer receives: events -1, 0 and 1, or, without an encoder, the features.
        Column c * M + m is that of channel c and mel band m of M.
    layers : tuple of LayerActivity
        The hidden layers, first to last.
    readout : array, shape (T, R), float32
        The potentials of the readouts, in the order of the labels; the last label may have several.
    log_probabilities : array, shape (K,), float32
        What comes out: the log-probability of each label.
    probabilities : array, shape (T, K), float32
        The probability of each label if the clip ended with the respective time step; those of the
        last step are what comes out.
    """

    features: Array
    encoded: bool
    inputs: Array
    layers: tuple[LayerActivity, ...]
    readout: Array
    log_probabilities: Array
    probabilities: Array


@torch.no_grad()
def activity(network: SpikingNetwork, features: Tensor) -> Activity:
    """Return what ``network`` does with the normalised features (1, C, T, M) of one clip.

    Spikes and log-probabilities are those of the network, bit by bit; potentials are right to the
    rounding errors of float32.

    Raises
    ------
    ValueError
        If there are features of several clips.
    """
    (own,) = features
    output = network(features)
    below, layers = output.inputs, []
    for layer, spikes in zip(network.hidden, output.hidden, strict=True):
        assert isinstance(layer, AdaptiveLIF)
        layers.append(_layer_activity(layer, below, spikes))
        below = spikes
    potentials = network.readout.potentials(below)  # (T, 1, R)
    log_probs = F.log_softmax(network.readout.running_scores(potentials), dim=-1)
    return Activity(
        _array(own),
        isinstance(network.encoder, TernaryEncoder),
        _array(output.inputs[:, 0]),
        tuple(layers),
        _array(potentials[:, 0]),
        _array(output.log_probabilities[0]),
        _array(of_classes(log_probs, network.classes).exp()[:, 0]),
    )


def _layer_activity(layer: AdaptiveLIF, inputs: Tensor, spikes: Tensor) -> LayerActivity:
    """Follow a layer through inputs (T, 1, I), on which it fired spikes (T, 1, H)."""
    weight, bias, recurrent_weight, parameters = layer.weights(inputs)
    current = F.linear(inputs, weight, bias)
    if recurrent_weight is not None:
        current[1:] += F.linear(spikes[:-1], recurrent_weight)
    state, states = layer.neuron.initial_state(current[0]), []
    for inflow, fired in zip(current, spikes, strict=True):
        # Not the spikes of this step: at the threshold, rounding errors would decide otherwise.
        state = layer.neuron.step(inflow, state, parameters)._replace(spikes=fired)
        states.append(state)
    adaptation = torch.cat([state.adaptation for state in states])
    return LayerActivity(
        _array(spikes[:, 0]),
        _array(torch.cat([state.potential for state in states])),
        _array(layer.neuron.firing_threshold(adaptation)),
        _array(adaptation),
    )


def _array(tensor: Tensor) -> Array:
    return np.array(tensor.numpy(force=True))
