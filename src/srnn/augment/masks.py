# SPDX-License-Identifier: MPL-2.0
"""Masks over time and over mel bands (SpecAugment).

Park et al. 2019 (https://arxiv.org/abs/1904.08779), without its warping of time.

Legend: B batch, C channels, T frames, M mel bands, m masks of a clip.
"""

from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.augment.augmentation import FeatureAugmentation, FeatureContext
from srnn.settings import MANY, STEPS, Keys, key


class TimeMaskKeys(Keys):
    """Time masks."""

    time_masks: int = key(
        0,
        "SpecAugment time masks: number of masks for each clip; masked features are set to the "
        "value that is 0 after normalisation",
        ge=0,
        le=100,
    )
    time_mask: int = key(
        10,
        "SpecAugment time masks: maximum width, drawn uniformly from 0 to this value",
        STEPS,
        ge=0,
        le=MANY,
        idle_if={"augment.time_masks": 0},
    )


class BandMaskKeys(Keys):
    """Frequency masks."""

    band_masks: int = key(
        0, "SpecAugment frequency masks: number of masks for each clip", ge=0, le=100
    )
    band_mask: int = key(
        8,
        "SpecAugment frequency masks: maximum width, drawn uniformly from 0 to this value",
        "mel bands",
        ge=0,
        le=1024,
        idle_if={"augment.band_masks": 0},
    )


class _Masks(FeatureAugmentation):
    """Covers ranges of one axis of the features.

    Parameters
    ----------
    count : int > 0
        Masks of a clip.
    maximum : int >= 0
        Largest width; widths are uniform from 0 on.
    masked : Tensor, shape (C, M)
        See `FeatureContext`.
    """

    axis: ClassVar[int]  # of (B, C, T, M)

    def __init__(self, count: int, maximum: int, masked: Tensor) -> None:
        self.count = count
        self.maximum = maximum
        self.masked = masked[:, None]

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return width and place of each mask, in [0, 1), shape (count, 2 m)."""
        return rng.random((count, 2 * self.count))

    def __call__(self, features: Tensor, draws: Tensor) -> Tensor:
        """Cover parts of features (B, C, T, M), in place; return them."""
        length = features.shape[self.axis]
        widths = (draws[:, 0::2, None] * (min(self.maximum, length) + 1)).floor()  # (B, m, 1)
        starts = (draws[:, 1::2, None] * (length - widths + 1)).floor()
        places = torch.arange(length, device=draws.device)
        covered = ((places >= starts) & (places < starts + widths)).any(dim=1)  # (B, length)
        shape = [len(features), 1, 1, 1]
        shape[self.axis] = length
        return torch.where(covered.view(shape), self.masked, features, out=features)


class TimeMasks(_Masks):
    """Covers frames, in all bands."""

    name: ClassVar[str] = "time_masks"
    keys: ClassVar[type[Keys]] = TimeMaskKeys
    axis = 2

    @classmethod
    def make(cls, keys: TimeMaskKeys, context: FeatureContext) -> Self | None:
        """Return the augmentation, or None."""
        return cls(keys.time_masks, keys.time_mask, context.masked) if keys.time_masks else None


class BandMasks(_Masks):
    """Covers mel bands, at all times."""

    name: ClassVar[str] = "band_masks"
    keys: ClassVar[type[Keys]] = BandMaskKeys
    axis = 3

    @classmethod
    def make(cls, keys: BandMaskKeys, context: FeatureContext) -> Self | None:
        """Return the augmentation, or None."""
        return cls(keys.band_masks, keys.band_mask, context.masked) if keys.band_masks else None
