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

Legend: T steps, B batch, H neurons; `before` and `later`: one time step earlier and later.
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


# The neuron: its equations, forward and backward, for values of any shape. Another neuron with a
# potential, an adaptation and two decays needs its own version of these three functions only.


@triton.jit
def _adapt(adapted, spikes, rho):
    """Return the adaptation one step after ``adapted`` and ``spikes``."""
    return rho * adapted + (1 - rho) * spikes


@triton.jit
def _step(inflow, spikes, potential, adapted, alpha, rho, threshold, adaptation):
    """Advance by one step, see `srnn.network.neuron.step`: spikes, potential, adaptation."""
    adapted = _adapt(adapted, spikes, rho)
    raised = threshold + adaptation * adapted
    potential = alpha * potential + (1 - alpha) * inflow - raised * spikes
    return tl.where(potential - raised > 0, 1.0, 0.0), potential, adapted


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
    alpha,
    rho,
    threshold,
    adaptation,
    surrogate: tl.constexpr,
):
    """Go back by one step.

    ``later_...`` are the gradients that the later step returned for the state before it. Returns
    the gradients of inflow, of spikes, potential and adaptation before, and the step's parts of
    those of alpha (times 1 - alpha: the inflow is put in terms of the potentials) and rho.
    """
    raised = threshold + adaptation * adapted
    grad_distance = grad_spikes * _derivative(potential - raised, surrogate)
    grad_potential = grad_distance + later_potential
    grad_raised = -grad_distance - spikes_before * grad_potential
    grad_adapted = adaptation * grad_raised + later_adapted
    return (
        (1 - alpha) * grad_potential,
        (1 - rho) * grad_adapted - raised * grad_potential,
        alpha * grad_potential,
        rho * grad_adapted,
        grad_potential * (potential_before - potential - raised * spikes_before),
        grad_adapted * (adapted_before - spikes_before),
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
        tl.static_assert(surrogate == "slayer")
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
    alpha,
    rho,
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
    a = tl.load(alpha + neuron)
    r = tl.load(rho + neuron)
    current += clip * current_clip + neuron
    trace += clip * trace_clip + neuron
    spikes_out += clip * (steps * neurons) + neuron
    for _ in tl.range(0, steps, num_stages=stages):
        inflow = tl.load(current, exists, 0.0)
        spikes, potential, adapted = _step(
            inflow, spikes, potential, adapted, a, r, threshold, adaptation
        )
        tl.store(spikes_out, spikes, exists)
        tl.store(trace, potential, exists)
        current += current_step
        trace += trace_step
        spikes_out += neurons
    tl.store(state_adapted + state, adapted, exists)


@triton.jit(do_not_specialize=_LENGTHS)
def scan_adaptation(
    spikes,
    rho,
    spikes0,
    adaptation0,
    adapted_out,
    steps,
    batch,
    neurons: tl.constexpr,
    block: tl.constexpr,
    stages: tl.constexpr,
):
    """Recompute every step's adaptation (T, B, H) from the spikes. One program: ``block`` cells."""
    clip, neuron, exists = _cells(batch, neurons, block)
    state = clip * neurons + neuron
    before = tl.load(spikes0 + state, exists, 0.0)
    adapted = tl.load(adaptation0 + state, exists, 0.0)
    r = tl.load(rho + neuron)
    spikes += clip * (steps * neurons) + neuron
    adapted_out += clip * (steps * neurons) + neuron
    for _ in tl.range(0, steps, num_stages=stages):
        adapted = _adapt(adapted, before, r)
        tl.store(adapted_out, adapted, exists)
        before = tl.load(spikes, exists, 0.0)
        spikes += neurons
        adapted_out += neurons


@triton.jit(do_not_specialize=_LENGTHS)
def scan_backward(
    grad_spikes,
    spikes,
    trace,
    adapted_or_grad,
    alpha,
    rho,
    spikes0,
    potential0,
    adaptation0,
    state_spikes,
    state_potential,
    state_adapted,
    alpha_parts,
    rho_parts,
    steps,
    batch,
    grad_step,
    grad_clip,
    threshold,
    adaptation,
    neurons: tl.constexpr,
    surrogate: tl.constexpr,
    block: tl.constexpr,
    stages: tl.constexpr,
):
    """Go back through a feed-forward layer. One program: ``block`` cells.

    ``adapted_or_grad`` comes with the adaptation of every step and leaves with the gradient of the
    current; ``state_...`` (B, H) come with the gradients of the state after the last step and leave
    with those of the state before the first; ``..._parts`` (B, H) leave with each clip's part of
    the gradient.
    """
    clip, neuron, exists = _cells(batch, neurons, block)
    state = clip * neurons + neuron
    a = tl.load(alpha + neuron)
    r = tl.load(rho + neuron)
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
    grad_alpha = tl.zeros((block,), tl.float32)
    grad_rho = tl.zeros((block,), tl.float32)
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
        grad_inflow, into_spikes, into_potential, into_adapted, alpha_part, rho_part = (
            _step_backward(
                from_above + into_spikes,
                into_potential,
                into_adapted,
                spikes_before,
                potential_before,
                adapted_before,
                potential,
                adapted,
                a,
                r,
                threshold,
                adaptation,
                surrogate,
            )
        )
        tl.store(adapted_or_grad, grad_inflow, exists)
        grad_alpha += alpha_part
        grad_rho += rho_part
        potential = potential_before
        adapted = adapted_before
        grad_spikes -= grad_step
        spikes -= neurons
        trace -= neurons
        adapted_or_grad -= neurons
    tl.store(state_spikes + state, into_spikes, exists)
    tl.store(state_potential + state, into_potential, exists)
    tl.store(state_adapted + state, into_adapted, exists)
    tl.store(alpha_parts + state, grad_alpha, exists)
    tl.store(rho_parts + state, grad_rho, exists)


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


@triton.jit(do_not_specialize=_LENGTHS)
def recurrent_forward(
    current,
    weights,
    weight_unit,
    alpha,
    rho,
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
            a = tl.load(alpha + neuron, neuron < neurons, 0.0)
            r = tl.load(rho + neuron, neuron < neurons, 0.0)
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
                inflow, spikes, potential, adapted, a, r, threshold, adaptation
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
    alpha,
    rho,
    spikes0,
    potential0,
    adaptation0,
    state_spikes,
    state_potential,
    state_adapted,
    alpha_parts,
    rho_parts,
    steps,
    batch,
    grad_step,
    grad_clip,
    threshold,
    adaptation,
    neurons: tl.constexpr,
    surrogate: tl.constexpr,
    padded: tl.constexpr,
    clips: tl.constexpr,
    block: tl.constexpr,
    depth: tl.constexpr,
):
    """Go back through a recurrent layer. One program: ``clips`` clips.

    As `scan_backward`, but ``..._parts`` come as zeros, and ``state_spikes`` leaves without what
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
            a = tl.load(alpha + neuron, neuron < neurons, 0.0)
            r = tl.load(rho + neuron, neuron < neurons, 0.0)
            into_spikes = tl.load(grad_spikes + neuron, exists, 0.0)
            into_spikes += tl.load(state_spikes + cell, exists, 0.0)
            into_potential = tl.load(state_potential + cell, exists, 0.0)
            into_adapted = tl.load(state_adapted + cell, exists, 0.0)
            grad_alpha = tl.load(alpha_parts + cell, exists, 0.0)
            grad_rho = tl.load(rho_parts + cell, exists, 0.0)
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
            grad_inflow, into_spikes, into_potential, into_adapted, alpha_part, rho_part = (
                _step_backward(
                    into_spikes,
                    into_potential,
                    into_adapted,
                    tl.load(spikes_before + neuron, exists, 0.0),
                    tl.load(potential_before + neuron, exists, 0.0),
                    tl.load(adapted_before + neuron, exists, 0.0),
                    tl.load(trace + neuron, exists, 0.0),
                    tl.load(adapted_or_grad + neuron, exists, 0.0),
                    a,
                    r,
                    threshold,
                    adaptation,
                    surrogate,
                )
            )
            largest = tl.maximum(largest, tl.max(tl.abs(grad_inflow), 1, keep_dims=True))
            tl.debug_barrier()  # all have read the old values
            tl.store(adapted_or_grad + neuron, grad_inflow, exists)
            tl.store(state_spikes + cell, into_spikes, exists)
            tl.store(state_potential + cell, into_potential, exists)
            tl.store(state_adapted + cell, into_adapted, exists)
            tl.store(alpha_parts + cell, grad_alpha + alpha_part, exists)
            tl.store(rho_parts + cell, grad_rho + rho_part, exists)
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
