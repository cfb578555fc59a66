# SPDX-License-Identifier: MPL-2.0
"""Dispatch of the operators: to the kernels of the device, or to the definition.

The functions have the signatures of `reference`, the definition, and of `registration`, the
kernels. The definition is used, with one warning, where the kernels do not support the arguments
and on a device where they failed their check (see `selfcheck`).
"""

import functools
import logging
from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor

from srnn.network.neurons.base import Neuron, State
from srnn.network.neurons.registry import WITH_KERNELS
from srnn.network.ops import reference, registration
from srnn.network.ops.cases import Case
from srnn.network.ops.cuda import operators as cuda
from srnn.network.ops.selfcheck import passes
from srnn.network.surrogate import SURROGATES, Surrogate

_log = logging.getLogger(__name__)


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
    backend = _choose(
        [inputs, weight, bias, recurrent_weight, parameters, *(state or ())],
        "layer",
        neuron.surrogate,
        neuron,
        weighted=weight is not None,
        recurrent=recurrent_weight is not None,
    )
    spikes, state = backend.layer(inputs, weight, bias, recurrent_weight, parameters, neuron, state)
    return spikes, state


def spike_linear(spikes: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply spikes with weights: see `reference.spike_linear`."""
    product: Tensor = _choose([spikes, weight, bias], "spike_linear").spike_linear(
        spikes, weight, bias
    )
    return product


def moments(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and covariance of inputs over all steps and clips: see `reference.moments`."""
    mean, covariance = _choose([inputs], "moments").moments(inputs)
    return mean, covariance


def ternary(features: Tensor, threshold: Tensor, surrogate: Surrogate) -> Tensor:
    """Turn features into events: see `reference.ternary`."""
    backend = _choose([features, threshold], "ternary", surrogate)
    events: Tensor = backend.ternary(features, threshold, surrogate)
    return events


def _choose(
    tensors: Sequence[Tensor | None],
    operator: str,
    surrogate: Surrogate | None = None,
    neuron: Neuron | None = None,
    *,
    weighted: bool = False,
    recurrent: bool = False,
) -> ModuleType:
    """Return the module that computes an operator with these tensors.

    Raises
    ------
    RuntimeError
        Within a transform of `torch.func`.
    """
    if torch._C._are_functorch_transforms_active():
        raise RuntimeError(
            "srnn: the kernels do not support the transforms of torch.func (grad, vmap, jvp, ...): "
            "use backend='reference' with them"
        )
    given = [each for each in tensors if each is not None]
    first = given[0]
    device, dtype = first.device, first.dtype
    for each in given:
        if each.dtype != dtype or each.device != device:
            return reference  # its check raises the error
    if reason := _unsupported(first, surrogate, neuron):
        _warn_once(reason)
        return reference
    case = Case(
        operator,
        neuron.name if neuron else "",
        surrogate.name if surrogate else "",
        weighted,
        recurrent,
        torch.is_grad_enabled() and any(each.requires_grad for each in given),
    )
    return registration if passes(device, case) else reference


def _unsupported(tensor: Tensor, surrogate: Surrogate | None, neuron: Neuron | None) -> str | None:
    """Return why the kernels cannot compute with tensors like this one, or None if they can."""
    if surrogate is not None and SURROGATES.get(surrogate.name) != surrogate:
        return f"no kernels for the surrogate {surrogate.name!r}"
    if neuron is not None and WITH_KERNELS.get(neuron.name) is not type(neuron):
        return f"no kernels for the neuron {neuron.name!r}"
    if tensor.dtype != torch.float32:
        return f"the kernels support torch.float32, not {tensor.dtype}"
    if tensor.device.type == "cuda":
        return cuda.unsupported(tensor)
    if tensor.device.type not in ("cpu", "meta"):
        return f"no kernels for the device type {tensor.device.type!r}"
    return None


@functools.cache
def _warn_once(reason: str) -> None:
    _log.warning("the slow reference implementation is used instead of the kernels: %s", reason)
