# SPDX-License-Identifier: MPL-2.0
"""The checks of the tensors that operators receive, before a kernel reads memory.

The definition, the kernels of each device and their fake versions make the same checks, so that a
wrong shape is the same error in eager mode, under `torch.compile` and under `torch.export`. A check
reads sizes, types and devices only. The error is a RuntimeError, as that of `torch.nn.LSTM` is.

Legend: T time steps, B batch, I inputs, O outputs, H neurons, L parameters of a neuron.
"""

from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeVar

from torch import Tensor

from srnn.network.ops.signatures import LayerBackward

_Kind = TypeVar("_Kind")


def layer(
    inputs: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    recurrent_weight: Tensor | None,
    parameters: Tensor,
    state: Sequence[Tensor] | None,
    learnable: int,
) -> None:
    """Check the arguments of a layer over a sequence, see `srnn.network.ops.reference.layer`.

    Parameters
    ----------
    state : three tensors, or None
        Spikes, potential and adaptation before the first step.
    learnable : int
        Parameters of a neuron, L.

    Raises
    ------
    RuntimeError
        If a shape, type or device does not fit the others.
    """
    _expect("parameters of the neurons", parameters, (learnable, "H"))
    neurons = parameters.shape[1]
    if neurons < 1:
        raise RuntimeError("srnn: expected at least one neuron, found none")
    count = neurons
    if weight is not None:
        _expect("an input weight", weight, (neurons, "I"))
        count = weight.shape[1]
    if bias is not None:
        if weight is None:
            raise RuntimeError(
                "srnn: expected a bias together with an input weight, found it alone"
            )
        _expect_exactly("a bias", bias, (neurons,))
    if recurrent_weight is not None:
        _expect_exactly("a recurrent weight", recurrent_weight, (neurons, neurons))
    _expect("inputs", inputs, ("T", "B", count))
    if inputs.shape[0] < 1:
        raise RuntimeError(
            f"srnn: expected inputs of at least one time step, found shape {tuple(inputs.shape)}"
        )
    for each in state or ():
        _expect_exactly("a state for these inputs", each, (inputs.shape[1], neurons))
    _expect_alike(inputs, weight, bias, recurrent_weight, parameters, *(state or ()))


def layer_backward(a: LayerBackward, learnable: int) -> None:
    """Check the arguments of a layer's backward pass, given the parameters of a neuron, L.

    Raises
    ------
    RuntimeError
        If a shape, type or device does not fit the others.
    """
    state = a.spikes0, a.potential0, a.adaptation0
    layer(a.potentials, None, None, a.recurrent_weight, a.parameters, state, learnable)
    steps, batch, neurons = a.potentials.shape
    _expect_exactly("spikes", a.spikes, (steps, batch, neurons))
    _expect_exactly("the gradient of the spikes", a.grad_spikes, (steps, batch, neurons))
    for each in (a.grad_potential, a.grad_adaptation):
        _expect_exactly("the gradient of the final state", each, (batch, neurons))
    if (a.inputs is None) != (a.weight is None):
        raise RuntimeError("srnn: expected inputs and their weight together, found one of them")
    if a.inputs is not None and a.weight is not None:
        _expect("an input weight", a.weight, (neurons, "I"))
        _expect_exactly("inputs", a.inputs, (steps, batch, a.weight.shape[1]))
    gradients = a.grad_spikes, a.grad_potential, a.grad_adaptation
    _expect_alike(a.potentials, a.spikes, *gradients, a.inputs, a.weight)


def spike_linear(spikes: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Check the arguments of a product of spikes and weights; raise RuntimeError."""
    _expect("a weight", weight, ("O", "I"))
    outputs, inputs = weight.shape
    _expect("inputs", spikes, ("T", "B", inputs))
    if bias is not None:
        _expect_exactly("a bias", bias, (outputs,))
    _expect_alike(spikes, weight, bias)


def spike_linear_backward(grad: Tensor, spikes: Tensor, weight: Tensor) -> None:
    """Check the arguments of that product's backward pass; raise RuntimeError."""
    spike_linear(spikes, weight, None)
    _expect_exactly("the gradient of the product", grad, (*spikes.shape[:2], len(weight)))
    _expect_alike(spikes, grad)


def sequence(inputs: Tensor) -> None:
    """Check that ``inputs`` are a sequence (T, B, I); raise RuntimeError."""
    _expect("inputs", inputs, ("T", "B", "I"))


def ternary(features: Tensor, threshold: Tensor) -> None:
    """Check the arguments of the encoder; raise RuntimeError."""
    _expect_exactly("the encoder's threshold", threshold, ())
    _expect_alike(features, threshold)


def ternary_backward(grad: Tensor, features: Tensor, threshold: Tensor) -> None:
    """Check the arguments of the encoder's backward pass; raise RuntimeError."""
    ternary(features, threshold)
    _expect_exactly("the gradient of the events", grad, features.shape)
    _expect_alike(features, grad)


def known(kinds: Mapping[str, _Kind], name: str, what: str) -> _Kind:
    """Return the kind of this name; raise RuntimeError where there is none."""
    if name not in kinds:
        raise RuntimeError(f"srnn: expected {what}, one of {', '.join(kinds)}, found {name!r}")
    return kinds[name]


def _expect(what: str, tensor: Tensor, sizes: tuple[int | str, ...]) -> None:
    """Check a shape; in place of a size that may be any, ``sizes`` has its letter."""
    found = tensor.shape
    if len(found) == len(sizes):
        for size, there in zip(sizes, found, strict=True):
            if size != there and not isinstance(size, str):
                break
        else:
            return
    _refuse(what, tensor, sizes)


def _expect_exactly(what: str, tensor: Tensor, sizes: tuple[int, ...]) -> None:
    """Check a shape of which every size is known; the usual and faster case."""
    if tensor.shape != sizes:
        _refuse(what, tensor, sizes)


def _refuse(what: str, tensor: Tensor, sizes: tuple[int | str, ...]) -> NoReturn:
    expected = f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"
    raise RuntimeError(f"srnn: expected {what} of shape {expected}, found {tuple(tensor.shape)}")


def _expect_alike(first: Tensor, *others: Tensor | None) -> None:
    """Check that all tensors have the type and the device of the first."""
    for each in others:
        if each is None:
            continue
        for found, other in ((first.dtype, each.dtype), (first.device, each.device)):
            if found != other:
                raise RuntimeError(
                    f"srnn: expected tensors of one dtype on one device, found {found} "
                    f"(shape {tuple(first.shape)}) and {other} (shape {tuple(each.shape)})"
                )
