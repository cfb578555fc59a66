# SPDX-License-Identifier: MPL-2.0
"""The kernels that `srnn.network.ops.cuda` launches, written in Triton.

Three kinds. A *scan* runs a feed-forward layer: neurons do not see each other, so each cell (one
neuron of one clip) goes through all time steps on its own, its state in registers. A *recurrent*
kernel runs a layer whose neurons see each other's spikes: a program owns some clips for all time
steps and takes the neurons in blocks; what one step hands to the next passes through global memory,
that is, the L2 cache, with one barrier a step. Programs never wait for each other. The *ternary*
kernels are plain elementwise passes.

Sequences (T, B, H) lie clip by clip in memory (a transposed (B, T, H)), except for the current and
the gradient of the spikes, whose strides are passed. Backward kernels get pointers to the last time
step.

Legend: T steps, B batch, H neurons, L learnable parameters of a neuron; `before` and `later`: one
time step earlier and later.
"""

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

_LENGTHS = ["steps", "batch"]  # not compiled anew for round ones


# The neurons: their equations, forward and backward, for values of any shape. These functions alone
# know them; ``kind`` is the name of the neuron's kind. Both kinds have four numbers p0..p3 beside
# the state, of which the first is alpha, the second rho; how many of them are learnable is known to
# `_learnable`.


@triton.jit
def _learnable(kind: tl.constexpr):
    if kind != "adaptive_threshold":
        tl.static_assert(kind == "adaptive_current", "unknown kind of neuron")
    return tl.constexpr(2 if kind == "adaptive_threshold" else 4)


@triton.jit
def _parameters(rows, threshold, adaptation, neuron, neurons: tl.constexpr, kind: tl.constexpr):
    """Load p0..p3: the rows (L, H), then the constants of the adaptive-threshold neuron."""
    exists = neuron < neurons
    p0 = tl.load(rows + neuron, exists, 0.0)
    p1 = tl.load(rows + neurons + neuron, exists, 0.0)
    if kind == "adaptive_threshold":
        p2 = threshold
        p3 = adaptation
    else:
        tl.static_assert(kind == "adaptive_current", "unknown kind of neuron")
        p2 = tl.load(rows + 2 * neurons + neuron, exists, 0.0)
        p3 = tl.load(rows + 3 * neurons + neuron, exists, 0.0)
    return p0, p1, p2, p3


@triton.jit
def _adapt(spikes, potential, adapted, p1, p2, p3, kind: tl.constexpr):
    """Return the adaptation one step after this state."""
    if kind == "adaptive_threshold":
        adapted = p1 * adapted + (1 - p1) * spikes
    else:
        tl.static_assert(kind == "adaptive_current", "unknown kind of neuron")
        adapted = p1 * adapted + p2 * potential + p3 * spikes
    return adapted


@triton.jit
def _step(inflow, spikes, potential, adapted, p0, p1, p2, p3, kind: tl.constexpr):
    """Advance by one step, see `srnn.network.neuron`: spikes, potential, adaptation."""
    adapted = _adapt(spikes, potential, adapted, p1, p2, p3, kind)
    if kind == "adaptive_threshold":
        raised = p2 + p3 * adapted
        potential = p0 * potential + (1 - p0) * inflow - raised * spikes
        fires = potential - raised > 0
    else:
        tl.static_assert(kind == "adaptive_current", "unknown kind of neuron")
        potential = p0 * (potential - spikes) + (1 - p0) * (inflow - adapted)
        fires = potential - 1 > 0
    return tl.where(fires, 1.0, 0.0), potential, adapted


@triton.jit
def _step_backward(
    grad_spikes,
    later_potential,
    later_adapted,
    spikes_before,
    potential_before,
    adapted_before,
    potential,
    adapted,
    p0,
    p1,
    p2,
    p3,
    kind: tl.constexpr,
    surrogate: tl.constexpr,
):
    """Go back by one step.

    ``later_...`` are the gradients that the later step returned for the state before it. Returns
    the gradients of inflow, of spikes, potential and adaptation before, and the step's parts of
    those of p0 (times 1 - p0: the inflow is put in terms of the potentials) to p3; those of
    constants are meaningless.
    """
    if kind == "adaptive_threshold":
        raised = p2 + p3 * adapted
        grad_distance = grad_spikes * _derivative(potential - raised, surrogate)
        grad_potential = grad_distance + later_potential
        grad_raised = -grad_distance - spikes_before * grad_potential
        grad_adapted = p3 * grad_raised + later_adapted
        grad_inflow = (1 - p0) * grad_potential
        into_spikes = (1 - p1) * grad_adapted - raised * grad_potential
        into_potential = p0 * grad_potential
        part0 = grad_potential * (potential_before - potential - raised * spikes_before)
        part1 = grad_adapted * (adapted_before - spikes_before)
    else:
        tl.static_assert(kind == "adaptive_current", "unknown kind of neuron")
        grad_distance = grad_spikes * _derivative(potential - 1, surrogate)
        grad_potential = grad_distance + later_potential
        grad_inflow = (1 - p0) * grad_potential
        grad_adapted = later_adapted - grad_inflow
        into_spikes = p3 * grad_adapted - p0 * grad_potential
        into_potential = p0 * grad_potential + p2 * grad_adapted
        part0 = grad_potential * (potential_before - spikes_before - potential)
        part1 = grad_adapted * adapted_before
    return (
        grad_inflow,
        into_spikes,
        into_potential,
        p1 * grad_adapted,
        part0,
        part1,
        grad_adapted * potential_before,
        grad_adapted * spikes_before,
    )


# The surrogates of `srnn.network.surrogate`, by name.


@triton.jit
def _gaussian(x, mean: tl.constexpr, deviation: tl.constexpr):
    peak: tl.constexpr = 1 / (deviation * _ROOT_TWO_PI)
    steepness: tl.constexpr = -1 / (2 * deviation * deviation)
    return peak * tl.exp(steepness * (x - mean) * (x - mean))


@triton.jit
def _derivative(x, surrogate: tl.constexpr):
    if surrogate == "multi_gaussian":
        centre = _gaussian(x, 0.0, _WIDTH)
        lobes = _gaussian(x, _WIDTH, _LOBE_WIDTH) + _gaussian(x, -_WIDTH, _LOBE_WIDTH)
        slope = (1 + _HEIGHT) * centre - _HEIGHT * lobes
    elif surrogate == "gaussian":
        slope = _gaussian(x, 0.0, _WIDTH)
    elif surrogate == "linear":
        slope = tl.maximum(1 - tl.abs(x), 0.0)
    else:
        tl.static_assert(surrogate == "slayer", "unknown surrogate")
        slope = tl.exp(-5 * tl.abs(x))
    return _SCALE * slope


# Feed-forward layers.


@triton.jit
def _cells(batch, neurons: tl.constexpr, block: tl.constexpr):
    """Return clip and neuron of each of this program's cells, and which of them exist."""
    cell = tl.program_id(0) * block + tl.arange(0, block)
    return (cell // neurons).to(tl.int64), cell % neurons, cell < batch * neurons


@triton.jit(do_not_specialize=_LENGTHS)
def scan_forward(
    current,
    rows,
    spikes0,
    potential0,
    state_adapted,
    spikes_out,
    trace,
    steps,
    batch,
    current_step,
    current_clip,
    trace_step,
    trace_clip,
    threshold,
    adaptation,
    neurons: tl.constexpr,
    kind: tl.constexpr,
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
    p0, p1, p2, p3 = _parameters(rows, threshold, adaptation, neuron, neurons, kind)
    current += clip * current_clip + neuron
    trace += clip * trace_clip + neuron
    spikes_out += clip * (steps * neurons) + neuron
    for _ in tl.range(0, steps, num_stages=stages):
        inflow = tl.load(current, exists, 0.0)
        spikes, potential, adapted = _step(inflow, spikes, potential, adapted, p0, p1, p2, p3, kind)
        tl.store(spikes_out, spikes, exists)
        tl.store(trace, potential, exists)
        current += current_step
        trace += trace_step
        spikes_out += neurons
    tl.store(state_adapted + state, adapted, exists)


@triton.jit(do_not_specialize=_LENGTHS)
def scan_adaptation(
    spikes,
    trace,
    rows,
    spikes0,
    potential0,
    adaptation0,
    adapted_out,
    steps,
    batch,
    threshold,
    adaptation,
    neurons: tl.constexpr,
    kind: tl.constexpr,
    block: tl.constexpr,
    stages: tl.constexpr,
):
    """Recompute every step's adaptation (T, B, H) from the spikes and the trace of potentials.

    One program: ``block`` cells.
    """
    clip, neuron, exists = _cells(batch, neurons, block)
    state = clip * neurons + neuron
    before = tl.load(spikes0 + state, exists, 0.0)
    adapted = tl.load(adaptation0 + state, exists, 0.0)
    _, p1, p2, p3 = _parameters(rows, threshold, adaptation, neuron, neurons, kind)
    potential = tl.load(potential0 + state, exists, 0.0)
    spikes += clip * (steps * neurons) + neuron
    trace += clip * (steps * neurons) + neuron
    adapted_out += clip * (steps * neurons) + neuron
    adapted = _adapt(before, potential, adapted, p1, p2, p3, kind)
    tl.store(adapted_out, adapted, exists)
    for _ in tl.range(1, steps, num_stages=stages):
        # Used in the round that loads them: Triton fetches nothing ahead for a later one.
        before = tl.load(spikes, exists, 0.0)
        potential = tl.load(trace, exists, 0.0)  # compiled for the kind that needs it only
        adapted = _adapt(before, potential, adapted, p1, p2, p3, kind)
        spikes += neurons
        trace += neurons
        adapted_out += neurons
        tl.store(adapted_out, adapted, exists)


@triton.jit(do_not_specialize=_LENGTHS)
def scan_backward(
    grad_spikes,
    spikes,
    trace,
    adapted_or_grad,
    rows,
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
    threshold,
    adaptation,
    neurons: tl.constexpr,
    kind: tl.constexpr,
    surrogate: tl.constexpr,
    block: tl.constexpr,
    stages: tl.constexpr,
):
    """Go back through a feed-forward layer. One program: ``block`` cells.

    ``adapted_or_grad`` comes with the adaptation of every step and leaves with the gradient of the
    current; ``state_...`` (B, H) come with the gradients of the state after the last step and leave
    with those of the state before the first; ``parts`` (B, L, H) leaves with each clip's part of
    the gradient of the rows.
    """
    clip, neuron, exists = _cells(batch, neurons, block)
    state = clip * neurons + neuron
    p0, p1, p2, p3 = _parameters(rows, threshold, adaptation, neuron, neurons, kind)
    grad_spikes += clip * grad_clip + neuron
    offset = clip * (steps * neurons) + neuron
    spikes += offset
    trace += offset
    adapted_or_grad += offset
    potential = tl.load(trace, exists, 0.0)
    adapted = tl.load(adapted_or_grad, exists, 0.0)
    into_spikes = tl.load(state_spikes + state, exists, 0.0)
    into_potential = tl.load(state_potential + state, exists, 0.0)
    into_adapted = tl.load(state_adapted + state, exists, 0.0)
    sum0 = tl.zeros((block,), tl.float32)
    sum1 = tl.zeros((block,), tl.float32)
    sum2 = tl.zeros((block,), tl.float32)
    sum3 = tl.zeros((block,), tl.float32)
    for back in tl.range(0, steps, num_stages=stages):
        first = back == steps - 1
        spikes_before = tl.load(tl.where(first, spikes0 + state, spikes - neurons), exists, 0.0)
        potential_before = tl.load(
            tl.where(first, potential0 + state, trace - neurons), exists, 0.0
        )
        adapted_before = tl.load(
            tl.where(first, adaptation0 + state, adapted_or_grad - neurons), exists, 0.0
        )
        from_above = tl.load(grad_spikes, exists, 0.0)
        grad_inflow, into_spikes, into_potential, into_adapted, part0, part1, part2, part3 = (
            _step_backward(
                from_above + into_spikes,
                into_potential,
                into_adapted,
                spikes_before,
                potential_before,
                adapted_before,
                potential,
                adapted,
                p0,
                p1,
                p2,
                p3,
                kind,
                surrogate,
            )
        )
        tl.store(adapted_or_grad, grad_inflow, exists)
        sum0 += part0
        sum1 += part1
        sum2 += part2
        sum3 += part3
        potential = potential_before
        adapted = adapted_before
        grad_spikes -= grad_step
        spikes -= neurons
        trace -= neurons
        adapted_or_grad -= neurons
    tl.store(state_spikes + state, into_spikes, exists)
    tl.store(state_potential + state, into_potential, exists)
    tl.store(state_adapted + state, into_adapted, exists)
    parts += clip * (_learnable(kind) * neurons) + neuron
    tl.store(parts, sum0, exists)
    tl.store(parts + neurons, sum1, exists)
    if _learnable(kind) == 4:
        tl.store(parts + 2 * neurons, sum2, exists)
        tl.store(parts + 3 * neurons, sum3, exists)


# Recurrent layers. The time loops must not be software-pipelined (num_stages=1): a step reads what
# the one before wrote. The loops over the weights are, by the launch's num_stages.


@triton.jit
def _product(
    rows,
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
    """Return ``rows`` (clips, H) times ``scale`` times the columns (H, block) of the weights.

    The weights are two half-precision matrices (2, padded, padded), see `cuda._halves`. Spikes are
    exact in half precision; other values, which ``scale`` must bring below 2^14, are split in the
    same way.
    """
    total = tl.zeros((clips, block), tl.float32)
    for start in range(0, neurons, depth):
        inner = start + tl.arange(0, depth)
        values = tl.load(rows + inner[None, :], exists & (inner < neurons)[None, :], 0.0)
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


@triton.jit(do_not_specialize=_LENGTHS)
def recurrent_forward(
    current,
    weights,
    weight_unit,
    rows,
    spikes0,
    potential0,
    state_adapted,
    spikes_out,
    trace,
    steps,
    batch,
    current_step,
    current_clip,
    trace_step,
    trace_clip,
    threshold,
    adaptation,
    neurons: tl.constexpr,
    kind: tl.constexpr,
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
    trace += clip * trace_clip
    spikes_out += clip * (steps * neurons)
    state_adapted += clip * neurons
    spikes_before = spikes0 + clip * neurons
    potential_before = potential0 + clip * neurons
    for _ in tl.range(0, steps, num_stages=1):
        for start in range(0, neurons, block):
            neuron = start + tl.arange(0, block)[None, :]
            exists = (clip < batch) & (neuron < neurons)
            p0, p1, p2, p3 = _parameters(rows, threshold, adaptation, neuron, neurons, kind)
            inflow = tl.load(current + neuron, exists, 0.0)
            spikes = tl.load(spikes_before + neuron, exists, 0.0)
            potential = tl.load(potential_before + neuron, exists, 0.0)
            adapted = tl.load(state_adapted + neuron, exists, 0.0)
            inflow += unit * _product(
                spikes_before,
                clip < batch,
                1.0,
                weights,
                neuron,
                neurons,
                padded,
                clips,
                block,
                depth,
                True,
            )
            spikes, potential, adapted = _step(
                inflow, spikes, potential, adapted, p0, p1, p2, p3, kind
            )
            tl.debug_barrier()  # all have read the old state
            tl.store(spikes_out + neuron, spikes, exists)
            tl.store(trace + neuron, potential, exists)
            tl.store(state_adapted + neuron, adapted, exists)
        tl.debug_barrier()  # all see this step's spikes
        spikes_before = spikes_out
        potential_before = trace
        current += current_step
        trace += trace_step
        spikes_out += neurons


@triton.jit(do_not_specialize=_LENGTHS)
def recurrent_backward(
    grad_spikes,
    spikes,
    trace,
    adapted_or_grad,
    weights,
    weight_unit,
    rows,
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
    threshold,
    adaptation,
    neurons: tl.constexpr,
    kind: tl.constexpr,
    surrogate: tl.constexpr,
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
    trace += clip * (steps * neurons)
    adapted_or_grad += clip * (steps * neurons)
    parts += clip * (_learnable(kind) * neurons)
    largest = tl.zeros((clips, 1), tl.float32)  # of the later step's gradient of the current
    for back in tl.range(0, steps, num_stages=1):
        first = back == steps - 1
        spikes_before = tl.where(first, spikes0 + state, spikes - neurons)
        potential_before = tl.where(first, potential0 + state, trace - neurons)
        adapted_before = tl.where(first, adaptation0 + state, adapted_or_grad - neurons)
        scale, inverse = _half_scale(largest)
        largest = tl.zeros((clips, 1), tl.float32)
        for start in range(0, neurons, block):
            neuron = start + tl.arange(0, block)[None, :]
            exists = (clip < batch) & (neuron < neurons)
            cell = state + neuron
            p0, p1, p2, p3 = _parameters(rows, threshold, adaptation, neuron, neurons, kind)
            into_spikes = tl.load(grad_spikes + neuron, exists, 0.0)
            into_spikes += tl.load(state_spikes + cell, exists, 0.0)
            into_potential = tl.load(state_potential + cell, exists, 0.0)
            into_adapted = tl.load(state_adapted + cell, exists, 0.0)
            into_spikes += (inverse * unit) * _product(
                adapted_or_grad + neurons,
                (clip < batch) & (back > 0),
                scale,
                weights,
                neuron,
                neurons,
                padded,
                clips,
                block,
                depth,
                False,
            )
            grad_inflow, into_spikes, into_potential, into_adapted, part0, part1, part2, part3 = (
                _step_backward(
                    into_spikes,
                    into_potential,
                    into_adapted,
                    tl.load(spikes_before + neuron, exists, 0.0),
                    tl.load(potential_before + neuron, exists, 0.0),
                    tl.load(adapted_before + neuron, exists, 0.0),
                    tl.load(trace + neuron, exists, 0.0),
                    tl.load(adapted_or_grad + neuron, exists, 0.0),
                    p0,
                    p1,
                    p2,
                    p3,
                    kind,
                    surrogate,
                )
            )
            largest = tl.maximum(largest, tl.max(tl.abs(grad_inflow), 1, keep_dims=True))
            tl.debug_barrier()  # all have read the old values
            tl.store(adapted_or_grad + neuron, grad_inflow, exists)
            tl.store(state_spikes + cell, into_spikes, exists)
            tl.store(state_potential + cell, into_potential, exists)
            tl.store(state_adapted + cell, into_adapted, exists)
            _add(parts + neuron, part0, exists)
            _add(parts + neurons + neuron, part1, exists)
            if _learnable(kind) == 4:
                _add(parts + 2 * neurons + neuron, part2, exists)
                _add(parts + 3 * neurons + neuron, part3, exists)
        tl.debug_barrier()  # all see this step's gradient of the current
        grad_spikes -= grad_step
        spikes -= neurons
        trace -= neurons
        adapted_or_grad -= neurons


# The encoder.


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
    surrogate: tl.constexpr,
    block: tl.constexpr,
):
    """Go back through the encoder; each program leaves its part of the threshold's gradient."""
    place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    x = tl.load(features + place, place < count, 0.0)
    g = tl.load(grad + place, place < count, 0.0)
    level = tl.load(threshold)
    above = g * _derivative(x - level, surrogate)
    below = g * _derivative(-level - x, surrogate)
    tl.store(grad_features + place, above + below, place < count)
    tl.store(threshold_parts + tl.program_id(0), tl.sum(below - above, 0))
