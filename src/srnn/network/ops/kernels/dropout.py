# SPDX-License-Identifier: MPL-2.0
"""Dropout; `srnn.network.ops.reference.drop` is its definition."""

from typing import Any

import numpy as np

from srnn.network.ops.kernels.compilation import kernel

_15, _16 = np.uint32(15), np.uint32(16)


@kernel
def drop(
    x: Any,
    key: Any,
    multipliers: Any,
    limit: Any,
    scale: Any,
    out: Any,
    first: int,
    last: int,
) -> None:
    """Write the values from ``first`` to before ``last``, scaled, or 0 for those dropped.

    All of `srnn.network.ops.dice` are uint32.
    """
    m, n = multipliers
    x, out = x[first:last], out[first:last]  # from 0 on, or LLVM makes no vectors
    start = np.uint32(np.uint32(first) + key[0])
    for i in range(len(x)):
        # Each operation is cut to 32 bits: numba would go on with 64.
        z = np.uint32(start + np.uint32(i))
        z = np.uint32(np.uint32(z ^ (z >> _16)) * m)
        z = np.uint32(z + key[1])
        z = np.uint32(np.uint32(z ^ (z >> _15)) * n)
        z = np.uint32(z ^ (z >> _16))
        out[i] = x[i] * scale if z >= limit else np.float32(0)
