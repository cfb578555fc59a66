# SPDX-License-Identifier: MPL-2.0
"""The kernels of the ternary encoder in Triton: elementwise passes."""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["count"])
def ternary_forward(features, threshold, events, count, block: tl.constexpr):
    """Encode ``count`` features as events, see `srnn.network.encoder`."""
    place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    x = tl.load(features + place, place < count, 0.0)
    level = tl.load(threshold)
    above = tl.where(x - level > 0, 1.0, 0.0)
    below = tl.where(-level - x > 0, 1.0, 0.0)
    tl.store(events + place, above - below, place < count)


@triton.jit(do_not_specialize=["count"])
def ternary_backward(
    grad,
    features,
    threshold,
    grad_features,
    threshold_parts,
    count,
    derivative: tl.constexpr,
    block: tl.constexpr,
):
    """Go back through the encoder; each program leaves its part of the threshold's gradient."""
    place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    x = tl.load(features + place, place < count, 0.0)
    g = tl.load(grad + place, place < count, 0.0)
    level = tl.load(threshold)
    above = g * derivative(x - level)
    below = g * derivative(-level - x)
    tl.store(grad_features + place, above + below, place < count)
    tl.store(threshold_parts + tl.program_id(0), tl.sum(below - above, 0))
