# SPDX-License-Identifier: MPL-2.0
"""The leaky integrate-and-fire neuron in numba, for vectors of neurons.

`definition` has the equations; `srnn.network.ops.cpu.neuron` describes the functions.
"""

from typing import Any, NamedTuple

import numpy as np

from srnn.network.ops.cpu.compilation import kernel
from srnn.network.ops.cpu.simd import full, heaviside, load


class LeakyIntegrateAndFire(NamedTuple):
    """The parameter of a layer, then its constant."""

    alpha: Any
    threshold: float


@kernel
def adapt(neuron: Any, h: int, s: Any, v: Any, b: Any) -> Any:
    """Return the adaptation one time step later: the neuron has none."""
    return b


@kernel
def distance(neuron: Any, v: Any, b: Any) -> Any:
    """Return potential minus threshold."""
    return v - full(np.float32(neuron.threshold))


@kernel
def step(neuron: Any, h: int, current: Any, s: Any, v: Any, b: Any) -> Any:
    """Return the state one time step later."""
    alpha = load(neuron.alpha, h)
    reset = full(np.float32(neuron.threshold)) * s
    v = alpha * v + (full(np.float32(1)) - alpha) * current - reset
    return heaviside(distance(neuron, v, b)), v, b


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
    alpha, threshold = load(neuron.alpha, h), full(np.float32(neuron.threshold))
    grad_v = grad_v + grad_s * derivative
    return (
        (full(np.float32(1)) - alpha) * grad_v,
        full(np.float32(0)) - threshold * grad_v,
        alpha * grad_v,
        grad_b,
        # v_before - I, times 1 - alpha: the input current itself need not be kept.
        (grad_v * (v_before - v - threshold * s_before),),
    )
