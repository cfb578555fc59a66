# SPDX-License-Identifier: MPL-2.0
"""The kernels of recurrent layers in Triton.

A program owns some clips for all time steps and takes the neurons in blocks; what one step passes
to the next goes through global memory, that is, the L2 cache, with one barrier a step. Programs
never wait for each other.

The time loops must not be software-pipelined (num_stages=1): a step reads what the one before
wrote. The loops over the weights are, by the launch's num_stages.

Sequences (T, B, H) lie clip by clip in memory (a transposed (B, T, H)), except for the current and
the gradient of the spikes, whose strides are passed. Backward kernels receive pointers to the last
time step. ``step``, ``adapt`` and ``step_backward`` are the functions of a kind of neuron, see
`srnn.network.ops.cuda.neuron`; ``derivative`` is a surrogate's.

Legend: T steps, B batch, H neurons, L learnable parameters of a neuron; `before` and `later`: one
time step earlier and later.
"""

import triton
import triton.language as tl

from srnn.network.ops.cuda.neuron import LENGTHS, load_parameters


@triton.jit
def _product(
    source,
    exists,
    scale,
    weights,
    column,
    neurons: tl.constexpr,
    padded: tl.constexpr,
    clips: tl.constexpr,
    block: tl.constexpr,
    depth: tl.constexpr,
    spikes: tl.constexpr,
):
    """Return ``source`` (clips, H) times ``scale`` times the columns (H, block) of the weights.

    The weights are two half-precision matrices (2, padded, padded), see `operators._halves`. Spikes
    are exact in half precision; other values, which ``scale`` must bring below 2^14, are split in
    the same way.
    """
    total = tl.zeros((clips, block), tl.float32)
    for start in range(0, neurons, depth):
        inner = start + tl.arange(0, depth)
        values = tl.load(source + inner[None, :], exists & (inner < neurons)[None, :], 0.0)
        tile = weights + inner[:, None] * padded + column
        high = tl.load(tile)
        low = tl.load(tile + padded * padded)
        if spikes:
            exact = values.to(tl.float16)
            total = tl.dot(exact, high, total)
            total = tl.dot(exact, low, total)
        else:
            scaled = values * scale
            upper = scaled.to(tl.float16)
            lower = (scaled - upper.to(tl.float32)).to(tl.float16)
            total = tl.dot(upper, high, total)
            total = tl.dot(upper, low, total)
            total = tl.dot(lower, high, total)
    return total


@triton.jit
def _half_scale(largest):
    """Return the power of two that brings ``largest`` >= 0 into [2^13, 2^14), and its inverse.

    Made from the exponent's bits; values below 2^-113 stay below 2^13.
    """
    exponent = tl.maximum(largest.to(tl.int32, bitcast=True) >> 23, 14)
    up = (267 - exponent) << 23
    down = (exponent - 13) << 23
    return up.to(tl.float32, bitcast=True), down.to(tl.float32, bitcast=True)


@triton.jit
def _add(pointer, values, exists):
    tl.store(pointer, tl.load(pointer, exists, 0.0) + values, exists)


@triton.jit(do_not_specialize=LENGTHS)
def recurrent_forward(
    current,
    weights,
    weight_unit,
    parameters,
    spikes0,
    potential0,
    state_adapted,
    spikes_out,
    potentials,
    steps,
    batch,
    current_step,
    current_clip,
    potentials_step,
    potentials_clip,
    constants,
    neurons: tl.constexpr,
    learnable: tl.constexpr,
    step: tl.constexpr,
    padded: tl.constexpr,
    clips: tl.constexpr,
    block: tl.constexpr,
    depth: tl.constexpr,
):
    """Run a recurrent layer, as `scan_forward`. One program: ``clips`` clips.

    ``weights`` times ``weight_unit`` is the transposed recurrent weight.
    """
    clip = tl.program_id(0).to(tl.int64) * clips + tl.arange(0, clips)[:, None]
    unit = tl.load(weight_unit)
    current += clip * current_clip
    potentials += clip * potentials_clip
    spikes_out += clip * (steps * neurons)
    state_adapted += clip * neurons
    spikes_before = spikes0 + clip * neurons
    potential_before = potential0 + clip * neurons
    for _ in tl.range(0, steps, num_stages=1):
        for start in range(0, neurons, block):
            neuron = start + tl.arange(0, block)[None, :]
            exists = (clip < batch) & (neuron < neurons)
            p = load_parameters(parameters, constants, neuron, neurons, learnable)
            inflow = tl.load(current + neuron, exists, 0.0)
            spikes = tl.load(spikes_before + neuron, exists, 0.0)
            potential = tl.load(potential_before + neuron, exists, 0.0)
            adapted = tl.load(state_adapted + neuron, exists, 0.0)
            inflow += unit * _product(
                source=spikes_before,
                exists=clip < batch,
                scale=1.0,
                weights=weights,
                column=neuron,
                neurons=neurons,
                padded=padded,
                clips=clips,
                block=block,
                depth=depth,
                spikes=True,
            )
            spikes, potential, adapted = step(inflow, spikes, potential, adapted, p)
            tl.debug_barrier()  # all have read the old state
            tl.store(spikes_out + neuron, spikes, exists)
            tl.store(potentials + neuron, potential, exists)
            tl.store(state_adapted + neuron, adapted, exists)
        tl.debug_barrier()  # all see this step's spikes
        spikes_before = spikes_out
        potential_before = potentials
        current += current_step
        potentials += potentials_step
        spikes_out += neurons


@triton.jit(do_not_specialize=LENGTHS)
def recurrent_backward(
    grad_spikes,
    spikes,
    potentials,
    adapted_or_grad,
    weights,
    weight_unit,
    parameters,
    spikes0,
    potential0,
    adaptation0,
    state_spikes,
    state_potential,
    state_adapted,
    parts,
    steps,
    batch,
    grad_step,
    grad_clip,
    constants,
    neurons: tl.constexpr,
    learnable: tl.constexpr,
    step_backward: tl.constexpr,
    derivative: tl.constexpr,
    padded: tl.constexpr,
    clips: tl.constexpr,
    block: tl.constexpr,
    depth: tl.constexpr,
):
    """Go back through a recurrent layer. One program: ``clips`` clips.

    As `scan_backward`, but ``parts`` come as zeros, and ``state_spikes`` leaves without what
    the first step's recurrent product adds; ``weights`` times ``weight_unit`` is the recurrent
    weight.
    """
    clip = tl.program_id(0).to(tl.int64) * clips + tl.arange(0, clips)[:, None]
    unit = tl.load(weight_unit)
    state = clip * neurons
    grad_spikes += clip * grad_clip
    spikes += clip * (steps * neurons)
    potentials += clip * (steps * neurons)
    adapted_or_grad += clip * (steps * neurons)
    parts += clip * (learnable * neurons)
    largest = tl.zeros((clips, 1), tl.float32)  # of the later step's gradient of the current
    for back in tl.range(0, steps, num_stages=1):
        first = back == steps - 1
        spikes_before = tl.where(first, spikes0 + state, spikes - neurons)
        potential_before = tl.where(first, potential0 + state, potentials - neurons)
        adapted_before = tl.where(first, adaptation0 + state, adapted_or_grad - neurons)
        scale, inverse = _half_scale(largest)
        largest = tl.zeros((clips, 1), tl.float32)
        for start in range(0, neurons, block):
            neuron = start + tl.arange(0, block)[None, :]
            exists = (clip < batch) & (neuron < neurons)
            cell = state + neuron
            p = load_parameters(parameters, constants, neuron, neurons, learnable)
            into_spikes = tl.load(grad_spikes + neuron, exists, 0.0)
            into_spikes += tl.load(state_spikes + cell, exists, 0.0)
            into_potential = tl.load(state_potential + cell, exists, 0.0)
            into_adapted = tl.load(state_adapted + cell, exists, 0.0)
            into_spikes += (inverse * unit) * _product(
                source=adapted_or_grad + neurons,
                exists=(clip < batch) & (back > 0),
                scale=scale,
                weights=weights,
                column=neuron,
                neurons=neurons,
                padded=padded,
                clips=clips,
                block=block,
                depth=depth,
                spikes=False,
            )
            grad_inflow, into_spikes, into_potential, into_adapted, summands = step_backward(
                into_spikes,
                into_potential,
                into_adapted,
                tl.load(spikes_before + neuron, exists, 0.0),
                tl.load(potential_before + neuron, exists, 0.0),
                tl.load(adapted_before + neuron, exists, 0.0),
                tl.load(potentials + neuron, exists, 0.0),
                tl.load(adapted_or_grad + neuron, exists, 0.0),
                p,
                derivative,
            )
            largest = tl.maximum(largest, tl.max(tl.abs(grad_inflow), 1, keep_dims=True))
            tl.debug_barrier()  # all have read the old values
            tl.store(adapted_or_grad + neuron, grad_inflow, exists)
            tl.store(state_spikes + cell, into_spikes, exists)
            tl.store(state_potential + cell, into_potential, exists)
            tl.store(state_adapted + cell, into_adapted, exists)
            for k in tl.static_range(learnable):
                _add(parts + k * neurons + neuron, summands[k], exists)
        tl.debug_barrier()  # all see this step's gradient of the current
        grad_spikes -= grad_step
        spikes -= neurons
        potentials -= neurons
        adapted_or_grad -= neurons
