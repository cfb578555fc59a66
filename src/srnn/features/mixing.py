# SPDX-License-Identifier: MPL-2.0
"""Mixtures of training clips, whose labels are mixed with them.

Zhang et al. 2018 (mixup, https://arxiv.org/abs/1710.09412), on features. The random numbers are a
table with an entry for each clip that an epoch presents: a function of seed, epoch and place in the
epoch.

Legend: B batch, C channels, T frames, M mel bands.
"""

import numpy as np
import torch
from torch import Tensor

from srnn.randomness import Purpose, generator


class Mixer:
    """Mixes each training clip with its neighbour in the batch.

    Parameters
    ----------
    alpha : float > 0
        Shares are drawn from the beta distribution (alpha, alpha): evenly where it is 1, mostly
        near 0 and 1 where it is small.
    seed : int >= 0
    """

    def __init__(self, alpha: float, seed: int) -> None:
        self.alpha = alpha
        self._seed = seed

    def draw(self, epoch: int, count: int) -> Tensor:
        """Return what the first ``count`` clips of an epoch have of their mixtures, shape (count,).

        From 0.5 to 1: never less than the neighbour.
        """
        shares = generator(Purpose.MIXTURES, self._seed, epoch).beta(self.alpha, self.alpha, count)
        return torch.from_numpy(np.maximum(shares, 1 - shares)).float()

    def __call__(self, features: Tensor, shares: Tensor) -> Tensor:
        """Return mixtures of features (B, C, T, M), with ``shares`` (B,) of their own in them.

        The rest is that of their `neighbours`.
        """
        by_time = features.transpose(1, 2)  # as they lie in memory
        mixed = torch.lerp(neighbours(by_time), by_time, shares[:, None, None, None])
        return mixed.transpose(1, 2)


def neighbours(batch: Tensor) -> Tensor:
    """Return what the clips of a batch (B, ...) are mixed with, or its labels.

    Of each it is the one before, of the first the last.
    """
    return batch.roll(1, dims=0)
