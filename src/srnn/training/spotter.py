# SPDX-License-Identifier: MPL-2.0
"""The model that is trained and saved: normaliser and network."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from srnn.errors import InputError
from srnn.features.normaliser import Normaliser
from srnn.network.learnable import learnables
from srnn.network.model import Output, SpikingNetwork
from srnn.parallel import Share


class Spotter(nn.Module):
    """Maps features (B, C, T, M), not yet normalised, to an `srnn.network.model.Output`."""

    def __init__(self, normaliser: Normaliser, network: SpikingNetwork) -> None:
        super().__init__()
        self.normaliser = normaliser
        self.network = network

    def forward(self, features: Tensor, share: Share | None = None) -> Output:
        """Normalise and classify a batch of features, or a process's share of it."""
        output: Output = self.network(self.normaliser(features), share)
        return output


def load_weights(spotter: Spotter, weights: Mapping[str, Tensor], source: str) -> None:
    """Replace the weights of a spotter by ``weights``, which were read from the file ``source``.

    Raises
    ------
    InputError
        If they are those of another network, or out of range.
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
    bounds = {name: each.bounds for name, each in learnables(spotter).items() if each.bounds}
    for name, tensor in weights.items():
        if name == "normaliser.scale":
            lowest, highest = torch.finfo(tensor.dtype).tiny, math.inf
        elif name in bounds:
            lowest, highest = torch.tensor(bounds[name]).tolist()  # rounded as the weights are
        else:
            continue
        if tensor.min() < lowest or tensor.max() > highest:
            raise InputError(
                f"{source}: expected {name} from {lowest:g} to {highest:g}, found "
                f"{tensor.min():g} to {tensor.max():g}"
            )
    # A spotter on the meta device has no memory: the weights become its parameters.
    spotter.load_state_dict(weights, assign=any(tensor.is_meta for tensor in own.values()))
