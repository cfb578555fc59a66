# SPDX-License-Identifier: MPL-2.0
"""A batch of examples, or the share of it that one of several processes has.

Legend: B batch, C channels, T frames, M mel bands.
"""

from collections.abc import Callable
from typing import NamedTuple, Self

import torch
from torch import Tensor

from srnn.parallel import Share


class Batch(NamedTuple):
    """A batch of examples.

    Attributes
    ----------
    features : Tensor, shape (B, C, T, M), float32
    labels : Tensor, shape (B,), int64
    targets : Tensor, shape (B,), int64
        The output of the readout that is trained, see `srnn.data.corpus.targets_of`.
    mixed_targets : Tensor, shape (B,), int64
        The target of what else is in each example, if it is a mixture (mixup).
    weights : Tensor, shape (B,), float32
        Mixup weight lambda of ``targets``; the rest of 1 is that of ``mixed_targets``.
    share : Share
        The place of these examples among those of all processes.
    """

    features: Tensor
    labels: Tensor
    targets: Tensor
    mixed_targets: Tensor
    weights: Tensor
    share: Share

    @classmethod
    def unmixed(
        cls,
        features: Tensor,
        labels: Tensor,
        targets: Tensor | None = None,
        share: Share | None = None,
    ) -> Self:
        """Return a batch of unmixed examples.

        By default the targets are the labels, and there is no other process.
        """
        targets = labels if targets is None else targets
        weights = torch.ones_like(labels, dtype=torch.float32)
        return cls(features, labels, targets, targets, weights, share or Share(0, len(labels)))

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """All but the share."""
        return self.features, self.labels, self.targets, self.mixed_targets, self.weights

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Return a batch with every tensor changed."""
        features, labels, targets, mixed_targets, weights = map(change, self.tensors)
        return type(self)(features, labels, targets, mixed_targets, weights, self.share)
