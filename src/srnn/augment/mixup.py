# SPDX-License-Identifier: MPL-2.0
"""Mixtures of two clips and their labels (mixup).

Zhang et al. 2018 (https://arxiv.org/abs/1710.09412), on features.

Legend: B batch, C channels, T frames, M mel bands.
"""

from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.augment.augmentation import FeatureAugmentation, FeatureContext, neighbours
from srnn.settings import Keys, key


class MixupKeys(Keys):
    """Mixup."""

    mixup: float = key(
        0.0,
        "mixup alpha: two clips and their labels are mixed with a weight drawn from "
        "Beta(alpha, alpha); 0: no mixup",
        ge=0,
        le=100,
    )


class Mixup(FeatureAugmentation):
    """Mixes each clip with its neighbour in the batch.

    Parameters
    ----------
    alpha : float > 0
        Of the beta distribution (alpha, alpha) of the mixup weight lambda: uniform where it is 1,
        mostly near 0 and 1 where it is small.
    """

    name: ClassVar[str] = "mixup"
    keys: ClassVar[type[Keys]] = MixupKeys
    mixes: ClassVar[bool] = True

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    @classmethod
    def make(cls, keys: MixupKeys, context: FeatureContext) -> Self | None:
        """Return the augmentation, or None."""
        return cls(keys.mixup) if keys.mixup else None

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return the mixup weight lambda of each clip's own features, 0.5 to 1, (count, 1)."""
        weights = rng.beta(self.alpha, self.alpha, (count, 1))
        return np.maximum(weights, 1 - weights)

    def __call__(self, features: Tensor, draws: Tensor) -> Tensor:
        """Return mixtures of features (B, C, T, M) and those of their `neighbours`."""
        by_time = features.transpose(1, 2)  # as they lie in memory
        mixed = torch.lerp(neighbours(by_time), by_time, draws.float()[:, :, None, None])
        return mixed.transpose(1, 2)

    def own_weights(self, draws: Tensor) -> Tensor:
        """Return the mixup weight lambda, shape (B,)."""
        return draws[:, 0].float()
