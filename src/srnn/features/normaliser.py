# SPDX-License-Identifier: MPL-2.0
"""Normalisation of features over examples: each channel and band gets a comparable spread.

Legend: N examples, B batch, C channels, T frames, M mel bands.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_CHUNK = 1024  # examples whose float64 copies are in memory at a time


def spread(features: Tensor) -> Tensor:
    """Return the population standard deviation over examples and time, shape (C, M); 0 becomes 1.

    Parameters
    ----------
    features : Tensor, shape (N, C, T, M), N >= 1
        Sums are taken in float64, whatever its type.
    """
    count = features.shape[0] * features.shape[2]
    mean = _total(chunk.double() for chunk in features.split(_CHUNK)) / count
    squares = ((chunk.double() - mean).square() for chunk in features.split(_CHUNK))
    deviation = (_total(squares) / count).sqrt().squeeze(1).to(features.dtype)
    return torch.where(deviation > 0, deviation, 1)


def _total(chunks: Iterable[Tensor]) -> Tensor:
    """Sum over examples and time, shape (C, 1, M)."""
    return torch.stack([chunk.sum(dim=(0, 2)) for chunk in chunks]).sum(dim=0)[:, None]


class Normaliser(nn.Module):
    """Divides features by their spread: the training partition's, or that of each batch.

    Parameters
    ----------
    scale : Tensor, shape (C, M), or None
        The `spread` of the data set. None divides each batch by its own, as the reference
        implementation does: what is said of a clip then depends on its batch-mates.
    """

    scale: Tensor | None

    def __init__(self, scale: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("scale", scale)

    def forward(self, features: Tensor) -> Tensor:
        """Normalise features of shape (B, C, T, M)."""
        scale = spread(features) if self.scale is None else self.scale
        return features / scale[:, None]
