# SPDX-License-Identifier: MPL-2.0
"""The surrogates of `srnn.network.surrogate`: derivatives that replace that of a spike."""

import math
from typing import Any

import numpy as np

from srnn.network.ops.cpu.compilation import kernel
from srnn.network.ops.cpu.simd import (
    absolute,
    clamp_max,
    clamp_min,
    fma,
    full,
    power_of_two,
    zero_below,
)

# exp(x) = 2^n exp(r): n is x / ln 2 rounded, r what is left; ln 2 is subtracted in two parts.
_INVERSE_LN2 = np.float32(1.4426950408889634)
_LN2_HIGH = np.float32(0.693145751953125)
_LN2_LOW = np.float32(1.4286068203094173e-6)
_ROUNDER = np.float32(1.5 * 2**23)  # adding it rounds to an integer
_LOWEST = np.float32(-80.0)
_EXP_SERIES = tuple(np.float32(1 / f) for f in (720, 120, 24, 6, 2, 1, 1))


@kernel
def _exp(x: Any) -> Any:
    """Return exp(x) for x <= 0, to 3e-7 of its value; 0 below -80.

    Processors compute slowly with numbers as small as those below 1e-38.
    """
    exponent = x
    x = clamp_min(x, full(_LOWEST))
    n = fma(x, full(_INVERSE_LN2), full(_ROUNDER)) - full(_ROUNDER)
    r = fma(n, full(-_LN2_HIGH), x)
    r = fma(n, full(-_LN2_LOW), r)
    total = full(_EXP_SERIES[0])
    total = fma(total, r, full(_EXP_SERIES[1]))
    total = fma(total, r, full(_EXP_SERIES[2]))
    total = fma(total, r, full(_EXP_SERIES[3]))
    total = fma(total, r, full(_EXP_SERIES[4]))
    total = fma(total, r, full(_EXP_SERIES[5]))
    total = fma(total, r, full(_EXP_SERIES[6]))
    return zero_below(full(_LOWEST), exponent, total * power_of_two(n))


MULTI_GAUSSIAN, GAUSSIAN, LINEAR, SLAYER = range(4)

NUMBERS = {
    "multi_gaussian": MULTI_GAUSSIAN,
    "gaussian": GAUSSIAN,
    "linear": LINEAR,
    "slayer": SLAYER,
}
"""Numba function of each surrogate."""

_PEAK = np.float32(0.5 / (0.5 * math.sqrt(2 * math.pi)))
_CENTRE = np.float32(1.15 * _PEAK)
# The sum of both side lobes is a Gaussian around 0 times a hyperbolic cosine.
_LOBES = np.float32(0.5 * 0.15 * 2 * math.exp(-0.25 / 18) / (3 * math.sqrt(2 * math.pi)))
_FAR = np.float32(36.0)  # from here on every surrogate is 0 to within 1e-31
_COSH_SERIES = tuple(np.float32(1 / f) for f in (56, 30, 12, 2))


@kernel
def derivative(x: Any, surrogate: int) -> Any:
    """Return the surrogate derivative at the distance x from the threshold."""
    one = full(np.float32(1))
    x = clamp_max(absolute(x), full(_FAR))
    square = x * x
    if surrogate == MULTI_GAUSSIAN:
        centre = full(_CENTRE) * _exp(full(np.float32(-2)) * square)
        z = full(np.float32(1 / 18**2)) * square
        cosh = fma(z, full(_COSH_SERIES[0]), one)
        cosh = fma(z * full(_COSH_SERIES[1]), cosh, one)
        cosh = fma(z * full(_COSH_SERIES[2]), cosh, one)
        cosh = fma(z * full(_COSH_SERIES[3]), cosh, one)
        return centre - full(_LOBES) * _exp(full(np.float32(-1 / 18)) * square) * cosh
    if surrogate == GAUSSIAN:
        return full(_PEAK) * _exp(full(np.float32(-2)) * square)
    if surrogate == LINEAR:
        return full(np.float32(0.5)) * clamp_min(one - x, full(np.float32(0)))
    return full(np.float32(0.5)) * _exp(full(np.float32(-5)) * x)
