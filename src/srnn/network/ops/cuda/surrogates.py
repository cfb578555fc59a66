# SPDX-License-Identifier: MPL-2.0
"""The surrogates of `srnn.network.surrogate` in Triton."""

import math

import triton
import triton.language as tl

from srnn.network import surrogate as definition

# Triton reads globals only as constants of its own.
_SCALE = tl.constexpr(definition._SCALE)
_WIDTH = tl.constexpr(definition._WIDTH)
_HEIGHT = tl.constexpr(definition._HEIGHT)
_LOBE_WIDTH = tl.constexpr(definition._LOBE_WIDTH)
_ROOT_TWO_PI = tl.constexpr(math.sqrt(2 * math.pi))


@triton.jit
def _normal_density(x, mean: tl.constexpr, std: tl.constexpr):
    peak: tl.constexpr = 1 / (std * _ROOT_TWO_PI)
    steepness: tl.constexpr = -1 / (2 * std * std)
    return peak * tl.exp(steepness * (x - mean) * (x - mean))


@triton.jit
def _multi_gaussian(x):
    centre = _normal_density(x, 0.0, _WIDTH)
    lobes = _normal_density(x, _WIDTH, _LOBE_WIDTH) + _normal_density(x, -_WIDTH, _LOBE_WIDTH)
    return _SCALE * ((1 + _HEIGHT) * centre - _HEIGHT * lobes)


@triton.jit
def _gaussian(x):
    return _SCALE * _normal_density(x, 0.0, _WIDTH)


@triton.jit
def _linear(x):
    return _SCALE * tl.maximum(1 - tl.abs(x), 0.0)


@triton.jit
def _slayer(x):
    return _SCALE * tl.exp(-5 * tl.abs(x))


DERIVATIVES = {
    "multi_gaussian": _multi_gaussian,
    "gaussian": _gaussian,
    "linear": _linear,
    "slayer": _slayer,
}
"""The derivative that replaces that of a spike, of each surrogate by name."""
