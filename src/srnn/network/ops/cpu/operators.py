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

from srnn.network.ops.cpu import backward, encoder, forward, layout, products, surrogates
from srnn.network.ops.cpu.neuron import State, make_layer
from srnn.network.ops.cpu.simd import LANES
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
    (steps, batch, inputs), neurons = a.inputs.shape, a.parameters.shape[1]
    spikes = new_sequence(a.inputs, neurons)
    potentials = new_sequence(a.inputs, neurons) if a.keep_potentials else _empty(0)
    potential, adaptation = _empty(batch, neurons), _empty(batch, neurons)
    given = {
        "x": _flat(a.inputs),
        "weighted": a.weight is not None,
        "weight": _array(a.weight),
        "bias": _array(a.bias),
        "recurrent_weight": _array(a.recurrent_weight),
        "neuron": make_layer(a.neuron, _padded(a.parameters), a.constants),
        "inputs": inputs,
        "neurons": neurons,
        "steps": steps,
        "before": State(_array(a.spikes0), _array(a.potential0), _array(a.adaptation0)),
        "spikes": _flat(spikes),
        "potentials": _flat(potentials),
        "after": State(_NOTHING, _array(potential), _array(adaptation)),
    }

    def work(first: int, last: int) -> None:
        forward.layer_forward(**given, first=first, last=last)

    in_parallel(work, batch, 1)
    return LayerOutput(spikes, potentials, potential, adaptation)


def alif_backward(a: LayerBackward) -> LayerGradients:
    """Return the gradients of a layer over a sequence."""
    steps, batch, neurons = a.potentials.shape
    learnable = len(a.parameters)
    count = neurons if a.weight is None else a.weight.shape[1]
    grad_inputs = new_sequence(a.potentials, count if a.for_inputs or a.weight is None else 0)
    spikes0, potential0 = _empty(batch, neurons), copied(a.grad_potential)
    adaptation0 = copied(a.grad_adaptation)
    given = {
        "x": _NOTHING if a.inputs is None else _flat(a.inputs),
        "weighted": a.weight is not None,
        "weight": _array(a.weight),
        "recurrent_weight": _array(a.recurrent_weight),
        "neuron": make_layer(a.neuron, _padded(a.parameters), a.constants),
        "surrogate": surrogates.NUMBERS[a.surrogate],
        "inputs": count,
        "neurons": neurons,
        "steps": steps,
        "before": State(_array(a.spikes0), _array(a.potential0), _array(a.adaptation0)),
        "spikes": _flat(a.spikes),
        "potentials": _flat(a.potentials),
        "grad_spikes": _flat(a.grad_spikes),
        "grad_state": State(_array(spikes0), _array(potential0), _array(adaptation0)),
        "grad_x": _flat(grad_inputs),
        "learnable": learnable,
    }

    def work(first: int, last: int) -> tuple[_Array, ...]:
        parts: tuple[_Array, ...] = backward.layer_backward(**given, first=first, last=last)
        return parts

    weight, bias, recurrent_weight, parameters = _totals(in_parallel(work, batch, 1))
    grad_parameters = parameters.view(learnable, -1)[:, :neurons].contiguous()
    grad_parameters[0] /= 1 - a.parameters[0]  # the kernel leaves out this factor of alpha's
    outputs = 0 if a.weight is None else neurons
    recurrent_size = 0 if a.recurrent_weight is None else neurons
    return LayerGradients(
        inputs=grad_inputs,
        weight=_packed(weight, outputs, count if outputs else 0),
        bias=bias[:outputs].clone(),
        recurrent_weight=_packed(recurrent_weight, recurrent_size, recurrent_size),
        parameters=grad_parameters,
        spikes0=spikes0,
        potential0=potential0,
        adaptation0=adaptation0,
    )


def spike_linear(a: SpikeLinear) -> Tensor:
    """Return spikes times the transposed weight, plus the bias."""
    (steps, batch, inputs), outputs = a.spikes.shape, len(a.weight)
    product = new_sequence(a.spikes, outputs)
    given = {
        "x": _flat(a.spikes),
        "weight": _array(a.weight),
        "bias": _array(a.bias),
        "inputs": inputs,
        "outputs": outputs,
        "out": _flat(product),
    }

    def work(first: int, last: int) -> None:
        products.spike_linear(**given, first=first, last=last)

    in_parallel(work, steps * batch, 1 + _MIN_PRODUCTS // max(1, inputs * outputs))
    return product


def spike_linear_backward(a: SpikeLinearBackward) -> SpikeLinearGradients:
    """Return the gradients of spikes, weight and bias; those that are not wanted are empty."""
    (steps, batch, inputs), outputs = a.spikes.shape, len(a.weight)
    grad_spikes = new_sequence(a.spikes, inputs if a.for_spikes else 0)
    given = {
        "grad": _flat(a.grad),
        "x": _flat(a.spikes),
        "weight": _array(a.weight),
        "inputs": inputs,
        "outputs": outputs,
        "grad_x": _flat(grad_spikes),
        "for_weight": a.for_weight,
    }

    def work(first: int, last: int) -> tuple[_Array, ...]:
        parts: tuple[_Array, ...] = products.spike_linear_backward(**given, first=first, last=last)
        return parts

    minimum = 1 + _MIN_PRODUCTS // max(1, inputs * outputs)
    weight, bias = _totals(in_parallel(work, steps * batch, minimum))
    wanted = outputs if a.for_weight else 0
    return SpikeLinearGradients(
        grad_spikes, _packed(weight, wanted, inputs if wanted else 0), bias[:wanted].clone()
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
    given = {"x": _flat(a.inputs), "inputs": count, "usual": usual.numpy()}

    def work(first: int, last: int) -> tuple[_Array, _Array]:
        parts: tuple[_Array, _Array] = products.gram(**given, first=first, last=last)
        return parts

    minimum = 1 + _MIN_PRODUCTS // max(1, count * count)
    sums, total = _totals(in_parallel(work, rows, minimum))
    total, sums = total.view(count, len(sums))[:, :count].triu(), sums[:count]
    total += total.triu(1).t()
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


def _array(tensor: Tensor | None) -> _Array:
    """Return the values of a tensor in a row; none for None."""
    if tensor is None:
        return _NOTHING
    array: _Array = tensor.contiguous().numpy().ravel()
    return array


def _padded(parameters: Tensor) -> _Array:
    """Return parameters (L, H) with zeros after the end of each row, to whole vectors."""
    missing = -parameters.shape[1] % LANES
    padded = F.pad(parameters, (0, missing)) if missing else parameters.contiguous()
    array: _Array = padded.numpy()
    return array


def _packed(total: Tensor, outputs: int, inputs: int) -> Tensor:
    """Return the gradient of a matrix, gathered as (I, P), as (O, I)."""
    gradient = _empty(outputs, inputs)
    if inputs:
        layout.transpose(total.numpy(), inputs, outputs, _array(gradient), inputs)
    return gradient


def _totals(parts: list[tuple[_Array, ...]]) -> tuple[Tensor, ...]:
    """Sum the results of the threads, in order."""
    first, *others = parts
    for other in others:
        for total, part in zip(first, other, strict=True):
            total += part
    return tuple(torch.from_numpy(total) for total in first)
