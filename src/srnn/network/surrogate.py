# SPDX-License-Identifier: MPL-2.0
"""The spike function and its surrogate gradients.

A neuron spikes where its potential exceeds its threshold: the Heaviside step, whose derivative is
zero wherever it exists. Training replaces that derivative by a bump around the threshold.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Surrogate:
    """A surrogate gradient: replaces the derivative of the step function.

    Attributes
    ----------
    name : str
        What configurations call it.
    derivative : Callable
        Maps the distance to the threshold, of any shape, to dH/dx of the same shape.
    """

    name: str
    derivative: Callable[[Tensor], Tensor]


def spike(distance: Tensor, surrogate: Surrogate) -> Tensor:
    """Return 1 where ``distance`` to the threshold is above 0, else 0, differentiable by surrogate.

    Parameters
    ----------
    distance : Tensor
        Potential minus threshold, of any shape and floating-point type.
    surrogate : Surrogate
        What the gradient is multiplied by on its way back.
    """
    spikes: Tensor = _Spike.apply(distance, surrogate)
    return spikes


class _Spike(torch.autograd.Function):
    generate_vmap_rule = True  # for the transforms of torch.func

    @staticmethod
    def forward(distance: Tensor, surrogate: Surrogate) -> Tensor:
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def setup_context(context: Any, inputs: tuple[Tensor, Surrogate], output: Tensor) -> None:
        distance, context.surrogate = inputs
        context.save_for_backward(distance)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (distance,) = context.saved_tensors
        return gradient * context.surrogate.derivative(distance), None


# All four are half of the bump that their authors give: the reference implementation scales by 0.5.
_SCALE = 0.5
_WIDTH = 0.5  # standard deviation of the central Gaussian
_HEIGHT = 0.15  # weight of the side lobes
_LOBE_WIDTH = 6 * _WIDTH


def _gaussian(x: Tensor, mean: float, std: float) -> Tensor:
    peak = 1 / (std * math.sqrt(2 * math.pi))
    return peak * torch.exp(-((x - mean) ** 2) / (2 * std**2))


def _multi_gaussian_derivative(x: Tensor) -> Tensor:
    centre = _gaussian(x, 0.0, _WIDTH)
    lobes = _gaussian(x, _WIDTH, _LOBE_WIDTH) + _gaussian(x, -_WIDTH, _LOBE_WIDTH)
    return _SCALE * ((1 + _HEIGHT) * centre - _HEIGHT * lobes)


def _gaussian_derivative(x: Tensor) -> Tensor:
    return _SCALE * _gaussian(x, 0.0, _WIDTH)


def _linear_derivative(x: Tensor) -> Tensor:
    return _SCALE * torch.relu(1 - x.abs())


def _slayer_derivative(x: Tensor) -> Tensor:
    return _SCALE * torch.exp(-5 * x.abs())


MULTI_GAUSSIAN = Surrogate("multi_gaussian", _multi_gaussian_derivative)
"""A Gaussian with two shallow negative lobes (Yin, Corradi and Bohté 2021, the multi-Gaussian)."""

GAUSSIAN = Surrogate("gaussian", _gaussian_derivative)
"""A single Gaussian (Yin, Corradi and Bohté 2020)."""

LINEAR = Surrogate("linear", _linear_derivative)
"""A triangle (Bellec et al. 2018; Esser et al. 2016)."""

SLAYER = Surrogate("slayer", _slayer_derivative)
"""A two-sided exponential (Shrestha and Orchard 2018)."""

SURROGATES = {each.name: each for each in (MULTI_GAUSSIAN, GAUSSIAN, LINEAR, SLAYER)}
