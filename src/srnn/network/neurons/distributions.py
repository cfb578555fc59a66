# SPDX-License-Identifier: MPL-2.0
"""The distributions that the learnable parameters of neurons and readouts are drawn from."""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import nn


@dataclass(frozen=True)
class Normal:
    """A normal distribution, clamped: where time constants start, in time steps.

    Attributes
    ----------
    mean, std : float
    bounds : tuple of two floats, 0 < lowest < highest
        A time constant at or below zero turns the whole layer into NaN. What is drawn outside the
        bounds is moved to the nearer one; training keeps the parameter between them.
    """

    mean: float
    std: float
    bounds: tuple[float, float] = (0.1, 10_000.0)

    group = "tau"

    def draw(self, count: int) -> nn.Parameter:
        """Return ``count`` values, shape (count,)."""
        drawn = torch.normal(self.mean, self.std, (count,))
        return nn.Parameter(drawn.clamp(*self.bounds))


@dataclass(frozen=True)
class Uniform:
    """A uniform distribution between two values, which are the parameter's bounds too."""

    lowest: float
    highest: float

    group = ""

    @classmethod
    def of_decays(cls, fastest: float, slowest: float) -> Self:
        """Return the distribution of exp(-1 / tau) between two time constants tau, in steps."""
        return cls(math.exp(-1 / fastest), math.exp(-1 / slowest))

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value."""
        return self.lowest, self.highest

    def draw(self, count: int) -> nn.Parameter:
        """Return ``count`` values, shape (count,)."""
        return nn.Parameter(torch.empty(count).uniform_(self.lowest, self.highest))
