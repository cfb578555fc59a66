# SPDX-License-Identifier: MPL-2.0
"""The adaptive-threshold neuron in numba, for vectors of neurons; `definition` has the equations.

`srnn.network.ops.cpu.neuron` describes the functions.
"""

from typing import Any, NamedTuple

import numpy as np

from srnn.network.ops.cpu.compilation import kernel
from srnn.network.ops.cpu.simd import full, heaviside, load


class AdaptiveThreshold(NamedTuple):
    """The parameters of a layer, then its constants."""

    alpha: Any
    rho: Any
    threshold: float
    adaptation: float


@kernel
def adapt(neuron: Any, h: int, s: Any, v: Any, b: Any) -> Any:
    """Return the adaptation one time step later."""
    rho = load(neuron.rho, h)
    return rho * b + (full(np.float32(1)) - rho) * s


@kernel
def distance(neuron: Any, v: Any, b: Any) -> Any:
    """Return potential minus threshold."""
    return v - _raised(neuron, b)


@kernel
def step(neuron: Any, h: int, current: Any, s: Any, v: Any, b: Any) -> Any:
    """Return the state one time step later."""
    alpha = load(neuron.alpha, h)
    b = adapt(neuron, h, s, v, b)
    raised = _raised(neuron, b)
    v = alpha * v + (full(np.float32(1)) - alpha) * current - raised * s
    return heaviside(v - raised), v, b


@kernel
def step_backward(
    neuron: Any,
    h: int,
    grad_s: Any,
    grad_v: Any,
    grad_b: Any,
    v: Any,
    b: Any,
    s_before: Any,
    v_before: Any,
    b_before: Any,
    derivative: Any,
) -> Any:
    """Return the gradients before one time step."""
    one = full(np.float32(1))
    alpha, rho = load(neuron.alpha, h), load(neuron.rho, h)
    raised = _raised(neuron, b)
    through_spike = grad_s * derivative
    grad_v = grad_v + through_spike
    grad_raised = full(np.float32(0)) - through_spike - s_before * grad_v
    grad_b = grad_b + full(np.float32(neuron.adaptation)) * grad_raised
    return (
        (one - alpha) * grad_v,
        (one - rho) * grad_b - raised * grad_v,
        alpha * grad_v,
        rho * grad_b,
        # v_before - I, times 1 - alpha: the input current itself need not be kept.
        (grad_v * (v_before - v - raised * s_before), grad_b * (b_before - s_before)),
    )


@kernel
def _raised(neuron: Any, b: Any) -> Any:
    return full(np.float32(neuron.threshold)) + full(np.float32(neuron.adaptation)) * b
