# SPDX-License-Identifier: MPL-2.0
"""The backward pass of a layer of neurons of any kind over whole sequences.

``neuron`` holds the parameters of the layer, see `srnn.network.ops.cpu.neuron`.

Legend: T time steps, B clips, I inputs, H neurons, P their number padded, L parameters of a
neuron.
"""

from typing import Any

import numpy as np

from srnn.network.ops.cpu.compilation import kernel
from srnn.network.ops.cpu.layout import copy, make_panels, round_up, scratch, slots_apart, workspace
from srnn.network.ops.cpu.neuron import adapt, distance, step_backward
from srnn.network.ops.cpu.products import (
    add_rows,
    project_back,
    project_weights,
    recurrent_weights,
    tile,
)
from srnn.network.ops.cpu.simd import (
    LANES,
    STRIP,
    TILE_ROWS,
    heaviside,
    load,
    load_some,
    prefetch,
    store,
    store_some,
)
from srnn.network.ops.cpu.surrogates import derivative

_TOGETHER = 8
"""Clips that go back in time together, a multiple of `TILE_ROWS`: recurrent weights are read once
for all of them."""

_FEW = TILE_ROWS // 2
"""Up to this number of clips a sum of rows of weights is faster than the mostly empty tile."""


@kernel
def layer_backward(
    x: Any,
    weighted: bool,
    weight: Any,
    recurrent_weight: Any,
    neuron: Any,
    surrogate: int,
    inputs: int,
    neurons: int,
    steps: int,
    before: Any,
    spikes: Any,
    potentials: Any,
    grad_spikes: Any,
    grad_state: Any,
    grad_x: Any,
    learnable: int,
    first: int,
    last: int,
) -> Any:
    """Go back through all time steps with the clips from ``first`` to before ``last``.

    ``grad_state`` holds the gradients of the state after the last step, and receives those of the
    state ``before`` the first one. ``grad_x`` is empty where weighted inputs need no gradient.

    Returns the sums of the gradients of these clips: of weight (I x P) and recurrent weight
    (H x P), a row for each presynaptic neuron, of bias (P) and of the ``learnable`` parameters of
    the neurons (L x P). Those of what the layer does not have are empty.
    """
    width = len(neuron.alpha)
    recurs = len(recurrent_weight) > 0
    # Without recurrent weights one clip is best, as all of it fits into the cache.
    together = _TOGETHER if recurs else 1
    few = last - first <= _FEW
    weights = make_panels(recurrent_weight, neurons if recurs and few else 0, neurons, width)
    panels = make_panels(recurrent_weight, neurons if recurs and not few else 0, neurons, LANES)
    for_x = weighted and len(grad_x) > 0
    input_panels = make_panels(weight, neurons if for_x else 0, inputs, LANES)

    columns = round_up(neurons, STRIP)
    grad_weight = scratch(inputs * columns if weighted else 0, 0)
    grad_bias = scratch(columns, 0)
    grad_recurrent = scratch(neurons * columns if recurs else 0, 0)
    grad_neuron = scratch(learnable * width, 0)
    current = workspace(together * steps * neurons if weighted else 0, 4)
    for clip in range(first, last, together):
        rows = min(together, last - clip)
        out = slice(clip * steps * neurons, (clip + rows) * steps * neurons)
        grad_current = current if weighted else grad_x[out]
        _back_in_time(
            neuron=neuron,
            surrogate=surrogate,
            neurons=neurons,
            steps=steps,
            together=together,
            weights=weights,
            panels=panels,
            before=before,
            potentials=potentials,
            grad_spikes=grad_spikes,
            grad_state=grad_state,
            grad_current=grad_current,
            grad_neuron=grad_neuron,
            clip=clip,
            rows=rows,
        )
        if recurs:
            state = slice(clip * neurons, (clip + rows) * neurons)
            recurrent_weights(
                before.s[state], spikes[out], grad_current, steps, neurons, grad_recurrent, 0, rows
            )
        if weighted:
            part = slice(clip * steps * inputs, (clip + rows) * steps * inputs)
            if for_x:
                project_back(current, input_panels, inputs, neurons, grad_x[part], 0, rows * steps)
            project_weights(
                x[part], current, inputs, neurons, grad_weight, grad_bias, 0, rows * steps
            )
    return grad_weight, grad_bias, grad_recurrent, grad_neuron


@kernel
def _back_in_time(
    neuron: Any,
    surrogate: int,
    neurons: int,
    steps: int,
    together: int,
    weights: Any,
    panels: Any,
    before: Any,
    potentials: Any,
    grad_spikes: Any,
    grad_state: Any,
    grad_current: Any,
    grad_neuron: Any,
    clip: int,
    rows: int,
) -> None:
    """Go back with ``rows`` clips from ``clip`` on; write the gradients of their currents.

    The recurrent weights are given as ``weights`` (H x P) or ``panels``; both are empty for a
    feed-forward layer.
    """
    width = len(neuron.alpha)
    every = np.arange(width, dtype=np.int32)
    # One row a clip: what flows into its spikes, potential and adaptation from the step after.
    into_s = scratch(together * width, 0)
    into_v = scratch(together * width, 1)
    into_b = scratch(together * width, 2)
    inflow = scratch(together * width, 3)
    # Each parameter's sum in a slot of its own.
    apart, learnable = slots_apart(width), len(grad_neuron) // width
    sums = scratch(learnable * apart, 4)
    slopes = scratch(width, 7)
    # The adaptation of all steps and clips; row 0 is the state before the first step.
    adapted = workspace((steps + 1) * together * width, 6)
    for row in range(rows):
        at, to = (clip + row) * neurons, row * width
        copy(grad_state.v, at, into_v, to, neurons)
        copy(grad_state.b, at, into_b, to, neurons)
        _recall(
            neuron=neuron,
            potentials=potentials,
            at=(clip + row) * steps * neurons,
            before=before,
            state=at,
            steps=steps,
            neurons=neurons,
            adapted=adapted,
            to=to,
            step=together * width,
        )
    for t in range(steps - 1, -1, -1):
        for row in range(rows):
            grad_at = (row * steps + t) * neurons
            at = clip * steps * neurons + grad_at
            state = (clip + row) * neurons
            now = ((t + 1) * together + row) * width
            then = now - together * width
            # In a loop of its own: together with what follows it needs too many registers.
            for h in range((neurons - 1) // LANES * LANES, -1, -LANES):
                v = load_some(potentials, at + h, neurons - h)
                above = distance(neuron, v, load(adapted, now + h))
                store(slopes, h, derivative(above, surrogate))
                prefetch(potentials, at - 2 * neurons + h)
                prefetch(grad_spikes, at - neurons + h)
            for h in range((neurons - 1) // LANES * LANES, -1, -LANES):
                left = neurons - h
                here = row * width + h
                b_before = load(adapted, then + h)
                if t:
                    v_before = load_some(potentials, at - neurons + h, left)
                    s_before = heaviside(distance(neuron, v_before, b_before))
                else:
                    v_before = load_some(before.v, state + h, left)
                    s_before = load_some(before.s, state + h, left)
                current, s, v, b, parts = step_backward(
                    neuron,
                    h,
                    load_some(grad_spikes, at + h, left) + load(into_s, here),
                    load(into_v, here),
                    load(into_b, here),
                    load_some(potentials, at + h, left),
                    load(adapted, now + h),
                    s_before,
                    v_before,
                    b_before,
                    load(slopes, h),
                )
                store(inflow, here, current)
                store_some(grad_current, grad_at + h, current, left)
                store(into_s, here, s)
                store(into_v, here, v)
                store(into_b, here, b)
                for k in range(len(parts)):
                    to = k * apart + h
                    store(sums, to, load(sums, to) + parts[k])
        for row in range(rows if len(weights) else 0):
            at = row * width
            add_rows(weights, width, inflow, at, every, neurons, into_s, at)
        for panel in range(0, len(panels), neurons * LANES):
            for row in range(0, rows, TILE_ROWS):
                at, column = row * width, panel // neurons
                tile(
                    inflow, at, width, neurons, panels, panel, LANES, into_s, at + column, width,
                    True,
                )  # fmt: skip
    for row in range(rows):
        at, to = row * width, (clip + row) * neurons
        copy(into_s, at, grad_state.s, to, neurons)
        copy(into_v, at, grad_state.v, to, neurons)
        copy(into_b, at, grad_state.b, to, neurons)
    for k in range(learnable):
        for h in range(0, width, LANES):
            total = load(grad_neuron, k * width + h) + load(sums, k * apart + h)
            store(grad_neuron, k * width + h, total)


@kernel
def _recall(
    neuron: Any,
    potentials: Any,
    at: int,
    before: Any,
    state: int,
    steps: int,
    neurons: int,
    adapted: Any,
    to: int,
    step: int,
) -> None:
    """Compute the adaptation of every step of one clip again, from the potentials.

    Cheaper than to fetch it from memory. Row 0 of ``adapted`` is the state before the first step.
    """
    copy(before.b, state, adapted, to, neurons)
    for t in range(steps):
        earlier, then = at + (t - 1) * neurons, to + t * step
        for h in range(0, neurons, LANES):
            left = neurons - h
            b = load(adapted, then + h)
            if t:
                v = load_some(potentials, earlier + h, left)
                s = heaviside(distance(neuron, v, b))
            else:
                v = load_some(before.v, state + h, left)
                s = load_some(before.s, state + h, left)
            store(adapted, then + step + h, adapt(neuron, h, s, v, b))
