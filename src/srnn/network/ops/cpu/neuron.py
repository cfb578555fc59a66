# SPDX-License-Identifier: MPL-2.0
"""One time step of a neuron of any kind, forward and backward, for vectors of neurons.

Each kind has these functions in the ``cpu.py`` of its folder, beside a NamedTuple that represents a
layer of it and has the name of the kind's class: the arrays of the neurons' parameters (P,),
padded, alpha first, then the constants. Numba chooses the functions by the type of that tuple when
it compiles a kernel, once for each kind.

`h` is the place in the layer of the first neuron of a vector; `s`, `v` and `b` are spikes,
potentials and adaptations.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from numba.extending import overload

from srnn.network.neurons.registry import WITH_KERNELS, kernel_functions


class State(NamedTuple):
    """Arrays (B x H) of spikes, potentials and adaptations, or of their gradients."""

    s: Any
    v: Any
    b: Any


def make_layer(kind: str, parameters: Any, constants: Sequence[float]) -> Any:
    """Return the tuple that represents a layer, given the parameters (L, P) and the constants."""
    layer = getattr(kernel_functions(kind, "cpu"), WITH_KERNELS[kind].__name__)
    return layer(*parameters, *constants)


def _of_its_kind(name: str) -> Any:
    """Return the function of this name that belongs to the kind of the first argument."""

    def function(neuron: Any, *arguments: Any) -> Any:
        raise NotImplementedError("only kernels can call it")

    @overload(function, strict=False)
    def choose(neuron: Any, *arguments: Any) -> Callable[..., Any]:
        chosen = getattr(sys.modules[neuron.instance_class.__module__], name)
        return lambda neuron, *arguments: chosen(neuron, *arguments)

    return function


step = _of_its_kind("step")
"""``(neuron, h, current, s, v, b)``: spikes, potential and adaptation one time step later.

Rounded as the definition is.
"""

adapt = _of_its_kind("adapt")
"""``(neuron, h, s, v, b)``: the adaptation one time step later, alone."""

distance = _of_its_kind("distance")
"""``(neuron, v, b)``: potential minus threshold."""

step_backward = _of_its_kind("step_backward")
"""``(neuron, h, grad_s, grad_v, grad_b, v, b, s_before, v_before, b_before, derivative)``.

Takes the gradients of the state after the step (``grad_v`` and ``grad_b`` without what flows
through this step's own spikes and threshold), the states after it and before, and the surrogate's
derivative. Returns the gradients of the current, of the state before the step, and a tuple: the
step's summands of those of the parameters, that of alpha times 1 - alpha.
"""
