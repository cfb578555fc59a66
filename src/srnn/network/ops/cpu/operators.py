# SPDX-License-Identifier: MPL-2.0
"""The operators on a CPU: tensors in, tensors out; the kernels beside do it, in several threads.

Each function implements the operator of its name, see `srnn.network.ops.signatures`.

Legend: T time steps, B batch, I inputs, O outputs, H neurons, L parameters of a neuron, P columns
padded for the kernels.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from srnn.network.ops.cpu import backward, encoder, forward, products, surrogates
from srnn.network.ops.cpu.neuron import make_layer
from srnn.network.ops.cpu.simd import LANES, PANEL, STRIP
from srnn.network.ops.sequences import copied, new_sequence
from srnn.network.ops.signatures import (
    Gram,
    GramOutput,
    Layer,
    LayerBackward,
    LayerGradients,
    LayerOutput,
    SpikeLinear,
    SpikeLinearBackward,
    SpikeLinearGradients,
    Ternary,
    TernaryBackward,
    TernaryGradients,
)
from srnn.network.ops.threads import in_parallel

# Below about a fifth of a millisecond, a part of the work is not worth a thread of its own.
_MIN_PRODUCTS = 4_000_000
_MIN_VALUES = 50_000

# Where more than this fraction of the inputs, sampled every few steps, is not 0, torch's products
# are faster than sparse ones.
_DENSE = 0.25
_SAMPLED = 8

_Array = NDArray[np.float32]
_NOTHING: _Array = np.empty(0, np.float32)


def alif(a: Layer) -> LayerOutput:
    """Run a layer over a sequence."""
    (steps, batch, count), neurons = a.inputs.shape, a.parameters.shape[1]
    spikes = new_sequence(a.inputs, neurons)
    potentials = new_sequence(a.inputs, neurons) if a.keep_potentials else _empty(0)
    s, v, b = (copied(each) for each in (a.spikes0, a.potential0, a.adaptation0))
    weights = _NOTHING
    if a.recurrent_weight is not None:
        weights = _transposed(a.recurrent_weight, _round_up(neurons, LANES))
    common = {
        "weights": weights,
        "neuron": make_layer(a.neuron, _padded(a.parameters), a.constants),
        "steps": steps,
        "neurons": neurons,
        "s_state": _array(s),
        "v_state": _array(v),
        "b_state": _array(b),
        "spikes": _flat(spikes),
        "potentials": _flat(potentials),
    }
    x = _flat(a.inputs)
    if a.weight is None:

        def work(first: int, last: int) -> None:
            forward.alif_forward(current=x, **common, first=first, last=last)

    else:
        strips, bias = _transposed(a.weight, STRIP), _padded_bias(a.bias, neurons)

        def work(first: int, last: int) -> None:
            forward.layer_forward(
                x=x, strips=strips, bias=bias, inputs=count, **common, first=first, last=last
            )

    in_parallel(work, batch, 1)
    return LayerOutput(spikes, potentials, v, b)


def alif_backward(a: LayerBackward) -> LayerGradients:
    """Return the gradients of a layer over a sequence."""
    steps, batch, neurons = a.potentials.shape
    count = neurons if a.weight is None else a.weight.shape[1]
    grad_inputs = new_sequence(a.potentials, count if a.for_inputs or a.weight is None else 0)
    into_s = torch.zeros_like(a.spikes0, memory_format=torch.contiguous_format)
    into_v, into_b = copied(a.grad_potential), copied(a.grad_adaptation)
    weights, input_weights = _padded(a.recurrent_weight), _padded(a.weight)
    parameters = _padded(a.parameters)
    x, grad_x = _NOTHING if a.inputs is None else _flat(a.inputs), _flat(grad_inputs)
    input_panels = _panels(a.weight)
    common = {
        "grad_spikes": _flat(a.grad_spikes),
        "spikes": _flat(a.spikes),
        "potentials": _flat(a.potentials),
        "weights": weights.ravel(),
        "panels": _panels(a.recurrent_weight),
        "neuron": make_layer(a.neuron, parameters, a.constants),
        "surrogate": surrogates.NUMBERS[a.surrogate],
        "steps": steps,
        "neurons": neurons,
        "s_state": _array(a.spikes0),
        "v_state": _array(a.potential0),
        "b_state": _array(a.adaptation0),
        "grad_s_state": _array(into_s),
        "grad_v_state": _array(into_v),
        "grad_b_state": _array(into_b),
    }
    width = _round_up(neurons, STRIP)

    def work(first: int, last: int) -> tuple[_Array, ...]:
        grad_weight = _zeros(0 if a.weight is None else count, width)
        grad_recurrent = _zeros(len(weights), width)
        grad_bias, grad_neuron = _zeros(width), _zeros(*parameters.shape)
        sums = {"grad_weights": grad_recurrent.ravel(), "grad_neuron": grad_neuron}
        if a.weight is None:
            backward.alif_backward(grad_current=grad_x, **common, **sums, first=first, last=last)
        else:
            backward.layer_backward(
                x=x,
                input_weights=input_weights.ravel(),
                input_panels=input_panels,
                inputs=count,
                grad_x=grad_x,
                grad_input_weights=grad_weight.ravel(),
                grad_bias=grad_bias,
                **common,
                **sums,
                first=first,
                last=last,
            )
        return grad_weight, grad_bias, grad_recurrent, grad_neuron

    grad_weight, grad_bias, grad_recurrent, grad_neuron = _totals(in_parallel(work, batch, 1))
    grad_parameters = grad_neuron[:, :neurons].contiguous()
    grad_parameters[0] /= 1 - a.parameters[0]  # the kernel leaves out this factor of alpha's
    outputs = 0 if a.weight is None else neurons
    return LayerGradients(
        inputs=grad_inputs,
        weight=_packed(grad_weight, outputs),
        bias=grad_bias[:outputs].clone(),
        recurrent_weight=_packed(grad_recurrent, len(weights)),
        parameters=grad_parameters,
        spikes0=into_s,
        potential0=into_v,
        adaptation0=into_b,
    )


def spike_linear(a: SpikeLinear) -> Tensor:
    """Return spikes times the transposed weight, plus the bias."""
    (steps, batch, inputs), outputs = a.spikes.shape, len(a.weight)
    product = new_sequence(a.spikes, outputs)
    x, out = _flat(a.spikes), _flat(product)
    strips, bias = _transposed(a.weight, STRIP), _padded_bias(a.bias, outputs)

    def work(first: int, last: int) -> None:
        products.project(
            x=x,
            strips=strips,
            bias=bias,
            inputs=inputs,
            outputs=outputs,
            out=out,
            first=first,
            last=last,
        )

    in_parallel(work, steps * batch, 1 + _MIN_PRODUCTS // max(1, inputs * outputs))
    return product


def spike_linear_backward(a: SpikeLinearBackward) -> SpikeLinearGradients:
    """Return the gradients of spikes, weight and bias; those that are not wanted are empty."""
    (steps, batch, inputs), outputs = a.spikes.shape, len(a.weight)
    grad_spikes = new_sequence(a.spikes, inputs if a.for_spikes else 0)
    grad, x, back = _flat(a.grad), _flat(a.spikes), _flat(grad_spikes)
    weights, panels = _padded(a.weight).ravel(), _panels(a.weight)
    width = _round_up(outputs, STRIP)

    def work(first: int, last: int) -> tuple[_Array, _Array]:
        part = {"inputs": inputs, "outputs": outputs, "first": first, "last": last}
        if a.for_spikes:
            products.project_back(grad=grad, weights=weights, panels=panels, out=back, **part)
        grad_weight, grad_bias = _zeros(inputs if a.for_weight else 0, width), _zeros(width)
        if a.for_weight:
            products.project_weights(
                x=x, grad=grad, total=grad_weight.ravel(), bias=grad_bias, **part
            )
        return grad_weight, grad_bias

    minimum = 1 + _MIN_PRODUCTS // max(1, inputs * outputs)
    grad_weight, grad_bias = _totals(in_parallel(work, steps * batch, minimum))
    wanted = outputs if a.for_weight else 0
    return SpikeLinearGradients(
        grad_spikes, _packed(grad_weight, wanted), grad_bias[:wanted].clone()
    )


def gram(a: Gram) -> GramOutput:
    """Return sums over steps and clips: of inputs, of products of their deviations."""
    steps, batch, count = a.inputs.shape
    rows, some = steps * batch, a.inputs[::_SAMPLED].flatten(0, 1)
    active = some.sign().abs().sum(dim=0)
    if active.sum() > _DENSE * some.numel():
        vectors = a.inputs.transpose(0, 1).flatten(0, 1)
        total = vectors.sum(dim=0)
        deviations = vectors - total / rows
        return GramOutput(total, deviations.t() @ deviations)
    # An input that is often 0 deviates about as much as it is large. From others, such as neurons
    # that fire most of the time, we subtract their usual value.
    usual = torch.where(2 * active > len(some), some.sum(dim=0) / active, 0)
    x, width = _flat(a.inputs), _round_up(count, LANES)
    shift = _zeros(width)
    shift[:count] = usual.numpy()

    def work(first: int, last: int) -> tuple[_Array, _Array]:
        sums, total = _zeros(width), _zeros(count, width)
        products.gram(
            x=x, inputs=count, shift=shift, total=total.ravel(), sums=sums, first=first, last=last
        )
        return sums, total

    minimum = 1 + _MIN_PRODUCTS // max(1, count * count)
    sums, total = (part[..., :count] for part in _totals(in_parallel(work, rows, minimum)))
    scatter = torch.addr(total, sums, sums / max(1, rows), alpha=-1)
    return GramOutput(sums + rows * usual, scatter)


def ternary(a: Ternary) -> Tensor:
    """Return the events of features of any shape."""
    dense = a.features.contiguous()
    events = torch.empty_like(dense)
    x, threshold, out = _array(dense), a.threshold.item(), _array(events)

    def work(first: int, last: int) -> None:
        encoder.ternary_forward(x=x, threshold=threshold, out=out, first=first, last=last)

    in_parallel(work, a.features.numel(), _MIN_VALUES)
    return events


def ternary_backward(a: TernaryBackward) -> TernaryGradients:
    """Return the gradients of features and threshold."""
    dense = a.features.contiguous()
    grad_features = torch.empty_like(dense)
    common = {
        "grad": _array(a.grad),
        "x": _array(dense),
        "threshold": a.threshold.item(),
        "surrogate": surrogates.NUMBERS[a.surrogate],
        "out": _array(grad_features),
    }

    def work(first: int, last: int) -> float:
        part: float = encoder.ternary_backward(**common, first=first, last=last)
        return part

    parts = in_parallel(work, a.features.numel(), _MIN_VALUES)
    return TernaryGradients(grad_features, torch.full_like(a.threshold, sum(parts)))


def _empty(*shape: int) -> Tensor:
    """Return an empty float32 tensor on the CPU, independent of torch's defaults."""
    return torch.empty(shape, dtype=torch.float32, device="cpu")


def _flat(sequence: Tensor) -> _Array:
    """Return a sequence (T, B, H) clip by clip, without a copy where it lies that way."""
    return _array(sequence.transpose(0, 1) if sequence.dim() == 3 else sequence)


def _array(tensor: Tensor) -> _Array:
    array: _Array = tensor.contiguous().numpy().ravel()
    return array


def _zeros(*shape: int) -> _Array:
    """Return zeros that begin at a cache line, as torch's memory does and numpy's does not."""
    array: _Array = _empty(*shape).zero_().numpy()
    return array


def _round_up(count: int, unit: int) -> int:
    return -(-count // unit) * unit


def _padded(weight: Tensor | None) -> _Array:
    """Return a matrix with zeros after the end of each row; an empty one for None."""
    if weight is None:
        return np.empty((0, 0), np.float32)
    missing = -weight.shape[1] % LANES
    array: _Array = (F.pad(weight, (0, missing)) if missing else weight.contiguous()).numpy()
    return array


def _transposed(weight: Tensor, width: int) -> _Array:
    """Return a matrix (O, I) as (O / width x I x width), flat, with zeros after its end."""
    outputs, inputs = weight.shape
    array = _zeros(_round_up(outputs, width) * inputs)
    products.transpose(_array(weight), outputs, inputs, array, width)
    return array


def _packed(total: Tensor, outputs: int) -> Tensor:
    """Return the gradient of a matrix, gathered as (I, P), as (O, I)."""
    inputs = len(total)
    gradient = _empty(outputs, inputs)
    if inputs:
        products.transpose(_array(total), inputs, outputs, _array(gradient), inputs)
    return gradient


def _padded_bias(bias: Tensor | None, outputs: int) -> _Array:
    array = _zeros(_round_up(outputs, STRIP))
    if bias is not None:
        array[:outputs] = _array(bias)
    return array


def _panels(weight: Tensor | None) -> _Array:
    """Return a matrix (K, N) as (N / PANEL, K, PANEL): a tile then reads consecutive addresses."""
    padded = torch.from_numpy(_padded(weight))
    panels = padded.view(len(padded), padded.shape[1] // PANEL, PANEL)
    array: _Array = panels.transpose(0, 1).contiguous().numpy()
    return array


def _totals(parts: list[tuple[_Array, ...]]) -> tuple[Tensor, ...]:
    """Sum the results of the threads, in order."""
    first, *others = parts
    for other in others:
        for total, part in zip(first, other, strict=True):
            total += part
    return tuple(torch.from_numpy(total) for total in first)
