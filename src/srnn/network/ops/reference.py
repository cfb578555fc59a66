# SPDX-License-Identifier: MPL-2.0
"""The definition of the operators, in plain torch, differentiated by autograd.

Legend: T time steps, B batch, I inputs, O outputs, H neurons, L parameters of a neuron.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from srnn.network.neurons.base import Neuron, State
from srnn.network.ops import shapes
from srnn.network.surrogate import Surrogate, spike


def layer(
    inputs: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    recurrent_weight: Tensor | None,
    parameters: Tensor,
    neuron: Neuron,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Multiply inputs with weights and run a layer of neurons on them over a whole sequence.

    In one call because the current between the two then need not go through memory.

    Parameters
    ----------
    inputs : Tensor, shape (T, B, I), T >= 1
    weight : Tensor, shape (H, I), or None
        None: the inputs are the current.
    bias : Tensor, shape (H,), or None
    recurrent_weight : Tensor, shape (H, H), or None
        Row i holds the weights of the spikes of all neurons, one step earlier, onto neuron i;
        None for a feed-forward layer.
    parameters : Tensor, shape (L, H)
        Parameters of the neurons: what ``neuron.parameters`` returns.
    neuron : Neuron
        Has the equations.
    state : State, optional
        State to go on from; ``neuron.initial_state`` if not given.

    Returns
    -------
    spikes : Tensor, shape (T, B, H), of zeros and ones
    state : State
        The state after the last step: passing it to the next call continues the sequence.
    """
    shapes.layer(inputs, weight, bias, recurrent_weight, parameters, state, len(neuron.learnable))
    current = inputs if weight is None else spike_linear(inputs, weight, bias)
    state = neuron.initial_state(current[0]) if state is None else state
    spikes = []
    for inflow in current:
        if recurrent_weight is not None:
            inflow = inflow + F.linear(state.spikes, recurrent_weight)
        state = neuron.step(inflow, state, parameters)
        spikes.append(state.spikes)
    return torch.stack(spikes), state


def spike_linear(spikes: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply spikes with weights.

    Parameters
    ----------
    spikes : Tensor, shape (T, B, I)
        Any values; the fewer differ from 0, the faster a kernel for spikes is.
    weight : Tensor, shape (O, I)
    bias : Tensor, shape (O,), optional

    Returns
    -------
    Tensor, shape (T, B, O)
    """
    shapes.spike_linear(spikes, weight, bias)
    return F.linear(spikes, weight, bias)


def moments(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean (I,) and covariance (I, I) of inputs (T, B, I) over all steps and clips."""
    shapes.sequence(inputs)
    vectors = inputs.flatten(0, 1)
    mean = vectors.mean(dim=0)
    centred = vectors - mean  # E[xx'] - E[x]E[x'] would be rounding where means are large
    return mean, centred.t() @ centred / len(vectors)


def ternary(features: Tensor, threshold: Tensor, surrogate: Surrogate) -> Tensor:
    """Turn each feature into +1 above the threshold, -1 below its negative, else 0.

    Parameters
    ----------
    features : Tensor of any shape
    threshold : Tensor, a scalar
    surrogate : Surrogate
        Stands in for the derivative of both steps.
    """
    shapes.ternary(features, threshold)
    return spike(features - threshold, surrogate) - spike(-threshold - features, surrogate)
