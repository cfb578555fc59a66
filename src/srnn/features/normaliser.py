# SPDX-License-Identifier: MPL-2.0
"""Normalisation of features over examples, for each channel and mel band.

Legend: B batch, C channels, T frames, M mel bands.
"""

from collections.abc import Iterable
from functools import reduce
from typing import Literal

import torch
from torch import Tensor

from srnn.parallel import ALONE, Group, OfWholeBatches
from srnn.settings import Keys, key


class NormalisationKeys(Keys):
    """The normalisation of the features."""

    normalisation: Literal["dataset", "standardise", "batch"] = key(
        "dataset",
        "feature normalisation for each channel and mel band: `dataset` divides by the "
        "standard deviation over the training partition; `standardise` also subtracts the mean "
        "first; `batch` divides by the standard deviation of the current batch, as the "
        "reference implementation does (a prediction then depends on the other clips of its "
        "batch)",
        shapes_weights=True,
    )


def std(chunks: Iterable[Tensor], group: Group = ALONE) -> Tensor:
    """Return the population standard deviation over examples and time, shape (C, M); 0 becomes 1.

    See `moments`.
    """
    return moments(chunks, group)[1]


def moments(chunks: Iterable[Tensor], group: Group = ALONE) -> tuple[Tensor, Tensor]:
    """Return mean and population standard deviation over examples and time, both of shape (C, M).

    A standard deviation of 0 becomes 1. Only one chunk at a time is in memory.

    Parameters
    ----------
    chunks : iterable of Tensor, shapes (B, C, T, M)
        The examples, at least one; with several processes those that this one has, which may be
        none of a chunk. Sums are taken in float64, whatever their type.
    group : Group
        The processes that have a share of the examples.
    """
    total: Tensor | None = None
    for chunk in chunks:
        values = chunk.transpose(1, 2).flatten(0, 1).double()  # (B T, C, M)
        mean = values.sum(dim=0) / max(1, len(values))
        squares = (values - mean).square().sum(dim=0)
        found = torch.stack([torch.full_like(mean, len(values)), mean, squares])
        total = found if total is None else _combined(total, found)
    assert total is not None
    count, mean, squares = reduce(_combined, group.all_gather(total))
    std = (squares / count).sqrt().to(chunk.dtype)
    return mean.to(chunk.dtype), torch.where(std > 0, std, 1)


def _combined(one: Tensor, other: Tensor) -> Tensor:
    """Combine counts, means and sums of squares around them, shape (3, C, M), of two samples.

    By equation 2.1 of Chan, Golub and LeVeque (1979, "Updating formulae and a pairwise algorithm
    for computing sample variances").
    """
    (count, mean, squares), (more, its_mean, its_squares) = one, other
    both = count + more
    shift, fraction = its_mean - mean, more / both.clamp(min=1)
    return torch.stack(
        [
            both,
            mean + shift * fraction,
            squares + its_squares + shift.square() * (count * fraction),
        ]
    )


class Normaliser(OfWholeBatches):
    """Divides features by the standard deviation of the training partition, or of each batch.

    The mean of the training partition may be subtracted first.

    Parameters
    ----------
    scale : Tensor, shape (C, M), or None
        The `std` of the data set. None divides each batch by its own, as the reference
        implementation does: a prediction then depends on the other clips of the batch.
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
        scale = std([features], self.group) if self.scale is None else self.scale
        return features / scale[:, None]
