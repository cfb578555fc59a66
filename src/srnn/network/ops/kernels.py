# SPDX-License-Identifier: MPL-2.0
"""The CPU's kernels, in numba: each works on a part of the batch, so that threads never meet.

Spikes are sparse: a product with spikes is a sum of the rows of the (transposed) weights of the
neurons that fired, and the gradient of a weight is a sum of gradients over the steps in which its
presynaptic neuron fired. Neither multiplies zeros. Gradients are dense: their products with weights
go through a register tile of eight rows.

All arrays are flat and contiguous, float32. A *row* is one time step of one clip; the rows of a
clip follow each other. Columns of weights are padded to whole vectors, those of spikes, currents
and gradients are not.

Legend: T time steps, I inputs, O outputs, H neurons, P their number padded.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from srnn.network.ops.simd import (
    BLOCK,
    LANES,
    PANEL,
    STRIP,
    TILE,
    absolute,
    at_least,
    at_most,
    fma,
    full,
    full_block,
    full_panel,
    full_strip,
    heaviside,
    load,
    load_block,
    load_panel,
    load_some,
    load_strip,
    lowest_bit,
    nonzero,
    power_of_two,
    prefetch,
    store,
    store_some,
    sum_lanes,
    transpose_tile,
    zero_below,
)

_kernel = njit(nogil=True, cache=True, error_model="numpy")

TILE_ROWS = 8
"""Rows of a dense product that are worked on at once."""

_FEW_ROWS = 4
"""With so few rows a sum of rows of weights is faster than the tile, which then is mostly empty."""

_PAGE = 1024  # floats of a page

_CHUNK_ROWS = 128
"""Rows of gradients that stay in the second-level cache while weights pass by."""


# --- The parts that kernels are made of ---------------------------------------------------------


@_kernel
def _scratch(count: int, slot: int) -> Any:
    """Return zeros that begin ``slot`` eighths after the beginning of a page.

    A load that follows a store waits for it where their addresses have the same place in a page,
    which is all that processors compare at first. In loops over several arrays at once, each needs
    a slot of its own, or nothing in them overlaps in time.
    """
    array = _room(count, slot)
    array[:] = 0
    return array


@_kernel
def _room(count: int, slot: int) -> Any:
    """Return what `_scratch` does, of any values."""
    array = np.empty(count + 2 * _PAGE, np.float32)
    skipped = (-(array.ctypes.data // array.itemsize)) % _PAGE + slot * (_PAGE // 8)
    return array[skipped : skipped + count]


@_kernel
def _find_active(x: Any, at: int, count: int, active: Any, found: int) -> int:
    """List the places of the values that are not 0 among ``count`` from ``at`` on.

    They follow the ``found`` places that ``active`` holds already; returns their new number.
    """
    for i in range(0, count, 64):
        # 64 values a loop: the processor mistakes where a loop ends once for all of them.
        bits = 0
        for part in range(0, 64, LANES):
            if i + part < count:
                bits |= nonzero(load_some(x, at + i + part, count - i - part)) << part
        while bits:
            active[found] = i + lowest_bit(bits)
            found += 1
            bits &= bits - 1
    return found


@_kernel
def _find_all_active(
    x: Any, at: int, rows: int, count: int, active: Any, values: Any, row_ends: Any
) -> int:
    """List the places of the values that are not 0 in each row, and the values; count them.

    ``row_ends`` says where in the list the row after each begins.
    """
    found = 0
    for row in range(rows):
        begin = found
        found = _find_active(x, at + row * count, count, active, found)
        for k in range(begin, found):
            values[k] = x[at + row * count + active[k]]
        row_ends[row] = found
    return found


@_kernel
def _add_rows(
    weights: Any, width: int, x: Any, at: int, active: Any, found: int, total: Any, to: int
) -> None:
    """Add to ``total`` each active row of ``weights``, times its value in ``x``."""
    column = 0
    while column + BLOCK <= width:
        block = load_block(total, to + column)
        for k in range(found):
            row = active[k]
            block = fma(full_block(x[at + row]), load_block(weights, row * width + column), block)
        store(total, to + column, block)
        column += BLOCK
    while column < width:
        lanes = load(total, to + column)
        for k in range(found):
            row = active[k]
            lanes = fma(full(x[at + row]), load(weights, row * width + column), lanes)
        store(total, to + column, lanes)
        column += LANES


@_kernel
def _copy(source: Any, at: int, target: Any, to: int, count: int) -> None:
    for i in range(0, count, LANES):
        store_some(target, to + i, load_some(source, at + i, count - i), count - i)


@_kernel
def _tile(
    x: Any,
    at: int,
    stride: int,
    depth: int,
    panel: Any,
    out: Any,
    to: int,
    step: int,
    accumulate: bool,
) -> None:
    """Write, or add, eight rows of ``x`` times one panel (depth x PANEL) of weights to ``out``."""
    zero = full_panel(np.float32(0))
    row0 = load_panel(out, to) if accumulate else zero
    row1 = load_panel(out, to + step) if accumulate else zero
    row2 = load_panel(out, to + 2 * step) if accumulate else zero
    row3 = load_panel(out, to + 3 * step) if accumulate else zero
    row4 = load_panel(out, to + 4 * step) if accumulate else zero
    row5 = load_panel(out, to + 5 * step) if accumulate else zero
    row6 = load_panel(out, to + 6 * step) if accumulate else zero
    row7 = load_panel(out, to + 7 * step) if accumulate else zero
    for k in range(depth):
        weights = load_panel(panel, k * PANEL)
        row0 = fma(full_panel(x[at + k]), weights, row0)
        row1 = fma(full_panel(x[at + k + stride]), weights, row1)
        row2 = fma(full_panel(x[at + k + 2 * stride]), weights, row2)
        row3 = fma(full_panel(x[at + k + 3 * stride]), weights, row3)
        row4 = fma(full_panel(x[at + k + 4 * stride]), weights, row4)
        row5 = fma(full_panel(x[at + k + 5 * stride]), weights, row5)
        row6 = fma(full_panel(x[at + k + 6 * stride]), weights, row6)
        row7 = fma(full_panel(x[at + k + 7 * stride]), weights, row7)
    store(out, to, row0)
    store(out, to + step, row1)
    store(out, to + 2 * step, row2)
    store(out, to + 3 * step, row3)
    store(out, to + 4 * step, row4)
    store(out, to + 5 * step, row5)
    store(out, to + 6 * step, row6)
    store(out, to + 7 * step, row7)


@_kernel
def transpose(source: Any, rows: int, columns: int, target: Any, width: int) -> None:
    """Write a matrix (rows x columns) transposed, cut into strips of ``width``, one after another.

    ``width`` is a multiple of `simd.TILE`.
    """
    stride = source.size // rows
    for row in range(0, rows, TILE):
        strip = row // width * columns * width + row % width
        for column in range(0, columns, TILE):
            if row + TILE <= rows and column + TILE <= columns:
                at, to = row * stride + column, strip + column * width
                transpose_tile(source, at, stride, target, to, width)
            else:
                for r in range(min(TILE, rows - row)):
                    for c in range(column, min(column + TILE, columns)):
                        target[strip + c * width + r] = source[(row + r) * stride + c]


# --- Surrogates (srnn.network.surrogate is their definition) ------------------------------------

# exp(x) = 2^n exp(r): n is x / ln 2 rounded, r what is left; ln 2 is subtracted in two parts.
_INVERSE_LN2 = np.float32(1.4426950408889634)
_LN2_HIGH = np.float32(0.693145751953125)
_LN2_LOW = np.float32(1.4286068203094173e-6)
_ROUNDER = np.float32(1.5 * 2**23)  # adding it leaves no room for a fraction
_LOWEST = np.float32(-80.0)
_EXP_SERIES = tuple(np.float32(1 / f) for f in (720, 120, 24, 6, 2, 1, 1))


@_kernel
def _exp(x: Any) -> Any:
    """Return exp(x) for x <= 0, to 3e-7 of its value; 0 below -80.

    Processors compute slowly with numbers as small as those below 1e-38.
    """
    exponent = x
    x = at_least(x, full(_LOWEST))
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

_PEAK = np.float32(0.5 / (0.5 * math.sqrt(2 * math.pi)))
_CENTRE = np.float32(1.15 * _PEAK)
# The sum of both side lobes is a Gaussian around 0 times a hyperbolic cosine.
_LOBES = np.float32(0.5 * 0.15 * 2 * math.exp(-0.25 / 18) / (3 * math.sqrt(2 * math.pi)))
_FAR = np.float32(36.0)  # from here on every surrogate is 0 to within 1e-31
_COSH_SERIES = tuple(np.float32(1 / f) for f in (56, 30, 12, 2))


@_kernel
def _derivative(x: Any, surrogate: int) -> Any:
    """Return the surrogate derivative at the distance x from the threshold."""
    one = full(np.float32(1))
    x = at_most(absolute(x), full(_FAR))
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
        return full(np.float32(0.5)) * at_least(one - x, full(np.float32(0)))
    return full(np.float32(0.5)) * _exp(full(np.float32(-5)) * x)


# --- The neuron (srnn.network.neuron.step is its definition) ------------------------------------


@_kernel
def _advance(
    current: Any, s: Any, v: Any, b: Any, alpha: Any, rho: Any, threshold: Any, adaptation: Any
) -> Any:
    """Return spikes, potential and adaptation one time step later, rounded as the definition is."""
    one = full(np.float32(1))
    b = rho * b + (one - rho) * s
    raised = threshold + adaptation * b
    v = alpha * v + (one - alpha) * current - raised * s
    return heaviside(v - raised), v, b


@_kernel
def _retreat(
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


# --- The kernels --------------------------------------------------------------------------------


@_kernel
def alif_forward(
    current: Any,
    weights: Any,
    alpha: Any,
    rho: Any,
    threshold: float,
    adaptation: float,
    steps: int,
    neurons: int,
    s_state: Any,
    v_state: Any,
    b_state: Any,
    spikes: Any,
    trace: Any,
    first: int,
    last: int,
) -> None:
    """Run the clips from ``first`` to before ``last`` through all time steps.

    ``weights`` (H x P) has a row for each presynaptic neuron; it is empty for a feed-forward layer.
    The states (B x H) are replaced by those after the last step; ``trace`` are the potentials of
    all steps, for the backward pass, or empty.
    """
    width = len(alpha)
    active = np.empty(width, np.int32)
    s, v = _scratch(width, 0), _scratch(width, 1)
    b, total = _scratch(width, 2), _scratch(width, 3)
    base, slope = full(np.float32(threshold)), full(np.float32(adaptation))
    for clip in range(first, last):
        _copy(s_state, clip * neurons, s, 0, neurons)
        _copy(v_state, clip * neurons, v, 0, neurons)
        _copy(b_state, clip * neurons, b, 0, neurons)
        for t in range(steps):
            at = (clip * steps + t) * neurons
            total[:] = 0
            if len(weights):
                found = _find_active(s, 0, width, active, 0)
                _add_rows(weights, width, s, 0, active, found, total, 0)
            for h in range(0, neurons, LANES):
                left = neurons - h
                new_s, new_v, new_b = _advance(
                    load_some(current, at + h, left) + load(total, h),
                    load(s, h),
                    load(v, h),
                    load(b, h),
                    load(alpha, h),
                    load(rho, h),
                    base,
                    slope,
                )
                store(s, h, new_s)
                store(v, h, new_v)
                store(b, h, new_b)
                store_some(spikes, at + h, new_s, left)
                if len(trace):
                    store_some(trace, at + h, new_v, left)
        _copy(s, 0, s_state, clip * neurons, neurons)
        _copy(v, 0, v_state, clip * neurons, neurons)
        _copy(b, 0, b_state, clip * neurons, neurons)


@_kernel
def clips_together(weights: Any) -> int:
    """Return how many clips go back in time together.

    With recurrent weights so many that their product with them is one tile; without, one alone is
    better, as all of it fits into the cache.
    """
    return TILE_ROWS if len(weights) else 1


@_kernel
def _recall(
    trace: Any,
    at: int,
    s_state: Any,
    b_state: Any,
    state: int,
    rho: Any,
    base: Any,
    slope: Any,
    steps: int,
    neurons: int,
    adapted: Any,
    to: int,
    step: int,
) -> None:
    """Compute the adaptation of every step of one clip again, from the potentials.

    Cheaper than to fetch it from memory. Row 0 of ``adapted`` is the state before the first step.
    """
    one = full(np.float32(1))
    _copy(b_state, state, adapted, to, neurons)
    for t in range(steps):
        before, then = at + (t - 1) * neurons, to + t * step
        for h in range(0, neurons, LANES):
            left = neurons - h
            b = load(adapted, then + h)
            if t:
                s = heaviside(load_some(trace, before + h, left) - (base + slope * b))
            else:
                s = load_some(s_state, state + h, left)
            decay = load(rho, h)
            store(adapted, then + step + h, decay * b + (one - decay) * s)


@_kernel
def alif_backward(
    grad_spikes: Any,
    trace: Any,
    weights: Any,
    panels: Any,
    alpha: Any,
    rho: Any,
    threshold: float,
    adaptation: float,
    surrogate: int,
    steps: int,
    neurons: int,
    s_state: Any,
    v_state: Any,
    b_state: Any,
    grad_s_state: Any,
    grad_v_state: Any,
    grad_b_state: Any,
    grad_current: Any,
    grad_alpha: Any,
    grad_rho: Any,
    first: int,
    last: int,
) -> None:
    """Go back through all time steps with the clips from ``first`` to before ``last``.

    ``weights`` (H x P) and ``panels`` hold the recurrent weights, a row for each
    postsynaptic neuron; both are empty for a feed-forward layer. The states (B x H) are those
    before the first step; their gradients come in as those of the states after the last step.
    To ``grad_alpha`` and ``grad_rho`` (P) the shares of these clips are added.
    """
    width = len(alpha)
    every = np.arange(width, dtype=np.int32)
    together = clips_together(weights)
    # One row a clip: what flows into its spikes, potential and adaptation from the step after.
    into_s = _scratch(TILE_ROWS * width, 0)
    into_v = _scratch(TILE_ROWS * width, 1)
    into_b = _scratch(TILE_ROWS * width, 2)
    inflow = _scratch(TILE_ROWS * width, 3)
    sum_alpha, sum_rho = _scratch(width, 4), _scratch(width, 5)
    derivative = _scratch(width, 7)
    # The adaptation of all steps and clips; row 0 is the state before the first step.
    adapted = _room((steps + 1) * together * width, 6)
    base, slope = full(np.float32(threshold)), full(np.float32(adaptation))

    for clip in range(first, last, together):
        rows = min(together, last - clip)
        for row in range(rows):
            at, to = (clip + row) * neurons, row * width
            _copy(grad_s_state, at, into_s, to, neurons)
            _copy(grad_v_state, at, into_v, to, neurons)
            _copy(grad_b_state, at, into_b, to, neurons)
            _recall(
                trace, (clip + row) * steps * neurons, s_state, b_state, at, rho, base, slope,
                steps, neurons, adapted, to, together * width,
            )  # fmt: skip
        for t in range(steps - 1, -1, -1):
            for row in range(rows):
                at = ((clip + row) * steps + t) * neurons
                state = (clip + row) * neurons
                now = ((t + 1) * together + row) * width
                then = now - together * width
                # In a loop of its own: together with what follows it needs too many registers.
                for h in range((neurons - 1) // LANES * LANES, -1, -LANES):
                    raised = base + slope * load(adapted, now + h)
                    distance = load_some(trace, at + h, neurons - h) - raised
                    store(derivative, h, _derivative(distance, surrogate))
                    prefetch(trace, at - 2 * neurons + h)
                    prefetch(grad_spikes, at - neurons + h)
                for h in range((neurons - 1) // LANES * LANES, -1, -LANES):
                    left = neurons - h
                    here = row * width + h
                    b_before = load(adapted, then + h)
                    if t:
                        v_before = load_some(trace, at - neurons + h, left)
                        s_before = heaviside(v_before - (base + slope * b_before))
                    else:
                        v_before = load_some(v_state, state + h, left)
                        s_before = load_some(s_state, state + h, left)
                    current, s, v, b, for_alpha, for_rho = _retreat(
                        load_some(grad_spikes, at + h, left) + load(into_s, here),
                        load(into_v, here),
                        load(into_b, here),
                        load_some(trace, at + h, left),
                        load(adapted, now + h),
                        s_before,
                        v_before,
                        b_before,
                        load(alpha, h),
                        load(rho, h),
                        base,
                        slope,
                        load(derivative, h),
                    )
                    store(inflow, here, current)
                    store_some(grad_current, at + h, current, left)
                    store(into_s, here, s)
                    store(into_v, here, v)
                    store(into_b, here, b)
                    store(sum_alpha, h, load(sum_alpha, h) + for_alpha)
                    store(sum_rho, h, load(sum_rho, h) + for_rho)
            if len(weights) and rows > _FEW_ROWS:
                for p in range(panels.shape[0]):
                    _tile(inflow, 0, width, neurons, panels[p], into_s, p * PANEL, width, True)
            elif len(weights):
                for row in range(rows):
                    at = row * width
                    _add_rows(weights, width, inflow, at, every, neurons, into_s, at)
        for row in range(rows):
            at, to = (clip + row) * neurons, row * width
            _copy(into_s, to, grad_s_state, at, neurons)
            _copy(into_v, to, grad_v_state, at, neurons)
            _copy(into_b, to, grad_b_state, at, neurons)
    grad_alpha += sum_alpha
    grad_rho += sum_rho


@_kernel
def project(
    x: Any, strips: Any, bias: Any, inputs: int, outputs: int, out: Any, first: int, last: int
) -> None:
    """Write bias + x times weights into ``out``, for the rows from ``first`` to before ``last``.

    ``strips`` (O / STRIP x I x STRIP) holds a row for each input, cut into strips: of few inputs a
    strip stays in the first-level cache. ``bias`` is padded to whole strips.
    """
    rows = max(1, min(_CHUNK_ROWS, last - first))
    active = np.empty(rows * inputs, np.int32)
    values = np.empty(rows * inputs, np.float32)
    row_ends = np.empty(rows, np.int64)
    last_strip = _scratch(STRIP, 0)
    for start in range(first, last, rows):
        rows = min(rows, last - start)
        _find_all_active(x, start * inputs, rows, inputs, active, values, row_ends)
        for column in range(0, outputs, STRIP):
            strip = column * inputs
            k = 0
            for row in range(rows):
                lanes = load_strip(bias, column)
                while k < row_ends[row]:
                    weights = load_strip(strips, strip + active[k] * STRIP)
                    lanes = fma(full_strip(values[k]), weights, lanes)
                    k += 1
                to = (start + row) * outputs + column
                if column + STRIP <= outputs:
                    store(out, to, lanes)
                else:
                    store(last_strip, 0, lanes)
                    _copy(last_strip, 0, out, to, outputs - column)


@_kernel
def project_back(
    grad: Any, weights: Any, panels: Any, inputs: int, outputs: int, out: Any, first: int, last: int
) -> None:
    """Write grad times weights into ``out``, for the rows from ``first`` to before ``last``.

    ``weights`` (O x P) and ``panels`` (N / PANEL x K x PANEL) have a row for each output.
    """
    if last - first < TILE_ROWS:
        _project_back_few(grad, weights, inputs, outputs, out, first, last)
        return
    corner = _scratch(TILE_ROWS * PANEL, 0)
    for start in range(first, last, _CHUNK_ROWS):
        end = min(start + _CHUNK_ROWS, last)
        for p in range(panels.shape[0]):
            column = p * PANEL
            left = inputs - column
            for row in range(start, end, TILE_ROWS):
                # The last tile may compute rows again that the one before has done.
                row = min(row, last - TILE_ROWS)
                at, to = row * outputs, row * inputs + column
                if left >= PANEL:
                    _tile(grad, at, outputs, outputs, panels[p], out, to, inputs, False)
                else:
                    _tile(grad, at, outputs, outputs, panels[p], corner, 0, PANEL, False)
                    for r in range(TILE_ROWS):
                        _copy(corner, r * PANEL, out, to + r * inputs, left)


@_kernel
def _project_back_few(
    grad: Any, weights: Any, inputs: int, outputs: int, out: Any, first: int, last: int
) -> None:
    width = weights.size // outputs
    every = np.arange(outputs, dtype=np.int32)
    total = _scratch(width, 0)
    for row in range(first, last):
        total[:] = 0
        _add_rows(weights, width, grad, row * outputs, every, outputs, total, 0)
        _copy(total, 0, out, row * inputs, inputs)


@_kernel
def project_weights(
    x: Any, grad: Any, inputs: int, outputs: int, total: Any, bias: Any, first: int, last: int
) -> None:
    """Add the gradients of weights and bias that the rows from ``first`` to ``last`` contribute.

    ``total`` (I x P) has a row for each input, ``bias`` P elements; it is empty if not wanted.
    """
    for start in range(first, last, _CHUNK_ROWS):
        rows = min(_CHUNK_ROWS, last - start)
        _add_outer(x, start * inputs, grad, start * outputs, rows, inputs, outputs, total)
        if len(bias):
            _add_sum(grad, start * outputs, rows, outputs, bias)


@_kernel
def recurrent_weights(
    s_state: Any,
    spikes: Any,
    grad: Any,
    steps: int,
    neurons: int,
    total: Any,
    first: int,
    last: int,
) -> None:
    """Add the gradient of recurrent weights that the clips from ``first`` to ``last`` contribute.

    A step's current comes from the spikes of the step before, the first step's from ``s_state``
    (B x H). ``total`` (H x P) has a row for each presynaptic neuron.
    """
    for clip in range(first, last):
        at = clip * steps * neurons
        _add_outer(s_state, clip * neurons, grad, at, 1, neurons, neurons, total)
        _add_outer(spikes, at, grad, at + neurons, steps - 1, neurons, neurons, total)


@_kernel
def layer_forward(
    x: Any,
    strips: Any,
    bias: Any,
    inputs: int,
    weights: Any,
    alpha: Any,
    rho: Any,
    threshold: float,
    adaptation: float,
    steps: int,
    neurons: int,
    s_state: Any,
    v_state: Any,
    b_state: Any,
    spikes: Any,
    trace: Any,
    first: int,
    last: int,
) -> None:
    """Do `project` and `alif_forward`, clip by clip: their current never leaves the cache."""
    current = _room(steps * neurons, 4)
    for clip in range(first, last):
        state = slice(clip * neurons, (clip + 1) * neurons)
        clip_out = slice(clip * steps * neurons, (clip + 1) * steps * neurons)
        clip_in = slice(clip * steps * inputs, (clip + 1) * steps * inputs)
        project(x[clip_in], strips, bias, inputs, neurons, current, 0, steps)
        alif_forward(
            current, weights, alpha, rho, threshold, adaptation, steps, neurons,
            s_state[state], v_state[state], b_state[state],
            spikes[clip_out], trace[clip_out] if len(trace) else trace, 0, 1,
        )  # fmt: skip


@_kernel
def layer_backward(
    grad_spikes: Any,
    x: Any,
    spikes: Any,
    trace: Any,
    input_weights: Any,
    input_panels: Any,
    inputs: int,
    weights: Any,
    panels: Any,
    alpha: Any,
    rho: Any,
    threshold: float,
    adaptation: float,
    surrogate: int,
    steps: int,
    neurons: int,
    s_state: Any,
    v_state: Any,
    b_state: Any,
    grad_s_state: Any,
    grad_v_state: Any,
    grad_b_state: Any,
    grad_x: Any,
    grad_input_weights: Any,
    grad_bias: Any,
    grad_weights: Any,
    grad_alpha: Any,
    grad_rho: Any,
    first: int,
    last: int,
) -> None:
    """Do the backward passes of `layer_forward`, a few clips at a time, for the same reason.

    ``grad_x`` is empty if not wanted.
    """
    together = clips_together(weights)
    current = _room(together * steps * neurons, 4)
    for clip in range(first, last, together):
        rows = min(together, last - clip)
        state = slice(clip * neurons, (clip + rows) * neurons)
        out = slice(clip * steps * neurons, (clip + rows) * steps * neurons)
        alif_backward(
            grad_spikes[out], trace[out], weights, panels, alpha, rho, threshold, adaptation,
            surrogate, steps, neurons, s_state[state], v_state[state], b_state[state],
            grad_s_state[state], grad_v_state[state], grad_b_state[state], current,
            grad_alpha, grad_rho, 0, rows,
        )  # fmt: skip
        if len(weights):
            recurrent_weights(
                s_state[state], spikes[out], current, steps, neurons, grad_weights, 0, rows
            )
        part = slice(clip * steps * inputs, (clip + rows) * steps * inputs)
        if len(grad_x):
            project_back(
                current, input_weights, input_panels, inputs, neurons, grad_x[part],
                0, rows * steps,
            )  # fmt: skip
        project_weights(
            x[part], current, inputs, neurons, grad_input_weights, grad_bias, 0, rows * steps
        )


@_kernel
def _add_outer(
    x: Any, x_at: int, grad: Any, grad_at: int, rows: int, inputs: int, outputs: int, total: Any
) -> None:
    """Add to each input's row of ``total`` the rows of ``grad`` in which it was active."""
    active = np.empty(rows * inputs, np.int32)
    found_values = np.empty(rows * inputs, np.float32)
    row_ends = np.empty(rows, np.int64)
    found = _find_all_active(x, x_at, rows, inputs, active, found_values, row_ends)
    # Sort the active (row, input) by input.
    starts = np.zeros(inputs + 1, np.int64)
    for k in range(found):
        starts[active[k] + 1] += 1
    for i in range(inputs):
        starts[i + 1] += starts[i]
    ends = starts.copy()
    places = np.empty(found, np.int32)
    values = np.empty(found, np.float32)
    k = 0
    for row in range(rows):
        while k < row_ends[row]:
            i = active[k]
            places[ends[i]] = row
            values[ends[i]] = found_values[k]
            ends[i] += 1
            k += 1

    # Column by column of blocks, so that the gradients of all rows stay in the first-level cache.
    width = total.size // inputs
    strip = _scratch(rows * STRIP, 0)
    for column in range(0, width, STRIP):
        for row in range(rows):
            _copy(
                grad, grad_at + row * outputs + column, strip, row * STRIP,
                min(STRIP, outputs - column),
            )  # fmt: skip
        for i in range(inputs):
            if starts[i] < ends[i]:
                lanes = load_strip(total, i * width + column)
                for k in range(starts[i], ends[i]):
                    lanes = fma(full_strip(values[k]), load_strip(strip, places[k] * STRIP), lanes)
                store(total, i * width + column, lanes)


@_kernel
def _add_sum(grad: Any, at: int, rows: int, outputs: int, total: Any) -> None:
    for column in range(0, outputs, LANES):
        lanes = load(total, column)
        for row in range(rows):
            lanes = lanes + load_some(grad, at + row * outputs + column, outputs - column)
        store(total, column, lanes)


@_kernel
def ternary_forward(x: Any, threshold: float, out: Any, first: int, last: int) -> None:
    """Write the events of the values from ``first`` to before ``last``."""
    limit = full(np.float32(threshold))
    for i in range(first, last, LANES):
        left = last - i
        value = load_some(x, i, left)
        above = heaviside(value - limit)
        below = heaviside(full(np.float32(0)) - limit - value)
        store_some(out, i, above - below, left)


@_kernel
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
            above = _derivative(value - limit, surrogate)
            below = _derivative(value + limit, surrogate)
            store_some(out, i, g * (above + below), left)
            rising = rising + g * (below - above)
        total += sum_lanes(rising)
    return total
