# SPDX-License-Identifier: MPL-2.0
"""Optimizer group and bounds of each learnable parameter."""

from typing import NamedTuple, Protocol, runtime_checkable

from torch import nn


class Learnable(NamedTuple):
    """Optimizer group and bounds of one learnable parameter.

    Attributes
    ----------
    group : str
        "weights" (with biases), "norm", "encoder", or, for a parameter of neurons and readout,
        "tau" or its own name. A group has one learning rate.
    bounds : tuple of two floats, or None
        The lowest and the highest value that training may lead to.
    """

    group: str
    bounds: tuple[float, float] | None = None


@runtime_checkable
class HasLearnables(Protocol):
    """A module with learnable parameters of its own that are not plain weights."""

    def learnables(self) -> dict[str, Learnable]:
        """Return group and bounds of the parameters, by their names within the module."""


def learnables(network: nn.Module) -> dict[str, Learnable]:
    """Return group and bounds of every parameter of ``network``, by name, in order."""
    found = {name: Learnable("weights") for name, _ in network.named_parameters()}
    for path, module in network.named_modules():
        if isinstance(module, HasLearnables):
            prefix = f"{path}." if path else ""
            found |= {prefix + name: each for name, each in module.learnables().items()}
    return found
