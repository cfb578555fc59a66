# SPDX-License-Identifier: MPL-2.0
"""Normalisation of features over examples: each channel and band gets a comparable spread.

Legend: N examples, B batch, C channels, T frames, M mel bands.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def spread(chunks: Iterable[Tensor]) -> Tensor:
    """Return the population standard deviation over examples and time, shape (C, M); 0 becomes 1.

    See `moments`.
    """
    return moments(chunks)[1]


def moments(chunks: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return mean and population standard deviation over examples and time, both of shape (C, M).

    A deviation of 0 becomes 1. Each chunk is looked at once and only one at a time is in memory;
    what they add up to is due to Chan, Golub and LeVeque (1979, "Updating formulae and a pairwise
    algorithm for computing sample variances", equation 2.1).

    Parameters
    ----------
    chunks : iterable of Tensor, shapes (B, C, T, M)
        The examples, at least one. Sums are taken in float64, whatever their type.
    """
    count, mean, squares = 0, torch.zeros(()), torch.zeros(())
    for chunk in chunks:
        values = chunk.transpose(1, 2).flatten(0, 1).double()  # (B T, C, M)
        more = len(values)
        its_mean = values.sum(dim=0) / more
        shift = its_mean - mean
        squares = squares + (values - its_mean).square().sum(dim=0)
        squares = squares + shift.square() * (count * more / (count + more))
        mean = mean + shift * (more / (count + more))
        count += more
    deviation = (squares / count).sqrt().to(chunk.dtype)
    return mean.to(chunk.dtype), torch.where(deviation > 0, deviation, 1)


class Normaliser(nn.Module):
    """Divides features by their spread: the training partition's, or that of each batch.

    What is subtracted before, if anything, is the training partition's mean.

    Parameters
    ----------
    scale : Tensor, shape (C, M), or None
        The `spread` of the data set. None divides each batch by its own, as the reference
        implementation does: what is said of a clip then depends on its batch-mates.
    mean : Tensor, shape (C, M), optional
        What is subtracted first; nothing, where there is none.
    """

    scale: Tensor | None
    mean: Tensor | None

    def __init__(self, scale: Tensor | None, mean: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("mean", mean)

    def forward(self, features: Tensor) -> Tensor:
        """Normalise features of shape (B, C, T, M)."""
        if self.mean is not None:
            features = features - self.mean[:, None]
        scale = spread([features]) if self.scale is None else self.scale
        return features / scale[:, None]
