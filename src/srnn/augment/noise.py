# SPDX-License-Identifier: MPL-2.0
"""Background noise that is added to clips."""

from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.augment.augmentation import Background, WaveformAugmentation, WaveformContext
from srnn.settings import Keys, key


class NoiseKeys(Keys):
    """Background noise."""

    noise: float = key(
        0.0,
        "background noise: probability that a cut of a background recording is added to a clip",
        ge=0,
        le=1,
    )
    noise_level: float = key(
        0.1,
        "background noise: maximum peak of the added noise, drawn uniformly from 0 to this value",
        "fraction of full scale",
        ge=0,
        le=100,
        idle_if={"augment.noise": 0},
    )


class Noise(WaveformAugmentation):
    """Adds a cut of a background recording to a clip.

    Parameters
    ----------
    probability : float, 0 < probability <= 1
        Of a clip that noise is added to it.
    level : float >= 0
        Largest peak of the noise, where 1 is full scale; peaks are uniform from 0 on.
    background : Background
        With at least one recording.
    """

    name: ClassVar[str] = "noise"
    keys: ClassVar[type[Keys]] = NoiseKeys

    def __init__(self, probability: float, level: float, background: Background) -> None:
        self.probability = probability
        self.level = level
        self.background = background

    @classmethod
    def make(cls, keys: NoiseKeys, context: WaveformContext) -> Self | None:
        """Return the augmentation, or None."""
        return cls(keys.noise, keys.noise_level, context.background) if keys.noise else None

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return recording, place in it, and peak of the noise, shape (count, 3)."""
        recordings, places, peaks, chances = rng.random((count, 4)).T
        recordings = np.floor(recordings * len(self.background.names))
        peaks = self.level * peaks * (chances < self.probability)
        return np.stack([recordings, places, peaks], axis=1)

    def __call__(self, waveforms: Tensor, draws: Tensor, clips: Tensor) -> Tensor:
        """Return waveforms with noise."""
        recordings, places, levels = draws.T
        noise = self.background.cuts(recordings.long(), places)
        peaks = noise.abs().amax(dim=1, keepdim=True)
        gains = levels.float()[:, None] / torch.where(peaks > 0, peaks, 1)
        return torch.addcmul(waveforms, noise, gains)
