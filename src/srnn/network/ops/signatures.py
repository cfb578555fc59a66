# SPDX-License-Identifier: MPL-2.0
"""The signatures of the registered operators: what each takes and returns, stated once.

An operator is called with the fields of its arguments, in their order. Its kernels, their fake
version and the check of shapes receive them as one object.

Legend: T time steps, B batch, I inputs, O outputs, H neurons, L parameters of a neuron.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor


class Layer(NamedTuple):
    """Arguments of ``alif``: a layer of neurons over a sequence.

    Attributes
    ----------
    inputs : Tensor, shape (T, B, I)
    weight : Tensor, shape (H, I), or None: the inputs are the current
    bias : Tensor, shape (H,), or None
    recurrent_weight : Tensor, shape (H, H), or None
    parameters : Tensor, shape (L, H)
    spikes0, potential0, adaptation0 : Tensor, shape (B, H)
        State before the first step.
    neuron : str
        Name of the kind.
    constants : sequence of float
        Those of the kind.
    surrogate : str
        Name of the surrogate.
    keep_potentials : bool
        Whether the potentials of all steps are returned, which the backward pass needs.
    """

    inputs: Tensor
    weight: Tensor | None
    bias: Tensor | None
    recurrent_weight: Tensor | None
    parameters: Tensor
    spikes0: Tensor
    potential0: Tensor
    adaptation0: Tensor
    neuron: str
    constants: Sequence[float]
    surrogate: str
    keep_potentials: bool


class LayerOutput(NamedTuple):
    """Outputs of ``alif``.

    Attributes
    ----------
    spikes : Tensor, shape (T, B, H)
    potentials : Tensor, shape (T, B, H), or empty
    potential, adaptation : Tensor, shape (B, H)
        State after the last step.
    """

    spikes: Tensor
    potentials: Tensor
    potential: Tensor
    adaptation: Tensor


class LayerBackward(NamedTuple):
    """Arguments of ``alif_backward``: gradients of the outputs, and of what `Layer` describes.

    Attributes
    ----------
    grad_spikes : Tensor, shape (T, B, H)
    grad_potential, grad_adaptation : Tensor, shape (B, H)
        Gradients of the state after the last step.
    inputs : Tensor, shape (T, B, I), or None where there is no weight
    for_inputs : bool
        Whether the gradient of inputs that have a weight is needed.
    """

    grad_spikes: Tensor
    grad_potential: Tensor
    grad_adaptation: Tensor
    inputs: Tensor | None
    spikes: Tensor
    potentials: Tensor
    weight: Tensor | None
    recurrent_weight: Tensor | None
    parameters: Tensor
    spikes0: Tensor
    potential0: Tensor
    adaptation0: Tensor
    neuron: str
    constants: Sequence[float]
    surrogate: str
    for_inputs: bool


class LayerGradients(NamedTuple):
    """Outputs of ``alif_backward``; tensors that are not needed or do not exist are empty."""

    inputs: Tensor
    weight: Tensor
    bias: Tensor
    recurrent_weight: Tensor
    parameters: Tensor
    spikes0: Tensor
    potential0: Tensor
    adaptation0: Tensor


class SpikeLinear(NamedTuple):
    """Arguments of ``spike_linear``: spikes (T, B, I), weight (O, I), bias (O,) or None."""

    spikes: Tensor
    weight: Tensor
    bias: Tensor | None


class SpikeLinearBackward(NamedTuple):
    """Arguments of ``spike_linear_backward``: grad (T, B, O), and which gradients are needed."""

    grad: Tensor
    spikes: Tensor
    weight: Tensor
    for_spikes: bool
    for_weight: bool


class SpikeLinearGradients(NamedTuple):
    """Outputs of ``spike_linear_backward``; tensors that are not needed are empty."""

    spikes: Tensor
    weight: Tensor
    bias: Tensor


class Gram(NamedTuple):
    """Argument of ``gram``: a sequence (T, B, I)."""

    inputs: Tensor


class GramOutput(NamedTuple):
    """Outputs of ``gram``: sums over all steps and clips.

    Attributes
    ----------
    total : Tensor, shape (I,)
        Of the inputs.
    scatter : Tensor, shape (I, I)
        Of the products of their deviations from the mean.
    """

    total: Tensor
    scatter: Tensor


class Ternary(NamedTuple):
    """Arguments of ``ternary``: features of any shape, threshold (), name of the surrogate."""

    features: Tensor
    threshold: Tensor
    surrogate: str


class TernaryBackward(NamedTuple):
    """Arguments of ``ternary_backward``: those of ``ternary`` after the gradient of the events."""

    grad: Tensor
    features: Tensor
    threshold: Tensor
    surrogate: str


class TernaryGradients(NamedTuple):
    """Outputs of ``ternary_backward``."""

    features: Tensor
    threshold: Tensor


OPERATORS: dict[str, tuple[type[Any], type[Any]]] = {
    "alif": (Layer, LayerOutput),
    "alif_backward": (LayerBackward, LayerGradients),
    "spike_linear": (SpikeLinear, Tensor),
    "spike_linear_backward": (SpikeLinearBackward, SpikeLinearGradients),
    "gram": (Gram, GramOutput),
    "ternary": (Ternary, Tensor),
    "ternary_backward": (TernaryBackward, TernaryGradients),
}
"""Arguments and outputs of the operators, by name."""
