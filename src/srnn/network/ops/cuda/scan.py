# SPDX-License-Identifier: MPL-2.0
"""The kernels of feed-forward layers in Triton.

Neurons do not depend on each other, so each cell (one neuron of one clip) goes through all time
steps on its own, its state in registers: a *scan*.

Sequences (T, B, H) lie clip by clip in memory (a transposed (B, T, H)), except for the current and
the gradient of the spikes, whose strides are passed. Backward kernels receive pointers to the last
time step. ``step``, ``adapt`` and ``step_backward`` are the functions of a kind of neuron, see
`srnn.network.ops.cuda.neuron`; ``derivative`` is a surrogate's.

Legend: T steps, B batch, H neurons, L learnable parameters of a neuron; `before` and `later`: one
time step earlier and later.
"""

import triton
import triton.language as tl

from srnn.network.ops.cuda.neuron import LENGTHS, add, load_parameters, zeros


@triton.jit
def _cells(batch, neurons: tl.constexpr, block: tl.constexpr):
    """Return clip and neuron of each of this program's cells, and which of them exist."""
    cell = tl.program_id(0) * block + tl.arange(0, block)
    return (cell // neurons).to(tl.int64), cell % neurons, cell < batch * neurons


@triton.jit(do_not_specialize=LENGTHS)
def scan_forward(
    current,
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
    block: tl.constexpr,
    stages: tl.constexpr,
):
    """Run a feed-forward layer. One program: ``block`` cells.

    ``state_adapted`` (B, H) comes with the adaptation before the first step and leaves with that
    after the last; ``..._step`` and ``..._clip`` are strides.
    """
    clip, neuron, exists = _cells(batch, neurons, block)
    state = clip * neurons + neuron
    spikes = tl.load(spikes0 + state, exists, 0.0)
    potential = tl.load(potential0 + state, exists, 0.0)
    adapted = tl.load(state_adapted + state, exists, 0.0)
    p = load_parameters(parameters, constants, neuron, neurons, learnable)
    current += clip * current_clip + neuron
    potentials += clip * potentials_clip + neuron
    spikes_out += clip * (steps * neurons) + neuron
    for _ in tl.range(0, steps, num_stages=stages):
        inflow = tl.load(current, exists, 0.0)
        spikes, potential, adapted = step(inflow, spikes, potential, adapted, p)
        tl.store(spikes_out, spikes, exists)
        tl.store(potentials, potential, exists)
        current += current_step
        potentials += potentials_step
        spikes_out += neurons
    tl.store(state_adapted + state, adapted, exists)


@triton.jit(do_not_specialize=LENGTHS)
def scan_adaptation(
    spikes,
    potentials,
    parameters,
    spikes0,
    potential0,
    adaptation0,
    adapted_out,
    steps,
    batch,
    constants,
    neurons: tl.constexpr,
    learnable: tl.constexpr,
    adapt: tl.constexpr,
    block: tl.constexpr,
    stages: tl.constexpr,
):
    """Recompute every step's adaptation (T, B, H) from the spikes and the potentials of potentials.

    One program: ``block`` cells.
    """
    clip, neuron, exists = _cells(batch, neurons, block)
    state = clip * neurons + neuron
    before = tl.load(spikes0 + state, exists, 0.0)
    adapted = tl.load(adaptation0 + state, exists, 0.0)
    p = load_parameters(parameters, constants, neuron, neurons, learnable)
    potential = tl.load(potential0 + state, exists, 0.0)
    spikes += clip * (steps * neurons) + neuron
    potentials += clip * (steps * neurons) + neuron
    adapted_out += clip * (steps * neurons) + neuron
    adapted = adapt(before, potential, adapted, p)
    tl.store(adapted_out, adapted, exists)
    for _ in tl.range(1, steps, num_stages=stages):
        # Used in the round that loads them: Triton fetches nothing ahead for a later one.
        before = tl.load(spikes, exists, 0.0)
        potential = tl.load(potentials, exists, 0.0)  # compiled only for kinds that need it
        adapted = adapt(before, potential, adapted, p)
        spikes += neurons
        potentials += neurons
        adapted_out += neurons
        tl.store(adapted_out, adapted, exists)


@triton.jit(do_not_specialize=LENGTHS)
def scan_backward(
    grad_spikes,
    spikes,
    potentials,
    adapted_or_grad,
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
    block: tl.constexpr,
    stages: tl.constexpr,
):
    """Go back through a feed-forward layer. One program: ``block`` cells.

    ``adapted_or_grad`` comes with the adaptation of every step and leaves with the gradient of the
    current; ``state_...`` (B, H) come with the gradients of the state after the last step and leave
    with those of the state before the first; ``parts`` (B, L, H) leaves with each clip's part of
    the gradient of the parameters.
    """
    clip, neuron, exists = _cells(batch, neurons, block)
    state = clip * neurons + neuron
    p = load_parameters(parameters, constants, neuron, neurons, learnable)
    grad_spikes += clip * grad_clip + neuron
    offset = clip * (steps * neurons) + neuron
    spikes += offset
    potentials += offset
    adapted_or_grad += offset
    potential = tl.load(potentials, exists, 0.0)
    adapted = tl.load(adapted_or_grad, exists, 0.0)
    into_spikes = tl.load(state_spikes + state, exists, 0.0)
    into_potential = tl.load(state_potential + state, exists, 0.0)
    into_adapted = tl.load(state_adapted + state, exists, 0.0)
    sums = zeros(block, learnable)
    for back in tl.range(0, steps, num_stages=stages):
        first = back == steps - 1
        spikes_before = tl.load(tl.where(first, spikes0 + state, spikes - neurons), exists, 0.0)
        potential_before = tl.load(
            tl.where(first, potential0 + state, potentials - neurons), exists, 0.0
        )
        adapted_before = tl.load(
            tl.where(first, adaptation0 + state, adapted_or_grad - neurons), exists, 0.0
        )
        from_above = tl.load(grad_spikes, exists, 0.0)
        grad_inflow, into_spikes, into_potential, into_adapted, summands = step_backward(
            from_above + into_spikes,
            into_potential,
            into_adapted,
            spikes_before,
            potential_before,
            adapted_before,
            potential,
            adapted,
            p,
            derivative,
        )
        tl.store(adapted_or_grad, grad_inflow, exists)
        sums = add(sums, summands, learnable)
        potential = potential_before
        adapted = adapted_before
        grad_spikes -= grad_step
        spikes -= neurons
        potentials -= neurons
        adapted_or_grad -= neurons
    tl.store(state_spikes + state, into_spikes, exists)
    tl.store(state_potential + state, into_potential, exists)
    tl.store(state_adapted + state, into_adapted, exists)
    parts += clip * (learnable * neurons) + neuron
    for k in tl.static_range(learnable):
        tl.store(parts + k * neurons, sums[k], exists)
