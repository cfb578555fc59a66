# SPDX-License-Identifier: MPL-2.0
"""The forward pass of a layer of neurons of any kind over whole sequences.

``neuron`` holds the parameters of the layer, see `srnn.network.ops.cpu.neuron`.

Legend: T time steps, B clips, I inputs, H neurons, P their number padded.
"""

from typing import Any

import numpy as np

from srnn.network.ops.cpu.compilation import kernel
from srnn.network.ops.cpu.layout import copy, make_strips, scratch, workspace
from srnn.network.ops.cpu.neuron import step
from srnn.network.ops.cpu.products import add_rows, find_active, project
from srnn.network.ops.cpu.simd import LANES, STRIP, load, load_some, store, store_some


@kernel
def layer_forward(
    x: Any,
    weighted: bool,
    weight: Any,
    bias: Any,
    recurrent_weight: Any,
    neuron: Any,
    inputs: int,
    neurons: int,
    steps: int,
    before: Any,
    spikes: Any,
    potentials: Any,
    after: Any,
    first: int,
    last: int,
) -> None:
    """Run the clips from ``first`` to before ``last`` through all time steps.

    ``x`` (T, B, I) are ``weighted`` by ``weight`` (H x I), or the current itself. ``bias`` and
    ``recurrent_weight`` (H x H) may be empty, and ``potentials``, where they need not be kept.
    ``before`` and ``after`` are the states before the first step and after the last one, the latter
    without its spikes.
    """
    width = len(neuron.alpha)
    recurs = len(recurrent_weight) > 0
    strips = make_strips(weight, neurons if weighted else 0, inputs, STRIP)
    recurrent = make_strips(recurrent_weight, neurons if recurs else 0, neurons, width)
    # Clip by clip: its current does not leave the cache.
    current = workspace(steps * neurons if weighted else 0, 4)
    active = np.empty(width, np.int32)
    s, v = scratch(width, 0), scratch(width, 1)
    b, total = scratch(width, 2), scratch(width, 3)
    for clip in range(first, last):
        state, begin = clip * neurons, clip * steps * neurons
        copy(before.s, state, s, 0, neurons)
        copy(before.v, state, v, 0, neurons)
        copy(before.b, state, b, 0, neurons)
        if weighted:
            clip_in = x[clip * steps * inputs : (clip + 1) * steps * inputs]
            project(clip_in, strips, bias, inputs, neurons, current, 0, steps)
        inflows, inflow_begin = (current, 0) if weighted else (x, begin)
        for t in range(steps):
            row = t * neurons
            at, inflow_at = begin + row, inflow_begin + row
            total[:] = 0
            if recurs:
                found = find_active(s, 0, neurons, active, 0)
                add_rows(recurrent, width, s, 0, active, found, total, 0)
            for h in range(0, neurons, LANES):
                left = neurons - h
                inflow = load_some(inflows, inflow_at + h, left) + load(total, h)
                new_s, new_v, new_b = step(neuron, h, inflow, load(s, h), load(v, h), load(b, h))
                store(s, h, new_s)
                store(v, h, new_v)
                store(b, h, new_b)
                store_some(spikes, at + h, new_s, left)
                if len(potentials):
                    store_some(potentials, at + h, new_v, left)
        copy(v, 0, after.v, state, neurons)
        copy(b, 0, after.b, state, neurons)
