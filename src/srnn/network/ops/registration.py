# SPDX-License-Identifier: MPL-2.0
"""The operators as PyTorch knows them: its dispatcher chooses the kernels of the CPU or of CUDA.

Registered with `torch.library`, so that autograd, `torch.compile` and `torch.export` see one
operator where the kernels do a whole sequence. Every version of an operator, fake ones included,
first checks its arguments (see `shapes`): a kernel reads memory where the shapes say there is some.

The functions `layer`, `spike_linear`, `moments` and `ternary` are those of `reference`, the
definition, by way of the operators.

Legend: T time steps, B batch, I inputs, O outputs, H neurons, L parameters of a neuron.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._library.custom_ops import CustomOpDef
from torch.library import custom_op

from srnn.network.neuron import NEURONS, Neuron, State
from srnn.network.ops import cpu, cuda, shapes
from srnn.network.ops.sequences import new_sequence
from srnn.network.surrogate import SURROGATES, Surrogate

_CONSTANTS = {name: len(kind().constants) for name, kind in NEURONS.items()}


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
    if state is None:
        state = neuron.initial_state(inputs.new_empty((*inputs.shape[1:-1], *rows.shape[-1:])))
    tensors = [inputs, weight, bias, recurrent_weight, rows, *state]
    spikes, _, potential, adapted = _alif(
        *tensors,
        neuron.name,
        neuron.constants,
        neuron.surrogate.name,
        torch.is_grad_enabled()
        and any(each is not None and each.requires_grad for each in tensors),
    )
    return spikes, State(spikes[-1], potential, adapted)


def spike_linear(spikes: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply spikes with weights: see `reference.spike_linear`."""
    product: Tensor = _spike_linear(spikes, weight, bias)
    return product


def moments(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and covariance of inputs over all steps and clips: see `reference.moments`."""
    total, scatter = _gram(inputs)
    count = inputs.shape[0] * inputs.shape[1]
    return total / count, scatter / count


def ternary(features: Tensor, threshold: Tensor, surrogate: Surrogate) -> Tensor:
    """Turn features into events: see `reference.ternary`."""
    events: Tensor = _ternary(features, threshold, surrogate.name)
    return events


def _register(name: str, check: Callable[..., None], fake: Callable[..., Any]) -> CustomOpDef:
    """Register the functions of this name for the CPU and CUDA, and a fake one for tracing."""

    def checked(kernel: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(kernel)
        def function(*arguments: Any) -> Any:
            check(*arguments)
            return kernel(*arguments)

        return function

    operator = custom_op(
        f"srnn::{name}", checked(getattr(cpu, name)), mutates_args=(), device_types="cpu"
    )
    operator.register_kernel("cuda", checked(getattr(cuda, name)))
    operator.register_fake(checked(fake))
    for device in ("cpu", "cuda"):
        operator.register_autocast(device, torch.float32)
    return operator


def _expect_float32(tensor: Tensor) -> None:
    if tensor.dtype != torch.float32:
        raise RuntimeError(f"srnn: expected tensors of torch.float32, found {tensor.dtype}")


def _no_second_derivative(ctx: Any, *gradients: Tensor | None) -> None:
    raise RuntimeError(
        "srnn: the kernels have no second derivatives: use backend='reference' for them"
    )


# --- A layer of neurons --------------------------------------------------------------------------


def _check_alif(
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
    _keep_trace: bool,
) -> None:
    learnable = _learnable(neuron, constants, surrogate)
    _expect_float32(inputs)
    state = spikes0, potential0, adaptation0
    shapes.layer(inputs, weight, bias, recurrent_weight, rows, state, learnable)


def _learnable(neuron: str, constants: Sequence[float], surrogate: str) -> int:
    """Return how many parameters a neuron of this kind has; check what is given by name."""
    kind = shapes.known(NEURONS, neuron, "a kind of neuron")
    shapes.known(SURROGATES, surrogate, "a surrogate")
    if len(constants) != _CONSTANTS[neuron]:
        raise RuntimeError(
            f"srnn: expected {_CONSTANTS[neuron]} constants of {neuron}, found {len(constants)}"
        )
    return len(kind.learnable)


def _fake_alif(
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


def _check_alif_backward(
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
    _for_inputs: bool,
) -> None:
    learnable = _learnable(neuron, constants, surrogate)
    _expect_float32(trace)
    gradients = grad_spikes, grad_potential, grad_adaptation
    state = spikes0, potential0, adaptation0
    weights = weight, recurrent_weight
    shapes.layer_backward(gradients, inputs, spikes, trace, *weights, rows, state, learnable)


def _fake_alif_backward(
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
    if not keep_trace:
        raise RuntimeError("srnn: expected keep_trace = True where gradients are needed")
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


_alif = _register("alif", _check_alif, _fake_alif)
_alif_backward = _register("alif_backward", _check_alif_backward, _fake_alif_backward)
_alif.register_autograd(_differentiate_alif, setup_context=_save_alif)


# --- The product of spikes and weights -----------------------------------------------------------


def _check_spike_linear(spikes: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    _expect_float32(spikes)
    shapes.spike_linear(spikes, weight, bias)


def _fake_spike_linear(spikes: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return new_sequence(spikes, len(weight))


def _check_spike_linear_backward(
    grad: Tensor, spikes: Tensor, weight: Tensor, _for_spikes: bool, _for_weight: bool
) -> None:
    _expect_float32(spikes)
    shapes.spike_linear_backward(grad, spikes, weight)


def _fake_spike_linear_backward(
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


_spike_linear = _register("spike_linear", _check_spike_linear, _fake_spike_linear)
_spike_linear_backward = _register(
    "spike_linear_backward", _check_spike_linear_backward, _fake_spike_linear_backward
)
_spike_linear.register_autograd(_differentiate_spike_linear, setup_context=_save_spike_linear)


# --- Sums over all steps and clips ---------------------------------------------------------------


def _check_gram(inputs: Tensor) -> None:
    _expect_float32(inputs)
    shapes.sequence(inputs)


def _fake_gram(inputs: Tensor) -> tuple[Tensor, Tensor]:
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


_gram = _register("gram", _check_gram, _fake_gram)
_gram.register_autograd(_differentiate_gram, setup_context=_save_gram)


# --- The encoder ---------------------------------------------------------------------------------


def _check_ternary(features: Tensor, threshold: Tensor, surrogate: str) -> None:
    shapes.known(SURROGATES, surrogate, "a surrogate")
    _expect_float32(features)
    shapes.ternary(features, threshold)


def _fake_ternary(features: Tensor, threshold: Tensor, surrogate: str) -> Tensor:
    return _like(features)


def _check_ternary_backward(
    grad: Tensor, features: Tensor, threshold: Tensor, surrogate: str
) -> None:
    shapes.known(SURROGATES, surrogate, "a surrogate")
    _expect_float32(features)
    shapes.ternary_backward(grad, features, threshold)


def _fake_ternary_backward(
    grad: Tensor, features: Tensor, threshold: Tensor, surrogate: str
) -> tuple[Tensor, Tensor]:
    return _like(features), _like(threshold)


def _save_ternary(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    features, threshold, ctx.surrogate = inputs
    ctx.save_for_backward(features, threshold)


def _differentiate_ternary(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    features, threshold = _ternary_backward(grad, *ctx.saved_tensors, ctx.surrogate)
    return features, threshold, None


_ternary = _register("ternary", _check_ternary, _fake_ternary)
_ternary_backward = _register("ternary_backward", _check_ternary_backward, _fake_ternary_backward)
_ternary.register_autograd(_differentiate_ternary, setup_context=_save_ternary)


for _operator in (_alif_backward, _spike_linear_backward, _ternary_backward):
    _operator.register_autograd(_no_second_derivative)


def _like(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)
