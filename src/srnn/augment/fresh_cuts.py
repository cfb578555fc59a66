# SPDX-License-Identifier: MPL-2.0
"""Clips that are cut anew from their recordings in every epoch: silence and negatives."""

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


class FreshNegativesKeys(Keys):
    """Fresh negatives."""

    fresh_negatives: bool = key(
        False,
        "whether clips of `data.negatives` are cut at a new random position in every epoch, as "
        "long as a clip; their recordings are kept in memory, 230 MB an hour",
        idle_if={"data.negatives": ()},
    )


class _FreshCuts(WaveformAugmentation):
    """Replaces some clips by another cut of the recording that they are cut from.

    Parameters
    ----------
    recordings : Background
    sources : Tensor, shape (clips,), int64
        For each training clip, the recording that it is cut from; -1: it stays.
    peaks : Peaks, optional
        See `WaveformContext`.
    """

    def __init__(self, recordings: Background, sources: Tensor, peaks: Peaks | None = None) -> None:
        self.recordings = recordings
        self.sources = sources
        self.peaks = peaks

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return where in its recording each cut is, and its peak if that is drawn, (count, n)."""
        if not self.peaks:
            return rng.random((count, 1))
        draws = rng.random((count, 3))
        return np.stack([draws[:, 0], self.peaks(draws[:, 1:])], axis=1)

    def __call__(self, waveforms: Tensor, draws: Tensor, clips: Tensor) -> Tensor:
        """Return waveforms, some of them replaced."""
        sources = self.sources[clips]
        if sources.device.type == "cpu":
            rows = (sources >= 0).nonzero()[:, 0]
            return waveforms.index_copy(0, rows, self._cuts(sources[rows], draws[rows]))
        # The host does not wait for a GPU to learn which clips are to be replaced.
        cuts = self._cuts(sources.clamp(min=0), draws)
        return torch.where(sources[:, None] >= 0, cuts, waveforms)

    def _cuts(self, sources: Tensor, draws: Tensor) -> Tensor:
        peaks = draws[:, 1] if self.peaks else None
        return self.recordings.cuts(sources, draws[:, 0], peaks)


class FreshSilence(_FreshCuts):
    """Replaces a clip of silence by another cut of its background recording."""

    name: ClassVar[str] = "fresh_silence"
    keys: ClassVar[type[Keys]] = FreshSilenceKeys

    @classmethod
    def make(cls, keys: FreshSilenceKeys, context: WaveformContext) -> Self | None:
        """Return the augmentation, or None, also if there is no silence among the clips."""
        has_silence = bool((context.silence >= 0).any())
        if not (keys.fresh_silence and has_silence):
            return None
        return cls(context.background, context.silence, context.silence_peaks)


class FreshNegatives(_FreshCuts):
    """Replaces a clip of negatives by another cut of its recording, as long as a clip."""

    name: ClassVar[str] = "fresh_negatives"
    keys: ClassVar[type[Keys]] = FreshNegativesKeys

    @classmethod
    def make(cls, keys: FreshNegativesKeys, context: WaveformContext) -> Self | None:
        """Return the augmentation, or None, also if there are no negatives among the clips."""
        if not keys.fresh_negatives or context.negatives is None:
            return None
        return cls(*context.negatives)
