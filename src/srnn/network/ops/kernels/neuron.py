# SPDX-License-Identifier: MPL-2.0
"""One step of a neuron, forward and back, whatever its kind; a module for each kind has its own.

A layer of neurons is a tuple: arrays of learnable parameters (P,), padded, then constants. Its
type is the kind: numba chooses the functions by it when it compiles a kernel, once for each kind.
`h` is the place in the layer of the first neuron of a vector; `s`, `v` and `b` are their spikes,
potentials and adaptations.
"""

from collections.abc import Callable
from typing import Any

from numba.extending import overload

from srnn.network.ops.kernels import adaptive_current, adaptive_threshold
from srnn.network.ops.kernels.adaptive_current import AdaptiveCurrent
from srnn.network.ops.kernels.adaptive_threshold import AdaptiveThreshold

NEURONS: dict[str, Callable[..., Any]] = {
    "adaptive_threshold": AdaptiveThreshold,
    "adaptive_current": AdaptiveCurrent,
}
"""What makes a layer of each kind, of its arrays and constants."""

_MODULES = {AdaptiveThreshold: adaptive_threshold, AdaptiveCurrent: adaptive_current}


def _of_its_kind(name: str) -> Any:
    """Return the function of this name that belongs to the kind of the first argument."""

    def function(neuron: Any, *arguments: Any) -> Any:
        raise NotImplementedError("only kernels can call it")

    @overload(function, strict=False)
    def choose(neuron: Any, *arguments: Any) -> Callable[..., Any]:
        chosen = getattr(_MODULES[neuron.instance_class], name)
        return lambda neuron, *arguments: chosen(neuron, *arguments)

    return function


advance = _of_its_kind("advance")
"""``(neuron, h, current, s, v, b)``: spikes, potential and adaptation one time step later.

Rounded as the definition is.
"""

adapt = _of_its_kind("adapt")
"""``(neuron, h, s, v, b)``: the adaptation one time step later, alone."""

distance = _of_its_kind("distance")
"""``(neuron, v, b)``: how far above its threshold the neuron is."""

retreat = _of_its_kind("retreat")
"""``(neuron, h, grad_s, grad_v, grad_b, v, b, s_before, v_before, b_before, derivative)``.

Goes back one time step. Takes the gradients of the state after the step (``grad_v`` and ``grad_b``
without what flows through this step's own spikes and threshold), the states after it and before,
and the surrogate's derivative. Returns the gradients of the current, of the state before the step,
and a tuple: the step's shares of those of the learnable parameters, that of alpha, which is the
first, times 1 - alpha.
"""
