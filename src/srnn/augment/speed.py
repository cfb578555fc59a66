# SPDX-License-Identifier: MPL-2.0
"""Speed perturbation: clips are resampled, which changes their pitch, too.

Ko et al. 2015, "Audio augmentation for speech recognition" (Interspeech).

Legend: B batch, S samples of a clip, K taps of a filter, w blocks.
"""

import math
from collections.abc import Iterator
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.augment.augmentation import (
    WaveformAugmentation,
    WaveformContext,
    uniform_integers,
    windows,
)
from srnn.settings import BrokenRelation, Keys, key

_BLOCK = 100  # samples that are resampled at a time: hence speeds in steps of 1 %
_CROSSINGS = 12  # zeros of a filter's sinc on either side
_KAISER = 8.0  # shape of its window: aliasing is 80 dB down


class SpeedKeys(Keys):
    """Speed perturbation."""

    speed: float = key(
        0.0,
        "speed perturbation by resampling, which also changes the pitch: maximum change in "
        "either direction, a multiple of 0.01",
        "fraction of the speed",
        ge=0,
        le=0.5,
    )

    def broken_relations(self) -> Iterator[BrokenRelation]:
        """Yield what is wrong with a speed between two steps."""
        if abs(100 * self.speed - round(100 * self.speed)) > 1e-9:
            yield BrokenRelation(("augment.speed",), "a multiple of 0.01", self.speed)


class Speed(WaveformAugmentation):
    """Plays a clip faster or slower, and higher or lower with it, in steps of 1 %.

    At p % of the speed a block of 100 samples is computed from p samples, each through a windowed
    sinc of its own; where p > 100, it removes what would be aliased.

    Parameters
    ----------
    maximum : int, 1 to 50
        Largest change in either direction (%).
    device : torch.device
    """

    name: ClassVar[str] = "speed"
    keys: ClassVar[type[Keys]] = SpeedKeys

    def __init__(self, maximum: int, device: torch.device) -> None:
        self.maximum = maximum
        self._lowest = 100 - maximum
        self._reach = math.ceil(_CROSSINGS * (100 + maximum) / 100)  # samples on either side
        speeds = np.arange(self._lowest, 100 + maximum + 1)[:, None, None] / 100
        taps = np.arange(-self._reach, 100 + maximum + self._reach)[:, None]
        distance = taps - np.arange(_BLOCK) * speeds  # from the place that a sample comes from
        cutoff = np.minimum(1, 1 / speeds)
        within = np.maximum(0, 1 - (distance * cutoff / _CROSSINGS) ** 2)
        filters = np.sinc(distance * cutoff) * np.i0(_KAISER * np.sqrt(within)) * (within > 0)
        filters /= filters.sum(axis=1, keepdims=True)
        # (1 + 2 maximum, K, block)
        self._filters = torch.from_numpy(filters.astype(np.float32)).to(device)

    @classmethod
    def make(cls, keys: SpeedKeys, context: WaveformContext) -> Self | None:
        """Return the augmentation, or None."""
        maximum = round(100 * keys.speed)
        return cls(maximum, context.device) if maximum else None

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return where in its range each speed is, shape (count, 1)."""
        return rng.random((count, 1))

    def __call__(self, waveforms: Tensor, draws: Tensor, clips: Tensor) -> Tensor:
        """Return waveforms at other speeds; the middle of a clip stays where it is."""
        percents = 100 + uniform_integers(-self.maximum, self.maximum, draws)  # (B, 1)
        size, width = waveforms.shape[1], self._filters.shape[1]
        # The sample, to the nearest, that becomes the first one.
        first = torch.round(size / 2 - size / 2 * percents.double() / 100).long()
        steps = torch.arange(-(-size // _BLOCK), device=waveforms.device)
        starts = first - self._reach + steps * percents  # (B, w)
        # At the highest speed, half of ``maximum`` % of a waveform is missing at either end.
        margin = width + size * self.maximum // 200
        blocks = windows(waveforms, starts, width, margin)  # (B, w, K)
        filters = self._filters[percents[:, 0] - self._lowest]
        return torch.bmm(blocks, filters).flatten(1)[:, :size]
