# SPDX-License-Identifier: MPL-2.0
"""What is trained and saved as one: the normaliser and the network behind it."""

from torch import Tensor, nn

from srnn.features.normaliser import Normaliser
from srnn.network.model import Output, SpikingNetwork


class Spotter(nn.Module):
    """Maps raw features (B, C, T, M) to the log-probabilities of the labels."""

    def __init__(self, normaliser: Normaliser, network: SpikingNetwork) -> None:
        super().__init__()
        self.normaliser = normaliser
        self.network = network

    def forward(self, features: Tensor) -> Output:
        """Normalise and classify a batch of features."""
        output: Output = self.network(self.normaliser(features))
        return output
