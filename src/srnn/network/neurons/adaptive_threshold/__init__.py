# SPDX-License-Identifier: MPL-2.0
"""The adaptive-threshold neuron: its definition, and its functions for the kernels."""

from srnn.network.neurons.adaptive_threshold.definition import AdaptiveThreshold as Definition

__all__ = ["Definition"]
