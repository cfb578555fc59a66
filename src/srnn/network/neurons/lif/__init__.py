# SPDX-License-Identifier: MPL-2.0
"""The leaky integrate-and-fire neuron: its definition, and its functions for the kernels."""

from srnn.network.neurons.lif.definition import LeakyIntegrateAndFire as Definition

__all__ = ["Definition"]
