# SPDX-License-Identifier: MPL-2.0
"""The forward pass of a layer of neurons of any kind over whole sequences.

``neuron`` holds the parameters of the layer, see `srnn.network.ops.cpu.neuron`.

Legend: T time steps, B clips, I inputs, H neurons, P their number padded.
"""

from typing import Any

import numpy as np

from srnn.network.ops.cpu.compilation import kernel
from srnn.network.ops.cpu.neuron import step
from srnn.network.ops.cpu.products import add_rows, copy, find_active, project, scratch, workspace
from srnn.network.ops.cpu.simd import LANES, load, load_some, store, store_some


@kernel
def alif_forward(
    current: Any,
    weights: Any,
    neuron: Any,
    steps: int,
    neurons: int,
    s_state: Any,
    v_state: Any,
    b_state: Any,
    spikes: Any,
    potentials: Any,
    first: int,
    last: int,
) -> None:
    """Run the clips from ``first`` to before ``last`` through all time steps.

    ``weights`` (H x P) has a row for each presynaptic neuron; it is empty for a feed-forward layer.
    The states (B x H) are replaced by those after the last step; ``potentials`` are those of
    all steps, for the backward pass, or empty.
    """
    width = len(neuron.alpha)
    active = np.empty(width, np.int32)
    s, v = scratch(width, 0), scratch(width, 1)
    b, total = scratch(width, 2), scratch(width, 3)
    for clip in range(first, last):
        copy(s_state, clip * neurons, s, 0, neurons)
        copy(v_state, clip * neurons, v, 0, neurons)
        copy(b_state, clip * neurons, b, 0, neurons)
        for t in range(steps):
            at = (clip * steps + t) * neurons
            total[:] = 0
            if len(weights):
                found = find_active(s, 0, neurons, active, 0)
                add_rows(weights, width, s, 0, active, found, total, 0)
            for h in range(0, neurons, LANES):
                left = neurons - h
                inflow = load_some(current, at + h, left) + load(total, h)
                new_s, new_v, new_b = step(neuron, h, inflow, load(s, h), load(v, h), load(b, h))
                store(s, h, new_s)
                store(v, h, new_v)
                store(b, h, new_b)
                store_some(spikes, at + h, new_s, left)
                if len(potentials):
                    store_some(potentials, at + h, new_v, left)
        copy(s, 0, s_state, clip * neurons, neurons)
        copy(v, 0, v_state, clip * neurons, neurons)
        copy(b, 0, b_state, clip * neurons, neurons)


@kernel
def layer_forward(
    x: Any,
    strips: Any,
    bias: Any,
    inputs: int,
    weights: Any,
    neuron: Any,
    steps: int,
    neurons: int,
    s_state: Any,
    v_state: Any,
    b_state: Any,
    spikes: Any,
    potentials: Any,
    first: int,
    last: int,
) -> None:
    """Do `project` and `alif_forward`, clip by clip: their current never leaves the cache."""
    current = workspace(steps * neurons, 4)
    for clip in range(first, last):
        state = slice(clip * neurons, (clip + 1) * neurons)
        clip_out = slice(clip * steps * neurons, (clip + 1) * steps * neurons)
        clip_in = slice(clip * steps * inputs, (clip + 1) * steps * inputs)
        project(x[clip_in], strips, bias, inputs, neurons, current, 0, steps)
        alif_forward(
            current=current,
            weights=weights,
            neuron=neuron,
            steps=steps,
            neurons=neurons,
            s_state=s_state[state],
            v_state=v_state[state],
            b_state=b_state[state],
            spikes=spikes[clip_out],
            potentials=potentials[clip_out] if len(potentials) else potentials,
            first=0,
            last=1,
        )
