# SPDX-License-Identifier: MPL-2.0
"""Background noise that is added to clips."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, Strict
from torch import Tensor
from torch.linalg import vector_norm

from srnn.augment.augmentation import Background, WaveformAugmentation, WaveformContext
from srnn.settings import BrokenRelation, Keys, key

Measure = Literal["peak", "snr"]
_Decibels = Annotated[float, Field(ge=-100, le=100)]
_Range = Annotated[
    tuple[
        Annotated[_Decibels, Field(title="low")],
        Annotated[_Decibels, Field(title="high")],
    ],
    Strict(False),
]


class NoiseKeys(Keys):
    """Background noise."""

    noise: float = key(
        0.0,
        "background noise: probability that a cut of a background recording is added to a clip",
        ge=0,
        le=1,
    )
    noise_measure: Measure = key(
        "peak",
        "background noise: how its volume is drawn: `peak`, by `noise_level`, whatever the clip; "
        "`snr`, relative to the clip, by `noise_snr`",
        idle_if={"augment.noise": 0},
    )
    noise_level: float = key(
        0.1,
        "background noise: maximum peak of the added noise, drawn uniformly from 0 to this value",
        "fraction of full scale",
        ge=0,
        le=100,
        idle_if={"augment.noise": 0},
        idle_unless={"augment.noise_measure": "peak"},
    )
    noise_snr: _Range = key(
        (0.0, 40.0),
        "background noise: range of the signal-to-noise ratio, the power of the clip relative to "
        "that of the noise, drawn uniformly",
        "dB",
        idle_if={"augment.noise": 0},
        idle_unless={"augment.noise_measure": "snr"},
    )

    def broken_relations(self) -> Iterator[BrokenRelation]:
        """Yield what is wrong with the range of signal-to-noise ratios."""
        low, high = self.noise_snr
        if low > high:
            yield BrokenRelation(("augment.noise_snr",), "the lower limit first", self.noise_snr)


class Noise(WaveformAugmentation):
    """Adds a cut of a background recording to a clip.

    Parameters
    ----------
    probability : float, 0 < probability <= 1
        Of a clip that noise is added to it.
    limits : (float, float)
        Lowest and highest peak (1 is full scale) or signal-to-noise ratio (dB), drawn uniformly.
    background : Background
        With at least one recording.
    measure
        What ``limits`` are, see `NoiseKeys`.
    """

    name: ClassVar[str] = "noise"
    keys: ClassVar[type[Keys]] = NoiseKeys

    def __init__(
        self,
        probability: float,
        limits: tuple[float, float],
        background: Background,
        measure: Measure = "peak",
    ) -> None:
        self.probability = probability
        self.measure = measure
        self.limits = limits
        self.background = background

    @classmethod
    def make(cls, keys: NoiseKeys, context: WaveformContext) -> Self | None:
        """Return the augmentation, or None."""
        if not keys.noise:
            return None
        limits = keys.noise_snr if keys.noise_measure == "snr" else (0.0, keys.noise_level)
        return cls(keys.noise, limits, context.background, keys.noise_measure)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return recording, place in it, and level of the noise, shape (count, 3).

        The level is a peak, or the ratio of the amplitudes of noise and clip; 0: no noise.
        """
        recordings, places, levels, chances = rng.random((count, 4)).T
        recordings = np.floor(recordings * len(self.background.names))
        low, high = self.limits
        levels = low + (high - low) * levels
        if self.measure == "snr":
            levels = 10 ** (-levels / 20)
        levels = levels * (chances < self.probability)
        return np.stack([recordings, places, levels], axis=1)

    def __call__(self, waveforms: Tensor, draws: Tensor, clips: Tensor) -> Tensor:
        """Return waveforms with noise."""
        recordings, places, levels = draws.T
        noise = self.background.cuts(recordings.long(), places)
        levels = levels.float()[:, None]
        if self.measure == "snr":
            loudness = vector_norm(noise, dim=1, keepdim=True)
            levels = levels * vector_norm(waveforms, dim=1, keepdim=True)
        else:
            loudness = noise.abs().amax(dim=1, keepdim=True)
        gains = levels / torch.where(loudness > 0, loudness, 1)
        return torch.addcmul(waveforms, noise, gains)
