# SPDX-License-Identifier: MPL-2.0
"""The adaptive-current neuron in numba, for vectors of neurons; `definition` has the equations.

`srnn.network.ops.cpu.neuron` describes the functions.
"""

from typing import Any, NamedTuple

import numpy as np

from srnn.network.ops.cpu.compilation import kernel
from srnn.network.ops.cpu.simd import full, heaviside, load


class AdaptiveCurrent(NamedTuple):
    """The parameters of a layer, then its constants."""

    alpha: Any
    rho: Any
    a: Any
    c: Any


@kernel
def adapt(neuron: Any, h: int, s: Any, v: Any, b: Any) -> Any:
    """Return the adaptation one time step later."""
    return load(neuron.rho, h) * b + load(neuron.a, h) * v + load(neuron.c, h) * s


@kernel
def distance(neuron: Any, v: Any, b: Any) -> Any:
    """Return potential minus threshold."""
    return v - full(np.float32(1))


@kernel
def step(neuron: Any, h: int, current: Any, s: Any, v: Any, b: Any) -> Any:
    """Return the state one time step later."""
    alpha = load(neuron.alpha, h)
    b = adapt(neuron, h, s, v, b)
    v = alpha * (v - s) + (full(np.float32(1)) - alpha) * (current - b)
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
    alpha = load(neuron.alpha, h)
    grad_v = grad_v + grad_s * derivative
    grad_current = (full(np.float32(1)) - alpha) * grad_v
    grad_b = grad_b - grad_current
    decayed = alpha * grad_v
    return (
        grad_current,
        load(neuron.c, h) * grad_b - decayed,
        load(neuron.a, h) * grad_b + decayed,
        load(neuron.rho, h) * grad_b,
        (
            # v_before - s_before - (I - b), times 1 - alpha: the current need not be kept.
            grad_v * (v_before - s_before - v),
            grad_b * b_before,
            grad_b * v_before,
            grad_b * s_before,
        ),
    )
