# SPDX-License-Identifier: MPL-2.0
"""The operators as PyTorch knows them: its dispatcher chooses the kernels of the CPU or of CUDA.

Registered with `torch.library`, so that autograd, `torch.compile` and `torch.export` see one
operator where the kernels do a whole sequence. The functions on top have the signatures of
`reference`, the definition, which also computes what the kernels cannot; a warning says so once.

Legend: T time steps, B batch, I inputs, O outputs, H neurons, L parameters of a neuron.
"""

import functools
import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from srnn.network.neuron import ADAPTATION, THRESHOLD, AdaptiveThreshold, Neuron, State
from srnn.network.ops import cpu, cuda, reference
from srnn.network.ops.sequences import new_sequence
from srnn.network.surrogate import SURROGATES, Surrogate

_log = logging.getLogger(__name__)


def alif(
    current: Tensor,
    recurrent_weight: Tensor | None,
    tau_mem: Tensor,
    tau_adapt: Tensor,
    surrogate: Surrogate,
    state: State | None = None,
    *,
    threshold: float = THRESHOLD,
    adaptation: float = ADAPTATION,
) -> tuple[Tensor, State]:
    """Run a layer of adaptive-threshold neurons over a whole sequence: see `reference.alif`."""
    neuron = AdaptiveThreshold(threshold, adaptation, surrogate=surrogate)
    rows = neuron.rows([tau_mem, tau_adapt])
    return layer(current, None, None, recurrent_weight, rows, neuron, state)


def layer(
    inputs: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    recurrent_weight: Tensor | None,
    rows: Tensor,
    neuron: Neuron,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Multiply inputs with weights and run a layer on them: see `reference.layer`."""
    tensors = [inputs, weight, bias, recurrent_weight, rows, *(state or ())]
    if _falls_back(tensors, neuron.surrogate):
        return reference.layer(inputs, weight, bias, recurrent_weight, rows, neuron, state)
    if state is None:
        state = neuron.initial_state(inputs.new_empty(inputs.shape[1], rows.shape[1]))
    spikes, _, potential, adapted = _alif(
        inputs,
        weight,
        bias,
        recurrent_weight,
        rows,
        *state,
        neuron.name,
        neuron.constants,
        neuron.surrogate.name,
        torch.is_grad_enabled()
        and any(each is not None and each.requires_grad for each in tensors),
    )
    return spikes, State(spikes[-1], potential, adapted)


def spike_linear(spikes: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply spikes with weights: see `reference.spike_linear`."""
    if _falls_back([spikes, weight, bias]):
        return reference.spike_linear(spikes, weight, bias)
    product: Tensor = _spike_linear(spikes, weight, bias)
    return product


def moments(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and covariance of inputs over all steps and clips: see `reference.moments`."""
    if _falls_back([inputs]):
        return reference.moments(inputs)
    count = inputs.shape[0] * inputs.shape[1]
    total, scatter = _gram(inputs)
    return total / count, scatter / count


def ternary(features: Tensor, threshold: Tensor, surrogate: Surrogate) -> Tensor:
    """Turn features into events: see `reference.ternary`."""
    if _falls_back([features, threshold], surrogate):
        return reference.ternary(features, threshold, surrogate)
    events: Tensor = _ternary(features, threshold, surrogate.name)
    return events


def _falls_back(tensors: Sequence[Tensor | None], surrogate: Surrogate | None = None) -> bool:
    """Return whether the definition must do what the kernels cannot, and say so once."""
    given = [each for each in tensors if each is not None]
    first, reason = given[0], None
    if surrogate is not None and SURROGATES.get(surrogate.name) != surrogate:
        reason = f"they do not know the surrogate {surrogate.name!r}"
    elif any(each.dtype != torch.float32 for each in given):
        types = ", ".join(sorted({str(each.dtype) for each in given}))
        reason = f"they compute in torch.float32, not in {types}"
    elif any(each.device != first.device for each in given):
        reason = "they need all tensors on one device"
    elif first.device.type == "cuda":
        reason = cuda.unsupported(first)
    elif first.device.type != "cpu":
        reason = f"there are none for the device type {first.device.type!r}"
    if reason:
        _warn_once(reason)
    return reason is not None


@functools.cache
def _warn_once(reason: str) -> None:
    _log.warning("the fast kernels are not used, the slow definition is: %s", reason)


# --- A layer of neurons --------------------------------------------------------------------------

_alif = custom_op("srnn::alif", cpu.alif, mutates_args=(), device_types="cpu")
_alif.register_kernel("cuda", cuda.alif)
_alif_backward = custom_op(
    "srnn::alif_backward", cpu.alif_backward, mutates_args=(), device_types="cpu"
)
_alif_backward.register_kernel("cuda", cuda.alif_backward)


@_alif.register_fake
def _(
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
    trace = new_sequence(inputs, rows.shape[1]) if keep_trace else inputs.new_empty(0)
    spikes = new_sequence(inputs, rows.shape[1])
    return spikes, trace, _like(potential0), _like(adaptation0)


@_alif_backward.register_fake
def _(
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
) -> tuple[Tensor, ...]:
    count = rows.shape[1] if weight is None else weight.shape[1]
    bias = rows.new_empty(0 if weight is None else rows.shape[1])
    weights = (
        trace.new_empty(0, 0) if each is None else _like(each)
        for each in (weight, recurrent_weight)
    )
    grad_weight, grad_recurrent = weights
    state = (_like(each) for each in (spikes0, potential0, adaptation0))
    grad_inputs = new_sequence(trace, count if for_inputs or weight is None else 0)
    return grad_inputs, grad_weight, bias, grad_recurrent, _like(rows), *state


def _save_alif(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, _bias, *parameters, neuron, constants, surrogate, keep_trace = inputs
    assert keep_trace, "without gradients at the call there are none to be had afterwards"
    spikes, trace, _potential, _adaptation = output
    ctx.mark_non_differentiable(trace)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(None if weight is None else x, spikes, trace, weight, *parameters)
    ctx.constants = (neuron, constants, surrogate)


def _differentiate_alif(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    inputs, spikes, trace, weight, *parameters = ctx.saved_tensors
    grad_spikes, _, grad_potential, grad_adaptation = gradients
    found = _alif_backward(
        torch.zeros_like(spikes) if grad_spikes is None else grad_spikes,
        torch.zeros_like(parameters[-2]) if grad_potential is None else grad_potential,
        torch.zeros_like(parameters[-1]) if grad_adaptation is None else grad_adaptation,
        inputs,
        spikes,
        trace,
        weight,
        *parameters,
        *ctx.constants,
        ctx.needs_input_grad[0],
    )
    wanted = zip(found, ctx.needs_input_grad, strict=False)
    return *(each if needed else None for each, needed in wanted), None, None, None, None


_alif.register_autograd(_differentiate_alif, setup_context=_save_alif)


# --- The product of spikes and weights -----------------------------------------------------------

_spike_linear = custom_op(
    "srnn::spike_linear", cpu.spike_linear, mutates_args=(), device_types="cpu"
)
_spike_linear.register_kernel("cuda", cuda.spike_linear)
_spike_linear_backward = custom_op(
    "srnn::spike_linear_backward", cpu.spike_linear_backward, mutates_args=(), device_types="cpu"
)
_spike_linear_backward.register_kernel("cuda", cuda.spike_linear_backward)


@_spike_linear.register_fake
def _(spikes: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return new_sequence(spikes, len(weight))


@_spike_linear_backward.register_fake
def _(
    grad: Tensor, spikes: Tensor, weight: Tensor, for_spikes: bool, for_weight: bool
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        new_sequence(spikes, spikes.shape[-1] if for_spikes else 0),
        _like(weight) if for_weight else weight.new_empty(0, 0),
        weight.new_empty(len(weight) if for_weight else 0),
    )


def _save_spike_linear(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    spikes, weight, _bias = inputs
    ctx.save_for_backward(spikes, weight)


def _differentiate_spike_linear(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    for_spikes, *for_parameters = ctx.needs_input_grad
    spikes, weight, bias = _spike_linear_backward(
        grad, *ctx.saved_tensors, for_spikes, any(for_parameters)
    )
    wanted = zip((spikes, weight, bias), ctx.needs_input_grad, strict=True)
    return tuple(gradient if needed else None for gradient, needed in wanted)


_spike_linear.register_autograd(_differentiate_spike_linear, setup_context=_save_spike_linear)


# --- Sums over all steps and clips ---------------------------------------------------------------

_gram = custom_op("srnn::gram", cpu.gram, mutates_args=(), device_types="cpu")
_gram.register_kernel("cuda", cuda.gram)


@_gram.register_fake
def _(inputs: Tensor) -> tuple[Tensor, Tensor]:
    count = inputs.shape[-1]
    return inputs.new_empty(count), inputs.new_empty(count, count)


def _save_gram(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, output[0])


def _differentiate_gram(ctx: Any, grad_total: Tensor, grad_scatter: Tensor) -> Tensor:
    inputs, total = ctx.saved_tensors
    weight = grad_scatter + grad_scatter.t()
    mean = total / (inputs.shape[0] * inputs.shape[1])
    # Of the deviations from the mean, which as such would not be sparse where inputs are.
    gradient: Tensor = _spike_linear(inputs, weight, grad_total - weight @ mean)
    return gradient


_gram.register_autograd(_differentiate_gram, setup_context=_save_gram)


# --- The encoder ---------------------------------------------------------------------------------

_ternary = custom_op("srnn::ternary", cpu.ternary, mutates_args=(), device_types="cpu")
_ternary.register_kernel("cuda", cuda.ternary)
_ternary_backward = custom_op(
    "srnn::ternary_backward", cpu.ternary_backward, mutates_args=(), device_types="cpu"
)
_ternary_backward.register_kernel("cuda", cuda.ternary_backward)


@_ternary.register_fake
def _(features: Tensor, threshold: Tensor, surrogate: str) -> Tensor:
    return _like(features)


@_ternary_backward.register_fake
def _(grad: Tensor, features: Tensor, threshold: Tensor, surrogate: str) -> tuple[Tensor, Tensor]:
    return _like(features), _like(threshold)


def _save_ternary(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    features, threshold, ctx.surrogate = inputs
    ctx.save_for_backward(features, threshold)


def _differentiate_ternary(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    features, threshold = _ternary_backward(grad, *ctx.saved_tensors, ctx.surrogate)
    return features, threshold, None


_ternary.register_autograd(_differentiate_ternary, setup_context=_save_ternary)


for _operator in (_alif, _spike_linear, _gram, _ternary):
    _operator.register_autocast("cuda", torch.float32)


def _like(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)
