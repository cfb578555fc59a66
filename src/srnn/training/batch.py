# SPDX-License-Identifier: MPL-2.0
"""A batch of examples.

Legend: B batch, C channels, T frames, M mel bands.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor


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
    """

    features: Tensor
    labels: Tensor
    targets: Tensor
    mixed_targets: Tensor
    weights: Tensor

    @classmethod
    def unmixed(cls, features: Tensor, labels: Tensor, targets: Tensor | None = None) -> Self:
        """Return a batch of unmixed examples; by default the targets are the labels."""
        targets = labels if targets is None else targets
        weights = torch.ones_like(labels, dtype=torch.float32)
        return cls(features, labels, targets, targets, weights)
