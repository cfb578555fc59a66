# SPDX-License-Identifier: MPL-2.0
"""The kinds of neurons: a folder each, the base class that they share, and the registry."""

from srnn.network.neurons.adaptive_current import Definition as AdaptiveCurrent
from srnn.network.neurons.adaptive_threshold import Definition as AdaptiveThreshold
from srnn.network.neurons.base import Neuron, State, Update
from srnn.network.neurons.distributions import Normal, Uniform
from srnn.network.neurons.registry import NEURONS, register_neuron

__all__ = [
    "NEURONS",
    "AdaptiveCurrent",
    "AdaptiveThreshold",
    "Neuron",
    "Normal",
    "State",
    "Uniform",
    "Update",
    "register_neuron",
]
