# SPDX-License-Identifier: MPL-2.0
"""Volume perturbation."""

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from srnn.augment.augmentation import WaveformAugmentation, WaveformContext
from srnn.settings import Keys, key


class VolumeKeys(Keys):
    """Volume perturbation."""

    volume: float = key(
        0.0,
        "volume perturbation: maximum gain in either direction; what exceeds full scale is clipped",
        "dB",
        ge=0,
        le=100,
    )


class Volume(WaveformAugmentation):
    """Makes a clip louder or quieter.

    Parameters
    ----------
    maximum : float > 0
        Largest gain in either direction (dB); gains are uniform in dB.
    """

    name: ClassVar[str] = "volume"
    keys: ClassVar[type[Keys]] = VolumeKeys

    def __init__(self, maximum: float) -> None:
        self.maximum = maximum

    @classmethod
    def make(cls, keys: VolumeKeys, context: WaveformContext) -> Self | None:
        """Return the augmentation, or None."""
        return cls(keys.volume) if keys.volume else None

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return the gains (dB), shape (count, 1)."""
        return rng.uniform(-self.maximum, self.maximum, (count, 1))

    def __call__(self, waveforms: Tensor, draws: Tensor, clips: Tensor) -> Tensor:
        """Return louder or quieter waveforms, clipped at full scale."""
        return (waveforms * (10 ** (draws / 20)).float()).clamp(-1, 1)
