# SPDX-License-Identifier: MPL-2.0
"""Vocal tract length perturbation: the mel axis is stretched.

Jaitly and Hinton 2013 (VTLP), here as a linear interpolation between mel bands. Unlike a change of
speed it leaves time alone.

Legend: B batch, C channels, T frames, M mel bands.
"""

from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.augment.augmentation import FeatureAugmentation, FeatureContext
from srnn.settings import Keys, key


class WarpKeys(Keys):
    """Vocal tract length perturbation."""

    warp: float = key(
        0.0,
        "vocal tract length perturbation (VTLP): maximum stretch of the mel axis in either "
        "direction",
        "fraction",
        ge=0,
        le=0.5,
    )


class Warp(FeatureAugmentation):
    """Stretches the mel bands of a clip.

    Parameters
    ----------
    maximum : float, 0 < maximum <= 0.5
        Largest relative stretch in either direction.
    """

    name: ClassVar[str] = "warp"
    keys: ClassVar[type[Keys]] = WarpKeys

    def __init__(self, maximum: float) -> None:
        self.maximum = maximum

    @classmethod
    def make(cls, keys: WarpKeys, context: FeatureContext) -> Self | None:
        """Return the augmentation, or None."""
        return cls(keys.warp) if keys.warp else None

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return the stretches, shape (count, 1)."""
        return rng.uniform(1 - self.maximum, 1 + self.maximum, (count, 1))

    def __call__(self, features: Tensor, draws: Tensor) -> Tensor:
        """Return features (B, C, T, M) whose band m is what was at m times a clip's stretch.

        Above the highest band its value is repeated.
        """
        batch, channels, frames, bands = features.shape
        places = torch.arange(bands, device=features.device)
        sources = (places * draws.float()).clamp(max=bands - 1)  # (B, M)
        # The weight of each band (rows) in each new one (columns): (B, M, M).
        weights = (1 - (sources[:, None, :] - places[:, None]).abs()).clamp(min=0)
        by_time = features.transpose(1, 2)  # as they lie in memory
        warped = torch.bmm(by_time.reshape(batch, frames * channels, bands), weights)
        return warped.view(batch, frames, channels, bands).transpose(1, 2)
