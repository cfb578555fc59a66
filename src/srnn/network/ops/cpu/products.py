# SPDX-License-Identifier: MPL-2.0
"""Matrix products of spikes and of gradients.

Spikes are sparse: a product of spikes and weights is a sum of rows of the transposed weights, those
of the neurons that fired. The gradient of a weight is a sum of gradients over the steps in which
its presynaptic neuron fired. Gradients are dense: their products with weights are computed in
register tiles of a few rows.

`layout` describes panels and strips of weights.

Legend: T time steps, I inputs, O outputs, H neurons, P their padded number.
"""

from typing import Any

import numpy as np

from srnn.network.ops.cpu.compilation import kernel
from srnn.network.ops.cpu.layout import copy, make_panels, make_strips, round_up, scratch
from srnn.network.ops.cpu.simd import (
    BLOCK,
    LANES,
    STRIP,
    TILE_ROWS,
    add_to_element,
    element,
    fma,
    fma_tile,
    full,
    load,
    load_block,
    load_some,
    load_strip,
    load_tile,
    lowest_bit,
    nonzero,
    repeat,
    repeat_block,
    repeat_strip,
    store,
    store_tile,
    zero_tile,
)

_CHUNK_ROWS = 128
"""Rows of gradients that fit into the L2 cache while weights are streamed."""


@kernel
def find_active(x: Any, at: int, count: int, active: Any, found: int) -> int:
    """Append the indices of the nonzero values among ``count`` from ``at`` on to ``active``.

    ``found`` is the number of indices in ``active``; returns the new number.
    """
    for i in range(0, count, 64):
        # 64 values a loop: one branch misprediction at its end for all of them.
        bits = 0
        for part in range(0, 64, LANES):
            if i + part < count:
                bits |= nonzero(load_some(x, at + i + part, count - i - part)) << part
        while bits:
            active[found] = i + lowest_bit(bits)
            found += 1
            bits &= bits - 1
    return found


@kernel
def _find_all_active(
    x: Any, at: int, rows: int, count: int, active: Any, values: Any, row_ends: Any
) -> int:
    """Store indices and values of the nonzero elements of each row; return their number.

    ``row_ends`` receives the end of each row in these lists.
    """
    found = 0
    for row in range(rows):
        begin = found
        found = find_active(x, at + row * count, count, active, found)
        for k in range(begin, found):
            values[k] = element(x, at + row * count + element(active, k))
        row_ends[row] = found
    return found


@kernel
def add_rows(
    weights: Any, width: int, x: Any, at: int, active: Any, found: int, total: Any, to: int
) -> None:
    """Add to ``total`` each active row of ``weights``, times its value in ``x``."""
    column = 0
    while column + BLOCK <= width:
        block = load_block(total, to + column)
        for k in range(found):
            row = element(active, k)
            block = fma(repeat_block(x, at + row), load_block(weights, row * width + column), block)
        store(total, to + column, block)
        column += BLOCK
    while column < width:
        lanes = load(total, to + column)
        for k in range(found):
            row = element(active, k)
            lanes = fma(repeat(x, at + row), load(weights, row * width + column), lanes)
        store(total, to + column, lanes)
        column += LANES


@kernel
def _add_strip_rows(
    strips: Any, begin: int, active: Any, values: Any, first: int, last: int, lanes: Any
) -> Any:
    """Return ``lanes`` plus active rows of the strip that begins at ``begin``, times their values.

    They are those from ``first`` to before ``last`` in the lists ``active`` and ``values``.
    """
    for k in range(first, last):
        row = load_strip(strips, begin + element(active, k) * STRIP)
        lanes = fma(repeat_strip(values, k), row, lanes)
    return lanes


@kernel
def tile(
    x: Any,
    at: int,
    stride: int,
    depth: int,
    panels: Any,
    begin: int,
    pitch: int,
    out: Any,
    to: int,
    step: int,
    accumulate: bool,
) -> None:
    """Write, or add, `TILE_ROWS` rows of ``x`` times a panel, whose rows are ``pitch`` apart."""
    rows = load_tile(out, to, step) if accumulate else zero_tile()
    for k in range(depth):
        rows = fma_tile(x, at + k, stride, load(panels, begin + k * pitch), rows)
    store_tile(out, to, step, rows)


@kernel
def spike_linear(
    x: Any, weight: Any, bias: Any, inputs: int, outputs: int, out: Any, first: int, last: int
) -> None:
    """Write bias + x times weights (O x I) into ``out``, for the rows in range(first, last).

    ``bias`` is empty if there is none.
    """
    strips = make_strips(weight, outputs, inputs, STRIP)
    project(x, strips, bias, inputs, outputs, out, first, last)


@kernel
def project(
    x: Any, strips: Any, bias: Any, inputs: int, outputs: int, out: Any, first: int, last: int
) -> None:
    """Do the same, given the strips of the weights; with few inputs one fits into the L1 cache."""
    maximum = min(_CHUNK_ROWS, last - first)
    active = np.empty(maximum * inputs, np.int32)
    values = np.empty(maximum * inputs, np.float32)
    row_ends = np.empty(maximum, np.int64)
    last_strip = scratch(STRIP, 0)
    padded_bias = scratch(round_up(outputs, STRIP), 0)
    copy(bias, 0, padded_bias, 0, len(bias))
    for start in range(first, last, _CHUNK_ROWS):
        rows = min(_CHUNK_ROWS, last - start)
        if rows >= TILE_ROWS and _is_dense(x, start * inputs, inputs, active):
            _project_dense(x, strips, padded_bias, inputs, outputs, out, start, start + rows)
            continue
        _find_all_active(x, start * inputs, rows, inputs, active, values, row_ends)
        for column in range(0, outputs, STRIP):
            strip = column * inputs
            done = 0
            for row in range(rows):
                lanes = load_strip(padded_bias, column)
                lanes = _add_strip_rows(strips, strip, active, values, done, row_ends[row], lanes)
                done = row_ends[row]
                to = (start + row) * outputs + column
                if column + STRIP <= outputs:
                    store(out, to, lanes)
                else:
                    store(last_strip, 0, lanes)
                    copy(last_strip, 0, out, to, outputs - column)


@kernel
def _is_dense(x: Any, at: int, inputs: int, active: Any) -> bool:
    """Return whether more than half the inputs in a row are not 0; ``active`` is overwritten."""
    found: int = find_active(x, at, inputs, active, 0)
    return 2 * found > inputs


@kernel
def _project_dense(
    x: Any, strips: Any, bias: Any, inputs: int, outputs: int, out: Any, first: int, last: int
) -> None:
    """Do the same as `project` for dense inputs, at least `TILE_ROWS` rows, to the same bits."""
    corner = scratch(TILE_ROWS * LANES, 0)
    for column in range(0, outputs, LANES):
        panel = column // STRIP * STRIP * inputs + column % STRIP
        for row in range(first, last, TILE_ROWS):
            row = min(row, last - TILE_ROWS)  # the last tile may repeat rows of the previous one
            for r in range(TILE_ROWS):
                store(corner, r * LANES, load(bias, column))
            tile(x, row * inputs, inputs, inputs, strips, panel, STRIP, corner, 0, LANES, True)
            for r in range(TILE_ROWS):
                to = (row + r) * outputs + column
                copy(corner, r * LANES, out, to, min(LANES, outputs - column))


@kernel
def spike_linear_backward(
    grad: Any,
    x: Any,
    weight: Any,
    inputs: int,
    outputs: int,
    grad_x: Any,
    for_weight: bool,
    first: int,
    last: int,
) -> Any:
    """Write the gradients of the rows in range(first, last), unless ``grad_x`` is empty.

    Returns those of the weights (I x P), a row for each input, and of the bias (P), from these
    rows; zeros if they are not needed.
    """
    if len(grad_x):
        panels = make_panels(weight, outputs, inputs, LANES)
        project_back(grad, panels, inputs, outputs, grad_x, first, last)
    width = round_up(outputs, STRIP)
    total, bias = scratch(width * inputs if for_weight else 0, 0), scratch(width, 0)
    if for_weight:
        project_weights(x, grad, inputs, outputs, total, bias, first, last)
    return total, bias


@kernel
def project_back(
    grad: Any, panels: Any, inputs: int, outputs: int, out: Any, first: int, last: int
) -> None:
    """Write grad times weights into ``out``, for the rows in range(first, last).

    ``panels`` are those of the weights (O x I).
    """
    rows = last - first
    if rows >= TILE_ROWS:
        _project_back_tiles(grad, panels, inputs, outputs, out, first, last)
        return
    enough, result = scratch(TILE_ROWS * outputs, 0), scratch(TILE_ROWS * inputs, 1)
    copy(grad, first * outputs, enough, 0, rows * outputs)
    _project_back_tiles(enough, panels, inputs, outputs, result, 0, TILE_ROWS)
    copy(result, 0, out, first * inputs, rows * inputs)


@kernel
def _project_back_tiles(
    grad: Any, panels: Any, inputs: int, outputs: int, out: Any, first: int, last: int
) -> None:
    corner = scratch(TILE_ROWS * LANES, 0)
    for start in range(first, last, _CHUNK_ROWS):
        end = min(start + _CHUNK_ROWS, last)
        for column in range(0, inputs, LANES):
            left = inputs - column
            panel = column * outputs
            for row in range(start, end, TILE_ROWS):
                # The last tile may repeat rows of the previous one.
                row = min(row, last - TILE_ROWS)
                at, to = row * outputs, row * inputs + column
                if left >= LANES:
                    tile(grad, at, outputs, outputs, panels, panel, LANES, out, to, inputs, False)
                else:
                    tile(grad, at, outputs, outputs, panels, panel, LANES, corner, 0, LANES, False)
                    for r in range(TILE_ROWS):
                        copy(corner, r * LANES, out, to + r * inputs, left)


@kernel
def project_weights(
    x: Any, grad: Any, inputs: int, outputs: int, total: Any, bias: Any, first: int, last: int
) -> None:
    """Add the gradients of weights and bias from the rows in range(first, last).

    ``total`` (I x P) has a row for each input, ``bias`` P elements.
    """
    for start in range(first, last, _CHUNK_ROWS):
        rows = min(_CHUNK_ROWS, last - start)
        _add_outer(x, start * inputs, grad, start * outputs, rows, inputs, outputs, total)
        _add_sum(grad, start * outputs, rows, outputs, bias)


@kernel
def gram(x: Any, inputs: int, usual: Any, first: int, last: int) -> Any:
    """Return sums over the rows in range(first, last), of inputs less their ``usual`` values (I,).

    The sums of the values (P) and of the products of each two (I x P), those below the diagonal
    undefined. ``usual`` is 0 for sparse inputs.
    """
    width = round_up(inputs, LANES)
    active = np.empty(inputs, np.int32)
    values, shift = scratch(width, 0), scratch(width, 1)
    copy(usual, 0, shift, 0, inputs)
    sums, total = scratch(width, 2), scratch(inputs * width, 3)
    for row in range(first, last):
        at = row * inputs
        for j in range(0, inputs, LANES):
            store(values, j, load_some(x, at + j, inputs - j) - load(shift, j))
        found = find_active(values, 0, inputs, active, 0)
        for k in range(found):
            i = element(active, k)
            value = element(values, i)
            add_to_element(sums, i, value)
            if found - k > 2 * (width - i) // LANES:
                for j in range(i // LANES * LANES, inputs, LANES):
                    to = i * width + j
                    store(total, to, fma(full(value), load(values, j), load(total, to)))
            else:
                for m in range(k, found):
                    other = element(active, m)
                    add_to_element(total, i * width + other, value * element(values, other))
    return sums, total


@kernel
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
    """Add the gradient of recurrent weights from the clips in range(first, last).

    The recurrent current of a step is computed from the spikes of the step before, that of the
    first from ``s_state`` (B x H). ``total`` (H x P) has a row for each presynaptic neuron.
    """
    for clip in range(first, last):
        at = clip * steps * neurons
        _add_outer(s_state, clip * neurons, grad, at, 1, neurons, neurons, total)
        for t in range(0, steps - 1, _CHUNK_ROWS):
            rows = min(_CHUNK_ROWS, steps - 1 - t)
            before = at + t * neurons
            _add_outer(spikes, before, grad, before + neurons, rows, neurons, neurons, total)


@kernel
def _add_outer(
    x: Any, x_at: int, grad: Any, grad_at: int, rows: int, inputs: int, outputs: int, total: Any
) -> None:
    """Add the outer products of the rows of ``x`` and ``grad`` to ``total``; sparse in ``x``."""
    active = np.empty(rows * inputs, np.int32)
    if _is_dense(x, x_at, inputs, active):
        _add_outer_dense(x, x_at, grad, grad_at, rows, inputs, outputs, total)
        return
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

    # Strip by strip: the gradients of all rows in a strip stay in the L1 cache.
    width = total.size // inputs
    strip = scratch(rows * STRIP, 0)
    for column in range(0, width, STRIP):
        for row in range(rows):
            copy(
                grad, grad_at + row * outputs + column, strip, row * STRIP,
                min(STRIP, outputs - column),
            )  # fmt: skip
        for i in range(inputs):
            if starts[i] < ends[i]:
                lanes = load_strip(total, i * width + column)
                lanes = _add_strip_rows(strip, 0, places, values, starts[i], ends[i], lanes)
                store(total, i * width + column, lanes)


@kernel
def _add_outer_dense(
    x: Any, x_at: int, grad: Any, grad_at: int, rows: int, inputs: int, outputs: int, total: Any
) -> None:
    """Do the same as `_add_outer` for dense inputs."""
    width = total.size // inputs
    strip = scratch(rows * STRIP, 0)
    for column in range(0, width, STRIP):
        for row in range(rows):
            copy(
                grad, grad_at + row * outputs + column, strip, row * STRIP,
                min(STRIP, outputs - column),
            )  # fmt: skip
        # Two inputs at a time: consecutive sums of one input depend on each other.
        for i in range(0, inputs, 2):
            second = min(i + 1, inputs - 1)
            at, to = i * width + column, second * width + column
            lanes, others = load_strip(total, at), load_strip(total, to)
            for row in range(rows):
                place = x_at + row * inputs
                gradients = load_strip(strip, row * STRIP)
                lanes = fma(repeat_strip(x, place + i), gradients, lanes)
                others = fma(repeat_strip(x, place + second), gradients, others)
            store(total, to, others)
            store(total, at, lanes)


@kernel
def _add_sum(grad: Any, at: int, rows: int, outputs: int, total: Any) -> None:
    for column in range(0, outputs, LANES):
        lanes = load(total, column)
        for row in range(rows):
            lanes = lanes + load_some(grad, at + row * outputs + column, outputs - column)
        store(total, column, lanes)
