# SPDX-License-Identifier: MPL-2.0
"""Holds the kernels of a device to the definition in float64: forward and every gradient, by name.

A potential at the threshold may fire in one precision and not in the other, and all that follows
then differs. Such flips are counted and looked at; the gradients are compared along the kernels'
own spikes.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from srnn.network.neurons import NEURONS, Neuron, State
from srnn.network.neurons.distributions import Normal
from srnn.network.ops.signatures import Layer as LayerArguments
from srnn.network.ops.signatures import LayerBackward
from srnn.network.surrogate import SURROGATES, Surrogate

SILENT, ALL_FIRE = -100.0, 300.0  # levels of the current


@dataclass(frozen=True)
class Layer:
    """What the operator needs beside the current."""

    recurrent_weight: Tensor | None
    parameters: Tensor
    spikes0: Tensor
    potential0: Tensor
    adaptation0: Tensor
    definition: Neuron

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that forward and backward have in common, by name."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)[:-1]}
        names = {"neuron": self.definition.name, "surrogate": self.definition.surrogate.name}
        return {**tensors, **names, "constants": self.definition.constants}

    @property
    def leaves(self) -> dict[str, Tensor]:
        """What there are gradients for, in float64."""
        tensors = {k: value for k, value in self.arguments.items() if isinstance(value, Tensor)}
        return {name: value.double().requires_grad_() for name, value in tensors.items()}


@dataclass(frozen=True)
class Case:
    """A layer, its current, the gradients of spikes and final state, and the kernels to look at."""

    kernels: ModuleType
    current: Tensor
    layer: Layer
    gradients: tuple[Tensor, Tensor, Tensor]


def draw(
    kernels: ModuleType,
    steps: int,
    batch: int,
    neurons: int,
    *,
    kind: str = "adaptive_threshold",
    recurrent: bool = True,
    surrogate: str = "multi_gaussian",
    level: float = 5.0,
    device: str = "cpu",
) -> Case:
    """Draw a case; ``level`` is the mean of the current and decides how many neurons fire."""
    make: Callable[..., Neuron] = NEURONS[kind]
    neuron = make(surrogate=SURROGATES[surrogate])
    generator = torch.Generator().manual_seed(neurons)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    clips = batch, neurons
    current = (level + 20 * normal(batch, steps, neurons)).transpose(0, 1)
    layer = Layer(
        normal(neurons, neurons) * math.sqrt(2 / neurons) if recurrent else None,
        _parameters(neuron, normal(len(neuron.learnable), neurons)),
        (normal(*clips) > 0.5).float() if level > SILENT else torch.zeros(clips, device=device),
        normal(*clips) if level > SILENT else -10 * torch.ones(clips, device=device),
        1.6 + normal(*clips),
        neuron,
    )
    return Case(kernels, current, layer, (normal(steps, *clips), normal(*clips), normal(*clips)))


def _parameters(neuron: Neuron, normal: Tensor) -> Tensor:
    """Return parameters of usual size, of uniform ones some at the ends of their bounds."""
    learnt = []
    for name, each in zip(neuron.learnable, normal, strict=True):
        drawn_from = neuron.distribution(name)
        if isinstance(drawn_from, Normal):
            learnt.append((drawn_from.mean + drawn_from.std * each).clamp(min=1))
        else:
            lowest, highest = drawn_from.bounds
            learnt.append((lowest + highest) / 2 + (highest - lowest) / 2 * each)
    return neuron.parameters(learnt)


def forward(case: Case, keep_potentials: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the kernels' spikes, potentials, final potential and final adaptation."""
    arguments = LayerArguments(
        inputs=case.current,
        weight=None,
        bias=None,
        keep_potentials=keep_potentials,
        **case.layer.arguments,
    )
    spikes, potentials, potential, adapted = case.kernels.alif(arguments)
    return spikes, potentials, potential, adapted


def backward(
    case: Case, spikes: Tensor, potentials: Tensor, **product: Tensor
) -> dict[str, Tensor]:
    """Return the kernels' gradients by name; ``product`` are inputs and weight, if any."""
    grad_spikes, grad_potential, grad_adaptation = case.gradients
    arguments = LayerBackward(
        grad_spikes=grad_spikes,
        grad_potential=grad_potential,
        grad_adaptation=grad_adaptation,
        spikes=spikes,
        potentials=potentials,
        for_inputs=True,
        **{"inputs": None, "weight": None, **product, **case.layer.arguments},
    )
    found: dict[str, Tensor] = case.kernels.alif_backward(arguments)._asdict()
    return found if product else {"current": found.pop("inputs"), **found}


def check(case: Case, tolerance: float = 2e-6) -> float:
    """Assert parity, errors relative to each tensor's largest value; return the firing rate."""
    spikes, potentials, potential, adapted = forward(case)
    assert torch.equal(potential, potentials[-1])

    # Left alone, the definition fires where the kernels do, up to a clip's first flip, which is at
    # the threshold; few clips have one.
    expected, distances, _, _ = _definition(case)
    flips = (spikes != expected).flatten(2).any(2)  # (T, B)
    first = flips & (flips.cumsum(0) == 1)
    assert distances[first][spikes[first] != expected[first]].abs().le(1e-4).all()
    assert flips.any(0).sum() <= 1 + 0.05 * spikes.shape[1]

    _, distances, state, gradients = _definition(case, spikes)
    _close("potential", potential, state.potential, tolerance)
    _close("adaptation", adapted, state.adaptation, tolerance)
    found = backward(case, spikes, potentials)
    for name, gradient in gradients.items():
        if name == "parameters":
            for row, (here, there) in enumerate(zip(found[name], gradient, strict=True)):
                _close(f"parameter {row}", here, there, tolerance)
        else:
            _close(name, found[name], gradient, tolerance)
    return spikes.mean().item()


def _close(name: str, found: Tensor, expected: Tensor, tolerance: float) -> None:
    assert found.dtype == torch.float32, name
    error, largest = (found - expected).abs().max(), expected.abs().max()
    assert error <= tolerance * largest, f"{name}: {error:.1e} of {largest:.1e}"


def definition_of(neuron: Neuron) -> ModuleType:
    """Return the module that defines a kind of neuron."""
    return sys.modules[type(neuron).__module__]


def _definition(
    case: Case, spikes: Tensor | None = None
) -> tuple[Tensor, Tensor, State, dict[str, Tensor]]:
    """Step through the sequence in float64, on given spikes where there are some."""
    leaves = {"current": case.current.double().requires_grad_(), **case.layer.leaves}
    state = State(leaves["spikes0"], leaves["potential0"], leaves["adaptation0"])
    weight = leaves.get("recurrent_weight")
    distances: list[Tensor] = []
    fired: list[Tensor] = []

    def spike(distance: Tensor, surrogate: Surrogate) -> Tensor:
        fires = (distance > 0).double() if spikes is None else spikes[len(fired)].double()
        distances.append(distance.detach())
        fired.append(_Forced.apply(distance, fires, surrogate))
        return fired[-1]

    with patch.object(definition_of(case.layer.definition), "spike", spike):
        for inflow in leaves["current"]:
            if weight is not None:
                inflow = inflow + state.spikes @ weight.t()
            state = case.layer.definition.step(inflow, state, leaves["parameters"])
    outputs = torch.stack(fired), state.potential, state.adaptation
    into = [gradient.double() for gradient in case.gradients]
    gradients = torch.autograd.grad(outputs, list(leaves.values()), into)
    return outputs[0], torch.stack(distances), state, dict(zip(leaves, gradients, strict=True))


class _Forced(torch.autograd.Function):
    """The spike function, except that somebody else says where it fires."""

    @staticmethod
    def forward(context: Any, distance: Tensor, spikes: Tensor, surrogate: Surrogate) -> Tensor:
        context.save_for_backward(distance)
        context.surrogate = surrogate
        return spikes.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (distance,) = context.saved_tensors
        slope: Tensor = context.surrogate.derivative(distance)
        return gradient * slope, None, None
