# SPDX-License-Identifier: MPL-2.0
"""The parts that a configuration describes; each is constructed from its own keys."""

from srnn.config import Config
from srnn.data.task import Task
from srnn.features.reference import MelSpec
from srnn.network.model import SpikingNetwork


def task_of(config: Config) -> Task:
    """Return the task of a configuration."""
    return Task(config.data, config.srnn.sample_rate, config.srnn.size, config.srnn.seed)


def spec_of(config: Config) -> MelSpec:
    """Return the features of a clip."""
    return MelSpec.from_keys(config.mel, config.srnn)


def network_of(config: Config, classes: int) -> SpikingNetwork:
    """Return a network with fresh weights, drawn from torch's global random generator."""
    return SpikingNetwork.from_keys(config.srnn, spec_of(config).inputs, classes)
