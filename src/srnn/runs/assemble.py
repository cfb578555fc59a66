# SPDX-License-Identifier: MPL-2.0
"""From a configuration to the parts of a run: task, feature specification, network, device."""

from srnn.config import Config
from srnn.data.task import Task
from srnn.features.reference import MelSpec
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import AdaptiveCurrent, AdaptiveThreshold, Neuron, Normal, Uniform
from srnn.network.readout import Readout
from srnn.network.surrogate import SURROGATES


def make_network(config: Config, classes: int) -> SpikingNetwork:
    """Return a network with fresh weights, drawn from torch's global random generator."""
    srnn = config.srnn
    return SpikingNetwork(
        MelSpec.from_keys(config.mel, srnn).inputs,
        srnn.layer_sizes,
        classes,
        last_class_readouts=srnn.unknown_readouts,
        bias=srnn.bias,
        neuron=_make_neuron(config),
        recurrent=srnn.recurrent_layers,
        batch_norm=srnn.batch_norm,
        dropout=srnn.dropout,
        encoder_threshold=srnn.encoder_threshold if srnn.encoder == "ternary" else None,
        readout=Readout(
            srnn.readout, srnn.readout_scale, Normal(*srnn.tau_readout, srnn.tau_range)
        ),
        backend=srnn.backend,
    )


def _make_neuron(config: Config) -> Neuron:
    srnn = config.srnn
    surrogate = SURROGATES[srnn.surrogate]
    if srnn.neuron == "adaptive_current":
        return AdaptiveCurrent(
            alpha=Uniform.of_decays(*srnn.tau_mem_range),
            rho=Uniform.of_decays(*srnn.tau_adapt_range),
            surrogate=surrogate,
        )
    return AdaptiveThreshold(
        threshold=srnn.threshold,
        adaptation=srnn.adaptation,
        tau_mem=Normal(*srnn.tau_mem, srnn.tau_range),
        tau_adapt=Normal(*srnn.tau_adapt, srnn.tau_range),
        surrogate=surrogate,
    )


def make_task(config: Config) -> Task:
    """Return what the data set of ``config`` is prepared for."""
    srnn = config.srnn
    return Task(config.data, srnn.sample_rate, srnn.size, srnn.seed)
