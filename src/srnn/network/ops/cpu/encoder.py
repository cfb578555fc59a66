# SPDX-License-Identifier: MPL-2.0
"""The ternary encoder; `srnn.network.ops.reference.ternary` is its definition."""

from typing import Any

import numpy as np

from srnn.network.ops.cpu.compilation import kernel
from srnn.network.ops.cpu.simd import (
    LANES,
    full,
    heaviside,
    load_some,
    store_some,
    sum_lanes,
)
from srnn.network.ops.cpu.surrogates import derivative


@kernel
def ternary_forward(x: Any, threshold: float, out: Any, first: int, last: int) -> None:
    """Write the events of the values from ``first`` to before ``last``."""
    limit = full(np.float32(threshold))
    for i in range(first, last, LANES):
        left = last - i
        value = load_some(x, i, left)
        above = heaviside(value - limit)
        below = heaviside(full(np.float32(0)) - limit - value)
        store_some(out, i, above - below, left)


@kernel
def ternary_backward(
    grad: Any, x: Any, threshold: float, surrogate: int, out: Any, first: int, last: int
) -> float:
    """Write the gradients of the values; return that of the threshold."""
    limit = full(np.float32(threshold))
    total = 0.0
    for start in range(first, last, 1024):
        rising = full(np.float32(0))
        for i in range(start, min(start + 1024, last), LANES):
            left = last - i
            value, g = load_some(x, i, left), load_some(grad, i, left)
            above = derivative(value - limit, surrogate)
            below = derivative(value + limit, surrogate)
            store_some(out, i, g * (above + below), left)
            rising = rising + g * (below - above)
        total += sum_lanes(rising)
    return total
