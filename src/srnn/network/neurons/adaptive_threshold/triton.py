# SPDX-License-Identifier: MPL-2.0
"""The adaptive-threshold neuron in Triton; `definition` has the equations.

`srnn.network.ops.cuda.neuron` describes the functions.
"""

import triton
import triton.language as tl


@triton.jit
def adapt(spikes, potential, adapted, p):
    """Return the adaptation one time step later."""
    _, rho, _, _ = p
    return rho * adapted + (1 - rho) * spikes


@triton.jit
def step(inflow, spikes, potential, adapted, p):
    """Return the state one time step later."""
    alpha, _, threshold, adaptation = p
    adapted = adapt(spikes, potential, adapted, p)
    raised = threshold + adaptation * adapted
    potential = alpha * potential + (1 - alpha) * inflow - raised * spikes
    return tl.where(potential - raised > 0, 1.0, 0.0), potential, adapted


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
    alpha, rho, threshold, adaptation = p
    raised = threshold + adaptation * adapted
    grad_distance = grad_spikes * derivative(potential - raised)
    grad_potential = grad_distance + later_potential
    grad_raised = -grad_distance - spikes_before * grad_potential
    grad_adapted = adaptation * grad_raised + later_adapted
    return (
        (1 - alpha) * grad_potential,
        (1 - rho) * grad_adapted - raised * grad_potential,
        alpha * grad_potential,
        rho * grad_adapted,
        (
            grad_potential * (potential_before - potential - raised * spikes_before),
            grad_adapted * (adapted_before - spikes_before),
        ),
    )
