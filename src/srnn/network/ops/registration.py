# SPDX-License-Identifier: MPL-2.0
"""The registration of the operators: PyTorch's dispatcher chooses the kernels of the CPU or CUDA.

Registered with `torch.library`, so that autograd, `torch.compile` and `torch.export` see one
operator where the kernels do a whole sequence; `signatures` states arguments and results of each.
By its `Library` rather than `custom_op`, whose operators take longer to call, and import
`torch._dynamo`, which takes as long as torch itself.
Every version of an operator, fake ones included, first checks its arguments (see `shapes`), because
a kernel reads memory by the shapes.

The functions `layer`, `spike_linear`, `moments` and `ternary` are those of `reference`, the
definition, by way of the operators.

Legend: T time steps, B batch, I inputs, O outputs, H neurons, L parameters of a neuron.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.library import Library, infer_schema, register_autocast, register_fake

from srnn.network.neurons.base import Neuron, State
from srnn.network.neurons.registry import WITH_KERNELS
from srnn.network.ops import shapes
from srnn.network.ops.cpu import operators as cpu
from srnn.network.ops.cuda import operators as cuda
from srnn.network.ops.sequences import new_sequence
from srnn.network.ops.signatures import (
    OPERATORS,
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
from srnn.network.surrogate import SURROGATES, Surrogate

_library = Library("srnn", "DEF")

_CONSTANTS = {name: len(kind().constants) for name, kind in WITH_KERNELS.items()}


def layer(
    inputs: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    recurrent_weight: Tensor | None,
    parameters: Tensor,
    neuron: Neuron,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Multiply inputs with weights and run a layer on them: see `reference.layer`."""
    if state is None:
        shape = (*inputs.shape[1:-1], *parameters.shape[-1:])
        state = neuron.initial_state(inputs.new_empty(shape))
    tensors = [inputs, weight, bias, recurrent_weight, parameters, *state]
    needed = any(each is not None and each.requires_grad for each in tensors)
    arguments = Layer(
        inputs=inputs,
        weight=weight,
        bias=bias,
        recurrent_weight=recurrent_weight,
        parameters=parameters,
        spikes0=state.spikes,
        potential0=state.potential,
        adaptation0=state.adaptation,
        neuron=neuron.name,
        constants=neuron.constants,
        surrogate=neuron.surrogate.name,
        keep_potentials=torch.is_grad_enabled() and needed,
    )
    spikes, _, potential, adaptation = _alif(*arguments)
    return spikes, State(spikes[-1], potential, adaptation)


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


def _register(
    name: str,
    check: Callable[[Any], None],
    fake: Callable[[Any], Any],
    differentiate: Callable[..., Any],
    save: Callable[..., None] | None = None,
) -> OpOverload[Any, Any]:
    """Register the functions of this name for the CPU and CUDA, and those for autograd and tracing.

    Parameters
    ----------
    name : str
        Of an operator in `signatures.OPERATORS`.
    check : Callable
        Raises RuntimeError if the arguments do not fit each other.
    fake : Callable
        Returns tensors of the right shapes.
    differentiate, save : Callable
        Return the gradients, and save what they need; with the arguments that
        `torch.library.register_autograd` describes.
    """
    arguments, returns = OPERATORS[name]
    many = tuple[(Tensor,) * len(returns._fields)] if returns is not Tensor else Tensor  # type: ignore[misc]
    signature = inspect.signature(arguments).replace(return_annotation=many)

    def checked(kernel: Callable[[Any], Any]) -> Callable[..., Any]:
        def function(*values: Any) -> Any:
            packed = arguments(*values)
            check(packed)
            return kernel(packed)

        function.__signature__ = signature  # type: ignore[attr-defined]
        return function

    on_cpu, full_name = checked(getattr(cpu, name)), f"srnn::{name}"
    _library.define(name + infer_schema(on_cpu, mutates_args=()))
    _library.impl(name, on_cpu, "CPU")
    _library.impl(name, checked(getattr(cuda, name)), "CUDA")
    register_fake(full_name, checked(fake), lib=_library)
    operator: OpOverload[Any, Any] = getattr(torch.ops.srnn, name).default
    _library.impl(name, _with_autograd(operator, differentiate, save), "Autograd")
    for device in ("cpu", "cuda"):
        register_autocast(full_name, device, torch.float32, lib=_library)
    return operator


def _with_autograd(
    operator: OpOverload[Any, Any],
    differentiate: Callable[..., Any],
    save: Callable[..., None] | None,
) -> Callable[..., Any]:
    """Return what the dispatcher calls first: it notes what the backward pass needs.

    That of `torch.library.register_autograd` takes 0.1 ms longer, as it restores the defaults of
    arguments, of which these operators have none.
    """

    def forward(ctx: Any, *values: Any) -> Any:
        output = without_autograd(*values)
        if save:
            save(ctx, values, output)
        return output

    def without_autograd(*values: Any) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            return operator(*values)

    members = {"forward": staticmethod(forward), "backward": staticmethod(differentiate)}
    function: Any = type(operator.name(), (torch.autograd.Function,), members)

    def dispatched(*values: Any) -> Any:
        if torch.is_grad_enabled() and torch._C._any_requires_grad(*values):
            return function.apply(*values)
        return without_autograd(*values)

    return dispatched


def _expect_float32(tensor: Tensor) -> None:
    if tensor.dtype != torch.float32:
        raise RuntimeError(f"srnn: expected tensors of torch.float32, found {tensor.dtype}")


def _no_second_derivative(ctx: Any, *gradients: Tensor | None) -> None:
    raise RuntimeError(
        "srnn: the kernels have no second derivatives: use backend='reference' for them"
    )


# --- A layer of neurons --------------------------------------------------------------------------


def _learnable(neuron: str, constants: Sequence[float], surrogate: str) -> int:
    """Return the number of parameters of a neuron of this kind; check the given names."""
    kind = shapes.known(WITH_KERNELS, neuron, "a kind of neuron")
    shapes.known(SURROGATES, surrogate, "a surrogate")
    if len(constants) != _CONSTANTS[neuron]:
        raise RuntimeError(
            f"srnn: expected {_CONSTANTS[neuron]} constants of {neuron}, found {len(constants)}"
        )
    return len(kind.learnable)


def _check_alif(a: Layer) -> None:
    learnable = _learnable(a.neuron, a.constants, a.surrogate)
    _expect_float32(a.inputs)
    state = a.spikes0, a.potential0, a.adaptation0
    shapes.layer(a.inputs, a.weight, a.bias, a.recurrent_weight, a.parameters, state, learnable)


def _fake_alif(a: Layer) -> LayerOutput:
    neurons = a.parameters.shape[1]
    kept = new_sequence(a.inputs, neurons) if a.keep_potentials else a.inputs.new_empty(0)
    return LayerOutput(
        new_sequence(a.inputs, neurons), kept, _like(a.potential0), _like(a.adaptation0)
    )


def _check_alif_backward(a: LayerBackward) -> None:
    learnable = _learnable(a.neuron, a.constants, a.surrogate)
    _expect_float32(a.potentials)
    shapes.layer_backward(a, learnable)


def _fake_alif_backward(a: LayerBackward) -> LayerGradients:
    neurons = a.parameters.shape[1]
    count = neurons if a.weight is None else a.weight.shape[1]
    empty = a.potentials.new_empty(0, 0)
    return LayerGradients(
        inputs=new_sequence(a.potentials, count if a.for_inputs or a.weight is None else 0),
        weight=empty if a.weight is None else _like(a.weight),
        bias=a.parameters.new_empty(0 if a.weight is None else neurons),
        recurrent_weight=(
            empty.clone() if a.recurrent_weight is None else _like(a.recurrent_weight)
        ),
        parameters=_like(a.parameters),
        spikes0=_like(a.spikes0),
        potential0=_like(a.potential0),
        adaptation0=_like(a.adaptation0),
    )


def _save_alif(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    a, found = Layer(*inputs), LayerOutput(*output)
    if not a.keep_potentials:
        raise RuntimeError("srnn: expected keep_potentials = True where gradients are needed")
    ctx.mark_non_differentiable(found.potentials)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(
        None if a.weight is None else a.inputs,
        found.spikes,
        found.potentials,
        a.weight,
        a.recurrent_weight,
        a.parameters,
        a.spikes0,
        a.potential0,
        a.adaptation0,
    )
    ctx.names = (a.neuron, a.constants, a.surrogate)


def _differentiate_alif(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    inputs, spikes, potentials, weight, recurrent_weight, parameters, *state = ctx.saved_tensors
    neuron, constants, surrogate = ctx.names
    upstream = LayerOutput(*gradients)  # type: ignore[arg-type]
    spikes0, potential0, adaptation0 = state
    arguments = LayerBackward(
        grad_spikes=_or_zeros(upstream.spikes, spikes),
        grad_potential=_or_zeros(upstream.potential, potential0),
        grad_adaptation=_or_zeros(upstream.adaptation, adaptation0),
        inputs=inputs,
        spikes=spikes,
        potentials=potentials,
        weight=weight,
        recurrent_weight=recurrent_weight,
        parameters=parameters,
        spikes0=spikes0,
        potential0=potential0,
        adaptation0=adaptation0,
        neuron=neuron,
        constants=constants,
        surrogate=surrogate,
        for_inputs=ctx.needs_input_grad[Layer._fields.index("inputs")],
    )
    requested = zip(_alif_backward(*arguments), ctx.needs_input_grad, strict=False)
    found = [each if needed else None for each, needed in requested]
    return *found, *[None] * (len(Layer._fields) - len(found))


def _or_zeros(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient


_alif = _register("alif", _check_alif, _fake_alif, _differentiate_alif, _save_alif)
_alif_backward = _register(
    "alif_backward", _check_alif_backward, _fake_alif_backward, _no_second_derivative
)


# --- The product of spikes and weights -----------------------------------------------------------


def _check_spike_linear(a: SpikeLinear) -> None:
    _expect_float32(a.spikes)
    shapes.spike_linear(a.spikes, a.weight, a.bias)


def _fake_spike_linear(a: SpikeLinear) -> Tensor:
    return new_sequence(a.spikes, len(a.weight))


def _check_spike_linear_backward(a: SpikeLinearBackward) -> None:
    _expect_float32(a.spikes)
    shapes.spike_linear_backward(a.grad, a.spikes, a.weight)


def _fake_spike_linear_backward(a: SpikeLinearBackward) -> SpikeLinearGradients:
    return SpikeLinearGradients(
        new_sequence(a.spikes, a.spikes.shape[-1] if a.for_spikes else 0),
        _like(a.weight) if a.for_weight else a.weight.new_empty(0, 0),
        a.weight.new_empty(len(a.weight) if a.for_weight else 0),
    )


def _save_spike_linear(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    spikes, weight, _bias = inputs
    ctx.save_for_backward(spikes, weight)


def _differentiate_spike_linear(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    spikes, weight = ctx.saved_tensors
    for_spikes, *for_parameters = ctx.needs_input_grad
    found = _spike_linear_backward(grad, spikes, weight, for_spikes, any(for_parameters))
    requested = zip(found, ctx.needs_input_grad, strict=True)
    return tuple(gradient if needed else None for gradient, needed in requested)


_spike_linear = _register(
    "spike_linear",
    _check_spike_linear,
    _fake_spike_linear,
    _differentiate_spike_linear,
    _save_spike_linear,
)
_spike_linear_backward = _register(
    "spike_linear_backward",
    _check_spike_linear_backward,
    _fake_spike_linear_backward,
    _no_second_derivative,
)


# --- Sums over all steps and clips ---------------------------------------------------------------


def _check_gram(a: Gram) -> None:
    _expect_float32(a.inputs)
    shapes.sequence(a.inputs)


def _fake_gram(a: Gram) -> GramOutput:
    count = a.inputs.shape[-1]
    return GramOutput(a.inputs.new_empty(count), a.inputs.new_empty(count, count))


def _save_gram(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, output[0])


def _differentiate_gram(ctx: Any, grad_total: Tensor, grad_scatter: Tensor) -> Tensor:
    inputs, total = ctx.saved_tensors
    weight = grad_scatter + grad_scatter.t()
    mean = total / (inputs.shape[0] * inputs.shape[1])
    # Of the deviations from the mean, which as such would not be sparse where inputs are.
    gradient: Tensor = _spike_linear(inputs, weight, grad_total - weight @ mean)
    return gradient


_gram = _register("gram", _check_gram, _fake_gram, _differentiate_gram, _save_gram)


# --- The encoder ---------------------------------------------------------------------------------


def _check_ternary(a: Ternary) -> None:
    shapes.known(SURROGATES, a.surrogate, "a surrogate")
    _expect_float32(a.features)
    shapes.ternary(a.features, a.threshold)


def _fake_ternary(a: Ternary) -> Tensor:
    return _like(a.features)


def _check_ternary_backward(a: TernaryBackward) -> None:
    shapes.known(SURROGATES, a.surrogate, "a surrogate")
    _expect_float32(a.features)
    shapes.ternary_backward(a.grad, a.features, a.threshold)


def _fake_ternary_backward(a: TernaryBackward) -> TernaryGradients:
    return TernaryGradients(_like(a.features), _like(a.threshold))


def _save_ternary(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    features, threshold, ctx.surrogate = inputs
    ctx.save_for_backward(features, threshold)


def _differentiate_ternary(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    features, threshold = ctx.saved_tensors
    found = _ternary_backward(grad, features, threshold, ctx.surrogate)
    return *found, None


_ternary = _register(
    "ternary", _check_ternary, _fake_ternary, _differentiate_ternary, _save_ternary
)
_ternary_backward = _register(
    "ternary_backward",
    _check_ternary_backward,
    _fake_ternary_backward,
    _no_second_derivative,
)


def _like(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)
