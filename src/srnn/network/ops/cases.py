# SPDX-License-Identifier: MPL-2.0
"""Small ragged cases in which kernels are compared with the definition, see `selfcheck`.

All numbers are small multiples of powers of two: currents are exact in any order of summation, and
the kernels must fire exactly where the definition does.

Legend: T time steps, B batch, I inputs, H neurons.
"""

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from srnn.network.neurons.base import Neuron, State
from srnn.network.neurons.registry import WITH_KERNELS
from srnn.network.surrogate import SURROGATES

SIZES = (200, 33, 1)
"""Numbers of neurons that every case is computed with."""

_STEPS, _CLIPS, _INPUTS = 6, 17, 21


class Case(NamedTuple):
    """A use of an operator that is checked at once.

    Attributes
    ----------
    operator : "layer", "spike_linear", "moments" or "ternary"
    neuron, surrogate : str
        Their names; empty where the operator has none.
    weighted, recurrent : bool
        Of a layer: whether it has an input weight, and a recurrent weight.
    gradients : bool
        Whether there is a backward pass.
    """

    operator: str
    neuron: str = ""
    surrogate: str = ""
    weighted: bool = False
    recurrent: bool = False
    gradients: bool = False

    def __str__(self) -> str:
        return " ".join(str(each) for each in self)


def results(
    backend: ModuleType, device: torch.device, case: Case, neurons: int
) -> dict[str, Tensor]:
    """Compute a case; return its outputs and gradients by name, on the CPU."""
    random = torch.Generator().manual_seed(neurons)
    leaves = {
        name: tensor.to(device).requires_grad_(case.gradients)
        for name, tensor in _DRAWS[case.operator](case, neurons, random).items()
    }
    outputs = _RUNS[case.operator](backend, case, leaves)
    results = {f"output {name}": output.detach() for name, output in outputs.items()}
    if case.gradients:
        loss = sum(
            (output * _integers(random, output.shape, 1 / 8).to(device)).sum()
            for output in outputs.values()
            if output.requires_grad
        )
        assert isinstance(loss, Tensor)
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        named = zip(leaves, gradients, strict=True)
        results |= {f"gradient of {name}": gradient for name, gradient in named}
    return {name: result.cpu() for name, result in results.items()}


def _integers(random: torch.Generator, shape: tuple[int, ...], unit: float) -> Tensor:
    return torch.randint(-16, 17, shape, generator=random) * unit


def _events(random: torch.Generator, inputs: int) -> Tensor:
    """Return ternary events (T, B, I), two thirds of them 0."""
    return torch.randint(-1, 2, (_CLIPS, _STEPS, inputs), generator=random).transpose(0, 1) * (
        torch.randint(2, (_STEPS, _CLIPS, inputs), generator=random) * 1.0
    )


def _draw_layer(case: Case, neurons: int, random: torch.Generator) -> dict[str, Tensor]:
    drawn = {"inputs": _events(random, _INPUTS)}
    if case.weighted:
        drawn["weight"] = _integers(random, (neurons, _INPUTS), 1 / 4)
        drawn["bias"] = _integers(random, (neurons,), 1 / 4)
    else:
        drawn["inputs"] = _integers(random, (_STEPS, _CLIPS, neurons), 1.0)
    if case.recurrent:
        drawn["recurrent_weight"] = _integers(random, (neurons, neurons), 1 / 32)
    learnable = len(WITH_KERNELS[case.neuron].learnable)
    drawn["parameters"] = 0.2 + 0.7 * torch.rand(learnable, neurons, generator=random)
    drawn["spikes"] = torch.randint(2, (_CLIPS, neurons), generator=random) * 1.0
    drawn["potential"] = _integers(random, (_CLIPS, neurons), 1 / 8)
    drawn["adaptation"] = _integers(random, (_CLIPS, neurons), 1 / 8)
    return drawn


def _run_layer(backend: ModuleType, case: Case, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    kind: Callable[..., Neuron] = WITH_KERNELS[case.neuron]
    neuron = kind(surrogate=SURROGATES[case.surrogate])
    spikes, state = backend.layer(
        leaves["inputs"],
        leaves.get("weight"),
        leaves.get("bias"),
        leaves.get("recurrent_weight"),
        leaves["parameters"],
        neuron,
        State(*(leaves[name] for name in State._fields)),
    )
    return {"spikes": spikes, "potential": state.potential, "adaptation": state.adaptation}


def _draw_spike_linear(case: Case, neurons: int, random: torch.Generator) -> dict[str, Tensor]:
    return {
        "spikes": _events(random, _INPUTS),
        "weight": _integers(random, (neurons, _INPUTS), 1 / 8),
        "bias": _integers(random, (neurons,), 1 / 8),
    }


def _run_spike_linear(
    backend: ModuleType, case: Case, leaves: dict[str, Tensor]
) -> dict[str, Tensor]:
    return {"product": backend.spike_linear(*leaves.values())}


def _draw_moments(case: Case, neurons: int, random: torch.Generator) -> dict[str, Tensor]:
    return {"inputs": _events(random, neurons)}


def _run_moments(backend: ModuleType, case: Case, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(zip(("mean", "covariance"), backend.moments(*leaves.values()), strict=True))


def _draw_ternary(case: Case, neurons: int, random: torch.Generator) -> dict[str, Tensor]:
    return {
        "features": _integers(random, (_STEPS, _CLIPS, neurons), 1 / 16),
        "threshold": torch.tensor(0.4),
    }


def _run_ternary(backend: ModuleType, case: Case, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"events": backend.ternary(*leaves.values(), SURROGATES[case.surrogate])}


_Draw = Callable[[Case, int, torch.Generator], dict[str, Tensor]]
_Run = Callable[[ModuleType, Case, dict[str, Tensor]], dict[str, Tensor]]

_DRAWS: dict[str, _Draw] = {
    "layer": _draw_layer,
    "spike_linear": _draw_spike_linear,
    "moments": _draw_moments,
    "ternary": _draw_ternary,
}
_RUNS: dict[str, _Run] = {
    "layer": _run_layer,
    "spike_linear": _run_spike_linear,
    "moments": _run_moments,
    "ternary": _run_ternary,
}
