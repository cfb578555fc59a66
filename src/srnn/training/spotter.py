# SPDX-License-Identifier: MPL-2.0
"""What is trained and saved as one: the normaliser and the network behind it."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from srnn.config import Config
from srnn.errors import InputError
from srnn.features.normaliser import Normaliser
from srnn.network.model import Output, SpikingNetwork
from srnn.runs.checkpoint import Checkpoint
from srnn.training.assemble import make_network, make_spec


class Spotter(nn.Module):
    """Maps raw features (B, C, T, M) to the log-probabilities of the labels, and the spikes."""

    def __init__(self, normaliser: Normaliser, network: SpikingNetwork) -> None:
        super().__init__()
        self.normaliser = normaliser
        self.network = network

    def forward(self, features: Tensor) -> Output:
        """Normalise and classify a batch of features."""
        output: Output = self.network(self.normaliser(features))
        return output


def load_weights(
    spotter: Spotter, weights: Mapping[str, Tensor], config: Config, source: str
) -> None:
    """Put ``weights`` from a file, ``source``, in the place of the spotter's own.

    Raises
    ------
    InputError
        If they are those of another network than ``config`` describes, or out of range.
    """
    own = spotter.state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in own.items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise InputError(
                f"{source}: expected {name} of shape {expected.get(name, 'none')}, as its "
                f"configuration describes it, found {found.get(name, 'none')}"
            )
    for name, tensor in weights.items():
        if name.rpartition(".")[2].startswith("tau_"):
            # Rounded as the weights are.
            lowest, highest = torch.tensor(config.srnn.tau_range).tolist()
        elif name == "normaliser.scale":
            lowest, highest = torch.finfo(tensor.dtype).tiny, math.inf
        else:
            continue
        if tensor.min() < lowest or tensor.max() > highest:
            raise InputError(
                f"{source}: expected {name} from {lowest:g} to {highest:g}, found "
                f"{tensor.min():g} to {tensor.max():g}"
            )
    # Of a spotter without memory of its own, the weights become the parameters themselves.
    spotter.load_state_dict(weights, assign=any(tensor.is_meta for tensor in own.values()))


def restore_spotter(checkpoint: Checkpoint, source: str) -> Spotter:
    """Return the network of a checkpoint, which was read from ``source``, on the CPU.

    Raises
    ------
    InputError
        If its weights do not fit its configuration.
    """
    config = checkpoint.parsed_config()
    with torch.device("meta"):  # no memory for what the file may not hold, nothing drawn at random
        channels, _, bands = make_spec(config).shape
        normalisation, measured = config.data.normalisation, torch.empty(channels, bands)
        normaliser = Normaliser(
            None if normalisation == "batch" else measured,
            measured if normalisation == "standardise" else None,
        )
        spotter = Spotter(normaliser, make_network(config, len(checkpoint.labels)))
    load_weights(spotter, checkpoint.weights, config, source)
    return spotter
