# SPDX-License-Identifier: MPL-2.0
"""What the operators require of their tensors, checked before a kernel reads memory.

The definition, the kernels of each device and their fake versions make the same checks, so that a
wrong shape is the same error in eager mode, under `torch.compile` and under `torch.export`. A check
reads sizes, types and devices only. The error is a RuntimeError, as that of `torch.nn.LSTM` is.

Legend: T time steps, B batch, I inputs, O outputs, H neurons, L parameters of a neuron.
"""

from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeVar

from torch import Tensor

_Kind = TypeVar("_Kind")


def layer(
    inputs: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    recurrent_weight: Tensor | None,
    rows: Tensor,
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
    _expect("parameters of the neurons", rows, (learnable, "H"))
    neurons = rows.shape[1]
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
    _expect_alike(inputs, weight, bias, recurrent_weight, rows, *(state or ()))


def layer_backward(
    gradients: Sequence[Tensor],
    inputs: Tensor | None,
    spikes: Tensor,
    trace: Tensor,
    weight: Tensor | None,
    recurrent_weight: Tensor | None,
    rows: Tensor,
    state: Sequence[Tensor],
    learnable: int,
) -> None:
    """Check the arguments of a layer's backward pass.

    Parameters
    ----------
    gradients : three tensors
        Of the spikes (T, B, H), and of potential and adaptation after the last step (B, H).

    Raises
    ------
    RuntimeError
        If a shape, type or device does not fit the others.
    """
    layer(trace, None, None, recurrent_weight, rows, state, learnable)
    steps, batch, neurons = trace.shape
    grad_spikes, *grad_state = gradients
    _expect_exactly("spikes", spikes, (steps, batch, neurons))
    _expect_exactly("the gradient of the spikes", grad_spikes, (steps, batch, neurons))
    for each in grad_state:
        _expect_exactly("the gradient of the final state", each, (batch, neurons))
    if (inputs is None) != (weight is None):
        raise RuntimeError("srnn: expected inputs and their weight together, found one of them")
    if inputs is not None and weight is not None:
        _expect("an input weight", weight, (neurons, "I"))
        _expect_exactly("inputs", inputs, (steps, batch, weight.shape[1]))
    _expect_alike(trace, spikes, *gradients, inputs, weight)


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
