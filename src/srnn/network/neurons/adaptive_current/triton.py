# SPDX-License-Identifier: MPL-2.0
"""The adaptive-current neuron in Triton; `definition` has the equations.

`srnn.network.ops.cuda.neuron` describes the functions.
"""

import triton
import triton.language as tl


@triton.jit
def adapt(spikes, potential, adapted, p):
    """Return the adaptation one time step later."""
    _, rho, a, c = p
    return rho * adapted + a * potential + c * spikes


@triton.jit
def step(inflow, spikes, potential, adapted, p):
    """Return the state one time step later."""
    alpha, _, _, _ = p
    adapted = adapt(spikes, potential, adapted, p)
    potential = alpha * (potential - spikes) + (1 - alpha) * (inflow - adapted)
    return tl.where(potential - 1 > 0, 1.0, 0.0), potential, adapted


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
    alpha, rho, a, c = p
    grad_distance = grad_spikes * derivative(potential - 1)
    grad_potential = grad_distance + later_potential
    grad_inflow = (1 - alpha) * grad_potential
    grad_adapted = later_adapted - grad_inflow
    return (
        grad_inflow,
        c * grad_adapted - alpha * grad_potential,
        alpha * grad_potential + a * grad_adapted,
        rho * grad_adapted,
        (
            grad_potential * (potential_before - spikes_before - potential),
            grad_adapted * adapted_before,
            grad_adapted * potential_before,
            grad_adapted * spikes_before,
        ),
    )
