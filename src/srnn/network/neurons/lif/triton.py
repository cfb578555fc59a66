# SPDX-License-Identifier: MPL-2.0
"""The leaky integrate-and-fire neuron in Triton; `definition` has the equations.

`srnn.network.ops.cuda.neuron` describes the functions.
"""

import triton
import triton.language as tl


@triton.jit
def adapt(spikes, potential, adapted, p):
    """Return the adaptation one time step later: the neuron has none."""
    return adapted


@triton.jit
def step(inflow, spikes, potential, adapted, p):
    """Return the state one time step later."""
    alpha, threshold = p
    potential = alpha * potential + (1 - alpha) * inflow - threshold * spikes
    return tl.where(potential - threshold > 0, 1.0, 0.0), potential, adapted


@triton.jit
def step_backward(
    grad_spikes,
    later_potential,
    later_adapted,
    spikes_before,
    potential_before,
    adapted_before,
    potential,
    adapted,
    p,
    derivative: tl.constexpr,
):
    """Return the gradients before one time step."""
    alpha, threshold = p
    grad_potential = grad_spikes * derivative(potential - threshold) + later_potential
    return (
        (1 - alpha) * grad_potential,
        -threshold * grad_potential,
        alpha * grad_potential,
        later_adapted,
        (grad_potential * (potential_before - potential - threshold * spikes_before),),
    )
