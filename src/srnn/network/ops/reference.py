# SPDX-License-Identifier: MPL-2.0
"""The operators in plain torch, differentiated by autograd: the definition of what they compute.

Legend: T time steps, B batch, H neurons of the layer, I inputs, O outputs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from srnn.network.neuron import ADAPTATION, THRESHOLD, State, decay, initial_state, step
from srnn.network.surrogate import Surrogate, spike


def alif(
    current: Tensor,
    recurrent_weight: Tensor | None,
    tau_mem: Tensor,
    tau_adapt: Tensor,
    surrogate: Surrogate,
    state: State | None = None,
    *,
    threshold: float = THRESHOLD,
    adaptation: float = ADAPTATION,
) -> tuple[Tensor, State]:
    """Run a layer of adaptive LIF neurons over a whole sequence.

    Parameters
    ----------
    current : Tensor, shape (T, B, H), T >= 1
        Input current of every step, biases included.
    recurrent_weight : Tensor, shape (H, H), or None
        Row i holds the weights of the spikes of all neurons, one step earlier, onto neuron i;
        None for a feed-forward layer.
    tau_mem, tau_adapt : Tensor, shape (H,), above 0
        Time constants of membrane and threshold, in time steps.
    surrogate : Surrogate
        Stands in for the derivative of the step function.
    state : State, optional
        State to go on from; that of `initial_state` if not given.
    threshold, adaptation : float
        Constants of `srnn.network.neuron.step`.

    Returns
    -------
    spikes : Tensor, shape (T, B, H), of zeros and ones
    state : State
        The state after the last step: passing it to the next call continues the sequence.
    """
    state = initial_state(current[0], threshold) if state is None else state
    alpha, rho = decay(tau_mem), decay(tau_adapt)
    spikes = []
    for inflow in current:
        if recurrent_weight is not None:
            inflow = inflow + F.linear(state.spikes, recurrent_weight)
        state = step(
            inflow, state, alpha, rho, surrogate, threshold=threshold, adaptation=adaptation
        )
        spikes.append(state.spikes)
    return torch.stack(spikes), state


def alif_layer(
    inputs: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    recurrent_weight: Tensor | None,
    tau_mem: Tensor,
    tau_adapt: Tensor,
    surrogate: Surrogate,
    state: State | None = None,
    *,
    threshold: float = THRESHOLD,
    adaptation: float = ADAPTATION,
) -> tuple[Tensor, State]:
    """Multiply inputs with weights and run a layer of neurons on them, see `alif`.

    In one call because the current between the two then need not go through memory.

    Parameters
    ----------
    inputs : Tensor, shape (T, B, I)
    weight : Tensor, shape (H, I), or None
        None: the inputs are the current.
    bias : Tensor, shape (H,), or None
    """
    current = inputs if weight is None else spike_linear(inputs, weight, bias)
    return alif(
        current,
        recurrent_weight,
        tau_mem,
        tau_adapt,
        surrogate,
        state,
        threshold=threshold,
        adaptation=adaptation,
    )


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
    return F.linear(spikes, weight, bias)


def ternary(features: Tensor, threshold: Tensor, surrogate: Surrogate) -> Tensor:
    """Turn each feature into +1 above the threshold, -1 below its negative, else 0.

    Parameters
    ----------
    features : Tensor of any shape
    threshold : Tensor, a scalar
    surrogate : Surrogate
        Stands in for the derivative of both steps.
    """
    return spike(features - threshold, surrogate) - spike(-threshold - features, surrogate)
