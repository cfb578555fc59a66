# SPDX-License-Identifier: MPL-2.0
"""From a checkpoint to the network in it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from srnn.features.normaliser import Normaliser
from srnn.runs.checkpoint import Checkpoint
from srnn.runs.parts import network_of, spec_of
from srnn.training.spotter import Spotter, load_weights


def restore_spotter(checkpoint: Checkpoint, source: str) -> Spotter:
    """Return the network of a checkpoint, which was read from ``source``, on the CPU.

    Raises
    ------
    InputError
        If its weights do not fit its configuration.
    """
    config = checkpoint.parsed_config()
    with torch.device("meta"), _WithoutDraws():  # the weights are those of the checkpoint
        channels, _, bands = spec_of(config).shape
        normalisation, measured = config.data.normalisation, torch.empty(channels, bands)
        normaliser = Normaliser(
            None if normalisation == "batch" else measured,
            measured if normalisation == "standardise" else None,
        )
        spotter = Spotter(normaliser, network_of(config, len(checkpoint.labels)))
    load_weights(spotter, checkpoint.weights, source)
    return spotter


def parameters_of(checkpoint: Checkpoint, source: str) -> int:
    """Return the number of parameters of the network in training, see `restore_spotter`."""
    network = restore_spotter(checkpoint, source).network
    return sum(parameter.numel() for parameter in network.parameters())


class _WithoutDraws(TorchFunctionMode):
    """Leaves tensors as they are where they would be filled with random numbers.

    On the meta device there is nothing to fill, but torch imports `torch._dynamo` for it, which
    takes a second.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in (torch.Tensor.normal_, torch.Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))
