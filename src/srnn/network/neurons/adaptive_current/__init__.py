# SPDX-License-Identifier: MPL-2.0
"""The adaptive-current neuron: its definition, and its functions for the kernels."""

from srnn.network.neurons.adaptive_current.definition import AdaptiveCurrent as Definition

__all__ = ["Definition"]
