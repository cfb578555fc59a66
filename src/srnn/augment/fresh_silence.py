# SPDX-License-Identifier: MPL-2.0
"""Silence that is cut anew in every epoch."""

from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.augment.augmentation import Background, Peaks, WaveformAugmentation, WaveformContext
from srnn.settings import Keys, key


class FreshSilenceKeys(Keys):
    """Fresh silence."""

    fresh_silence: bool = key(
        False,
        "whether silence clips are cut at a new random position in every epoch",
        idle_if={"data.silence": False},
    )


class FreshSilence(WaveformAugmentation):
    """Replaces a clip of silence by another cut of its background recording.

    Parameters
    ----------
    background : Background
    silence : Tensor, shape (clips,), int64
    peaks : Peaks, optional
        See `WaveformContext`.
    """

    name: ClassVar[str] = "fresh_silence"
    keys: ClassVar[type[Keys]] = FreshSilenceKeys

    def __init__(self, background: Background, silence: Tensor, peaks: Peaks | None = None) -> None:
        self.background = background
        self.silence = silence
        self.peaks = peaks

    @classmethod
    def make(cls, keys: FreshSilenceKeys, context: WaveformContext) -> Self | None:
        """Return the augmentation, or None, also if there is no silence among the clips."""
        has_silence = bool((context.silence >= 0).any())
        wanted = keys.fresh_silence and has_silence
        if not wanted:
            return None
        return cls(context.background, context.silence, context.silence_peaks)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return where in its recording each cut is, and its peak if that is drawn, (count, n)."""
        if not self.peaks:
            return rng.random((count, 1))
        draws = rng.random((count, 3))
        return np.stack([draws[:, 0], self.peaks(draws[:, 1:])], axis=1)

    def __call__(self, waveforms: Tensor, draws: Tensor, clips: Tensor) -> Tensor:
        """Return waveforms, those of silence replaced."""
        recordings = self.silence[clips]
        # Cut for every clip, because only the device has read which ones are silence.
        peaks = draws[:, 1] if self.peaks else None
        cuts = self.background.cuts(recordings.clamp(min=0), draws[:, 0], peaks)
        return torch.where(recordings[:, None] >= 0, cuts, waveforms)
