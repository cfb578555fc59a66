# SPDX-License-Identifier: MPL-2.0
"""One step of the adaptive LIF neuron, forward and back; `srnn.network.neuron.step` defines it.

The only place that knows this neuron's equations, for vectors of neurons.
"""

from typing import Any

import numpy as np

from srnn.network.ops.kernels.compilation import kernel
from srnn.network.ops.kernels.simd import full, heaviside


@kernel
def advance(
    current: Any, s: Any, v: Any, b: Any, alpha: Any, rho: Any, threshold: Any, adaptation: Any
) -> Any:
    """Return spikes, potential and adaptation one time step later, rounded as the definition is."""
    one = full(np.float32(1))
    b = rho * b + (one - rho) * s
    raised = threshold + adaptation * b
    v = alpha * v + (one - alpha) * current - raised * s
    return heaviside(v - raised), v, b


@kernel
def retreat(
    grad_s: Any,
    grad_v: Any,
    grad_b: Any,
    v: Any,
    b: Any,
    s_before: Any,
    v_before: Any,
    b_before: Any,
    alpha: Any,
    rho: Any,
    threshold: Any,
    adaptation: Any,
    derivative: Any,
) -> Any:
    """Go back one time step.

    Takes the gradients of the state after the step (``grad_v`` and ``grad_b`` without what flows
    through this step's own spikes and threshold) and the surrogate's derivative; returns the
    gradients of the current, of the state before the step, and the step's shares of those of
    alpha, times 1 - alpha, and rho.
    """
    one = full(np.float32(1))
    raised = threshold + adaptation * b
    through_spike = grad_s * derivative
    grad_v = grad_v + through_spike
    grad_raised = full(np.float32(0)) - through_spike - s_before * grad_v
    grad_b = grad_b + adaptation * grad_raised
    return (
        (one - alpha) * grad_v,
        (one - rho) * grad_b - raised * grad_v,
        alpha * grad_v,
        rho * grad_b,
        # v_before - I, times 1 - alpha: the input current itself need not be kept.
        grad_v * (v_before - v - raised * s_before),
        grad_b * (b_before - s_before),
    )
