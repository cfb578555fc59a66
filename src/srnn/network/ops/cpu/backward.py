# SPDX-License-Identifier: MPL-2.0
"""The backward pass of a layer of neurons of any kind over whole sequences.

``neuron`` holds the parameters of the layer, see `srnn.network.ops.cpu.neuron`.

Legend: T time steps, B clips, I inputs, H neurons, P their number padded, L parameters of a
neuron.
"""

from typing import Any

import numpy as np

from srnn.network.ops.cpu.compilation import kernel
from srnn.network.ops.cpu.neuron import adapt, distance, step_backward
from srnn.network.ops.cpu.products import (
    FEW_ROWS,
    add_rows,
    copy,
    project_back,
    project_weights,
    recurrent_weights,
    scratch,
    slots_apart,
    tile,
    workspace,
)
from srnn.network.ops.cpu.simd import (
    LANES,
    PANEL,
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
"""Clips that go back in time together, a multiple of `TILE_ROWS`."""


@kernel
def alif_backward(
    grad_spikes: Any,
    spikes: Any,
    potentials: Any,
    weights: Any,
    panels: Any,
    neuron: Any,
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
    grad_weights: Any,
    grad_neuron: Any,
    first: int,
    last: int,
) -> None:
    """Go back through all time steps with the clips from ``first`` to before ``last``.

    ``weights`` (H x P) and ``panels`` hold the recurrent weights, a row for each
    postsynaptic neuron; both are empty for a feed-forward layer. The states (B x H) are those
    before the first step; their gradients come in as those of the states after the last step.
    The gradients of these clips are added to ``grad_neuron`` (L x P) and ``grad_weights`` (H x P),
    which has a row for each presynaptic neuron.
    """
    width = len(neuron.alpha)
    every = np.arange(width, dtype=np.int32)
    together = clips_together(weights)
    # One row a clip: what flows into its spikes, potential and adaptation from the step after.
    into_s = scratch(_TOGETHER * width, 0)
    into_v = scratch(_TOGETHER * width, 1)
    into_b = scratch(_TOGETHER * width, 2)
    inflow = scratch(_TOGETHER * width, 3)
    # Each parameter's sum in a slot of its own.
    apart = slots_apart(width)
    sums = scratch(len(grad_neuron) * apart, 4)
    slopes = scratch(width, 7)
    # The adaptation of all steps and clips; row 0 is the state before the first step.
    adapted = workspace((steps + 1) * together * width, 6)

    for clip in range(first, last, together):
        rows = min(together, last - clip)
        for row in range(rows):
            at, to = (clip + row) * neurons, row * width
            copy(grad_s_state, at, into_s, to, neurons)
            copy(grad_v_state, at, into_v, to, neurons)
            copy(grad_b_state, at, into_b, to, neurons)
            _recall(
                neuron=neuron,
                potentials=potentials,
                at=(clip + row) * steps * neurons,
                s_state=s_state,
                v_state=v_state,
                b_state=b_state,
                state=at,
                steps=steps,
                neurons=neurons,
                adapted=adapted,
                to=to,
                step=together * width,
            )
        for t in range(steps - 1, -1, -1):
            for row in range(rows):
                at = ((clip + row) * steps + t) * neurons
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
                        v_before = load_some(v_state, state + h, left)
                        s_before = load_some(s_state, state + h, left)
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
                    store_some(grad_current, at + h, current, left)
                    store(into_s, here, s)
                    store(into_v, here, v)
                    store(into_b, here, b)
                    for k in range(len(parts)):
                        to = k * apart + h
                        store(sums, to, load(sums, to) + parts[k])
            if len(weights) and rows > FEW_ROWS:
                for p in range(panels.shape[0]):
                    for row in range(0, rows, TILE_ROWS):
                        at = row * width
                        to = at + p * PANEL
                        tile(inflow, at, width, neurons, panels[p], into_s, to, width, True)
            elif len(weights):
                for row in range(rows):
                    at = row * width
                    add_rows(weights, width, inflow, at, every, neurons, into_s, at)
        for row in range(rows):
            at, to = (clip + row) * neurons, row * width
            copy(into_s, to, grad_s_state, at, neurons)
            copy(into_v, to, grad_v_state, at, neurons)
            copy(into_b, to, grad_b_state, at, neurons)
    for k in range(len(grad_neuron)):
        grad_neuron[k] += sums[k * apart : k * apart + width]
    if len(weights):
        recurrent_weights(s_state, spikes, grad_current, steps, neurons, grad_weights, first, last)


@kernel
def clips_together(weights: Any) -> int:
    """Return how many clips go back in time together.

    With recurrent weights several, for which these are read once; without, one alone is better, as
    all of it fits into the cache.
    """
    return _TOGETHER if len(weights) else 1


@kernel
def _recall(
    neuron: Any,
    potentials: Any,
    at: int,
    s_state: Any,
    v_state: Any,
    b_state: Any,
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
    copy(b_state, state, adapted, to, neurons)
    for t in range(steps):
        before, then = at + (t - 1) * neurons, to + t * step
        for h in range(0, neurons, LANES):
            left = neurons - h
            b = load(adapted, then + h)
            if t:
                v = load_some(potentials, before + h, left)
                s = heaviside(distance(neuron, v, b))
            else:
                v = load_some(v_state, state + h, left)
                s = load_some(s_state, state + h, left)
            store(adapted, then + step + h, adapt(neuron, h, s, v, b))


@kernel
def layer_backward(
    grad_spikes: Any,
    x: Any,
    spikes: Any,
    potentials: Any,
    input_weights: Any,
    input_panels: Any,
    inputs: int,
    weights: Any,
    panels: Any,
    neuron: Any,
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
    grad_neuron: Any,
    first: int,
    last: int,
) -> None:
    """Do the backward passes of `layer_forward`, a few clips at a time, for the same reason.

    ``grad_x`` is empty if not needed.
    """
    together = clips_together(weights)
    current = workspace(together * steps * neurons, 4)
    for clip in range(first, last, together):
        rows = min(together, last - clip)
        state = slice(clip * neurons, (clip + rows) * neurons)
        out = slice(clip * steps * neurons, (clip + rows) * steps * neurons)
        alif_backward(
            grad_spikes=grad_spikes[out],
            spikes=spikes[out],
            potentials=potentials[out],
            weights=weights,
            panels=panels,
            neuron=neuron,
            surrogate=surrogate,
            steps=steps,
            neurons=neurons,
            s_state=s_state[state],
            v_state=v_state[state],
            b_state=b_state[state],
            grad_s_state=grad_s_state[state],
            grad_v_state=grad_v_state[state],
            grad_b_state=grad_b_state[state],
            grad_current=current,
            grad_weights=grad_weights,
            grad_neuron=grad_neuron,
            first=0,
            last=rows,
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
