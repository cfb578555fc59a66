# SPDX-License-Identifier: MPL-2.0
"""Shifts in time."""

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from srnn.augment.augmentation import (
    WaveformAugmentation,
    WaveformContext,
    uniform_integers,
    windows,
)
from srnn.settings import Keys, key


class ShiftKeys(Keys):
    """Time shift."""

    shift: float = key(
        0.0,
        "time shift: maximum in either direction; the gap is filled with zeros",
        "ms",
        ge=0,
        le=10_000,
    )


class Shift(WaveformAugmentation):
    """Moves a clip earlier or later.

    Parameters
    ----------
    maximum : int > 0
        Largest shift in either direction (samples).
    """

    name: ClassVar[str] = "shift"
    keys: ClassVar[type[Keys]] = ShiftKeys

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum

    @classmethod
    def make(cls, keys: ShiftKeys, context: WaveformContext) -> Self | None:
        """Return the augmentation, or None."""
        maximum = min(context.size, round(keys.shift * context.sample_rate / 1000))
        return cls(maximum) if maximum else None

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return where in its range each shift is, shape (count, 1)."""
        return rng.random((count, 1))

    def __call__(self, waveforms: Tensor, draws: Tensor, clips: Tensor) -> Tensor:
        """Return shifted waveforms, with zeros in the gap."""
        shifts = uniform_integers(-self.maximum, self.maximum, draws)
        return windows(waveforms, -shifts, waveforms.shape[1], self.maximum)[:, 0]
