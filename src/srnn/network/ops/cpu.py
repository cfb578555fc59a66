# SPDX-License-Identifier: MPL-2.0
"""The operators on a CPU: tensors in, tensors out; `kernels` does the work, in several threads.

Every function has the signature of the operator in `srnn.network.ops.library` that it implements.

Legend: T time steps, B batch, I inputs, O outputs, H neurons, L parameters of a neuron, P columns
padded for the kernels.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from srnn.network.ops.kernels import encoder, layer, products, surrogates
from srnn.network.ops.kernels.neuron import NEURONS
from srnn.network.ops.kernels.simd import LANES, PANEL, STRIP
from srnn.network.ops.sequences import copied, new_sequence
from srnn.network.ops.threads import spread

_SURROGATES = {
    "multi_gaussian": surrogates.MULTI_GAUSSIAN,
    "gaussian": surrogates.GAUSSIAN,
    "linear": surrogates.LINEAR,
    "slayer": surrogates.SLAYER,
}

# Below about a fifth of a millisecond, a part of the work is not worth a thread of its own.
_LEAST_PRODUCTS = 4_000_000
_LEAST_VALUES = 50_000

# Where more than this share of the inputs, seen every few steps, is not 0, torch's products are
# faster than sparse ones.
_DENSE = 0.25
_SAMPLED = 8

_Array = NDArray[np.float32]
_NOTHING: _Array = np.empty(0, np.float32)


def alif(
    inputs: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    recurrent_weight: Tensor | None,
    rows: Tensor,
    spikes0: Tensor,
    potential0: Tensor,
    adaptation0: Tensor,
    neuron: str,
    constants: Sequence[float],
    surrogate: str,
    keep_trace: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run a layer over a sequence."""
    (steps, batch, count), neurons = inputs.shape, rows.shape[1]
    spikes = new_sequence(inputs, neurons)
    trace = new_sequence(inputs, neurons) if keep_trace else _empty(0)
    s, v, b = (copied(each) for each in (spikes0, potential0, adaptation0))
    weights = _NOTHING
    if recurrent_weight is not None:
        weights = _turned(recurrent_weight, _round_up(neurons, LANES))
    arguments = (
        *(weights, NEURONS[neuron](*_padded(rows), *constants), steps, neurons),
        *(_array(s), _array(v), _array(b), _flat(spikes), _flat(trace)),
    )
    x = _flat(inputs)
    if weight is None:
        spread(lambda first, last: layer.alif_forward(x, *arguments, first, last), batch, 1)
    else:
        product = (_turned(weight, STRIP), _padded_bias(bias, neurons), count)
        spread(
            lambda first, last: layer.layer_forward(x, *product, *arguments, first, last),
            batch,
            1,
        )
    return spikes, trace, v, b


def alif_backward(
    grad_spikes: Tensor,
    grad_potential: Tensor,
    grad_adaptation: Tensor,
    inputs: Tensor | None,
    spikes: Tensor,
    trace: Tensor,
    weight: Tensor | None,
    recurrent_weight: Tensor | None,
    rows: Tensor,
    spikes0: Tensor,
    potential0: Tensor,
    adaptation0: Tensor,
    neuron: str,
    constants: Sequence[float],
    surrogate: str,
    for_inputs: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of inputs, weights, bias, parameters and the three states before."""
    steps, batch, neurons = trace.shape
    count = neurons if weight is None else weight.shape[1]
    grad_inputs = new_sequence(trace, count if for_inputs or weight is None else 0)
    into_s = torch.zeros_like(spikes0, memory_format=torch.contiguous_format)
    into_v, into_b = copied(grad_potential), copied(grad_adaptation)
    weights, panels = _padded(recurrent_weight), _panels(recurrent_weight)
    input_weights, input_panels = _padded(weight), _panels(weight)
    parameters = _padded(rows)
    state = tuple(_array(each) for each in (spikes0, potential0, adaptation0))
    grad, past, kept = _flat(grad_spikes), _flat(spikes), _flat(trace)
    x, grad_x = _NOTHING if inputs is None else _flat(inputs), _flat(grad_inputs)
    arguments = (
        *(weights.ravel(), panels, NEURONS[neuron](*parameters, *constants)),
        *(_SURROGATES[surrogate], steps, neurons, *state),
        *(_array(into_s), _array(into_v), _array(into_b)),
    )
    width = _round_up(neurons, STRIP)

    def work(first: int, last: int) -> tuple[_Array, ...]:
        grad_weight = _zeros(0 if weight is None else count, width)
        grad_recurrent = _zeros(len(weights), width)
        grad_bias, grad_neuron = _zeros(width), _zeros(*parameters.shape)
        part = grad_neuron, first, last
        if weight is None:
            layer.alif_backward(grad, kept, *arguments, grad_x, *part)
            if len(weights):
                products.recurrent_weights(
                    *(state[0], past, grad_x, steps, neurons, grad_recurrent.ravel(), first, last)
                )
        else:
            layer.layer_backward(
                *(grad, x, past, kept, input_weights.ravel(), input_panels, count, *arguments),
                *(grad_x, grad_weight.ravel(), grad_bias, grad_recurrent.ravel(), *part),
            )
        return grad_weight, grad_bias, grad_recurrent, grad_neuron

    grad_weight, grad_bias, grad_recurrent, grad_neuron = _totals(spread(work, batch, 1))
    grad_rows = grad_neuron[:, :neurons].contiguous()
    grad_rows[0] /= 1 - rows[0]  # alpha: the kernel leaves the factor to us
    return (
        grad_inputs,
        _turned_back(grad_weight, 0 if weight is None else neurons),
        grad_bias[: 0 if weight is None else neurons].clone(),
        _turned_back(grad_recurrent, len(weights)),
        grad_rows,
        into_s,
        into_v,
        into_b,
    )


def spike_linear(spikes: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return spikes times the transposed weight, plus the bias."""
    (steps, batch, inputs), outputs = spikes.shape, len(weight)
    out = new_sequence(spikes, outputs)
    product = (_turned(weight, STRIP), _padded_bias(bias, outputs), inputs, outputs)
    arguments = (_flat(spikes), *product, _flat(out))
    least = 1 + _LEAST_PRODUCTS // max(1, inputs * outputs)
    spread(lambda first, last: products.project(*arguments, first, last), steps * batch, least)
    return out


def spike_linear_backward(
    grad: Tensor, spikes: Tensor, weight: Tensor, for_spikes: bool, for_weight: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of spikes, weight and bias; those that are not wanted are empty."""
    (steps, batch, inputs), outputs = spikes.shape, len(weight)
    grad_spikes = new_sequence(spikes, inputs if for_spikes else 0)
    flat_grad, flat_spikes, flat_back = _flat(grad), _flat(spikes), _flat(grad_spikes)
    weights, panels = _padded(weight).ravel(), _panels(weight)
    width = _round_up(outputs, STRIP)

    def work(first: int, last: int) -> tuple[_Array, _Array]:
        if for_spikes:
            products.project_back(
                flat_grad, weights, panels, inputs, outputs, flat_back, first, last
            )
        grad_weight, grad_bias = _zeros(inputs if for_weight else 0, width), _zeros(width)
        if for_weight:
            products.project_weights(
                *(flat_spikes, flat_grad, inputs, outputs, grad_weight.ravel(), grad_bias),
                *(first, last),
            )
        return grad_weight, grad_bias

    least = 1 + _LEAST_PRODUCTS // max(1, inputs * outputs)
    grad_weight, grad_bias = _totals(spread(work, steps * batch, least))
    wanted = outputs if for_weight else 0
    return grad_spikes, _turned_back(grad_weight, wanted), grad_bias[:wanted].clone()


def gram(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return sums over steps and clips: of inputs (I,), of products of their deviations (I, I)."""
    steps, batch, count = inputs.shape
    rows, some = steps * batch, inputs[::_SAMPLED].flatten(0, 1)
    active = some.sign().abs().sum(dim=0)
    if active.sum() > _DENSE * some.numel():
        vectors = inputs.transpose(0, 1).flatten(0, 1)
        total = vectors.sum(dim=0)
        deviations = vectors - total / rows
        return total, deviations.t() @ deviations
    # An input that is often 0 deviates about as much as it is large. From others, such as neurons
    # that fire most of the time, we subtract what they usually are.
    usual = torch.where(2 * active > len(some), some.sum(dim=0) / active, 0)
    x, width = _flat(inputs), _round_up(count, LANES)
    shift = _zeros(width)
    shift[:count] = usual.numpy()

    def work(first: int, last: int) -> tuple[_Array, _Array]:
        sums, total = _zeros(width), _zeros(count, width)
        products.gram(x, count, shift, total.ravel(), sums, first, last)
        return sums, total

    least = 1 + _LEAST_PRODUCTS // max(1, count * count)
    sums, total = (part[..., :count] for part in _totals(spread(work, rows, least)))
    scatter = torch.addr(total, sums, sums / max(1, rows), alpha=-1)
    return sums + rows * usual, scatter


def ternary(features: Tensor, threshold: Tensor, surrogate: str) -> Tensor:
    """Return the events of features of any shape."""
    dense = features.contiguous()
    events = torch.empty_like(dense)
    arguments = (_array(dense), threshold.item(), _array(events))
    spread(
        lambda first, last: encoder.ternary_forward(*arguments, first, last),
        features.numel(),
        _LEAST_VALUES,
    )
    return events


def ternary_backward(
    grad: Tensor, features: Tensor, threshold: Tensor, surrogate: str
) -> tuple[Tensor, Tensor]:
    """Return the gradients of features and threshold."""
    dense = features.contiguous()
    grad_features = torch.empty_like(dense)
    arguments = (
        *(_array(grad), _array(dense), threshold.item()),
        *(_SURROGATES[surrogate], _array(grad_features)),
    )
    parts = spread(
        lambda first, last: encoder.ternary_backward(*arguments, first, last),
        features.numel(),
        _LEAST_VALUES,
    )
    return grad_features, torch.full_like(threshold, sum(parts))


def _empty(*shape: int) -> Tensor:
    """Return room for numbers as the kernels want them, whatever torch's defaults are."""
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


def _turned(weight: Tensor, width: int) -> _Array:
    """Return a matrix (O, I) as (O / width x I x width), flat, with zeros after its end."""
    outputs, inputs = weight.shape
    array = _zeros(_round_up(outputs, width) * inputs)
    products.transpose(_array(weight), outputs, inputs, array, width)
    return array


def _turned_back(total: Tensor, outputs: int) -> Tensor:
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
    """Add up what the threads have found, in their order."""
    first, *others = parts
    for other in others:
        for total, share in zip(first, other, strict=True):
            total += share
    return tuple(torch.from_numpy(total) for total in first)
