# SPDX-License-Identifier: MPL-2.0
"""Words backwards, which count as `_unknown_`: sounds of speech, in many voices, that are no words.

Legend: B batch, S samples of a clip.
"""

from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.augment.augmentation import WaveformAugmentation, WaveformContext
from srnn.settings import Keys, key


class ReversalKeys(Keys):
    """Time reversal."""

    reversal: float = key(
        0.0,
        "time reversal: probability that a clip of a word is played backwards, and counts as "
        "`_unknown_`",
        ge=0,
        le=1,
        idle_if={"data.unknown": False},
    )


class Reversal(WaveformAugmentation):
    """Reverses words in time.

    Parameters
    ----------
    probability : float, 0 < probability <= 1
        Of a word.
    silence : Tensor, shape (clips,), int64
        See `WaveformContext`.
    """

    name: ClassVar[str] = "reversal"
    keys: ClassVar[type[Keys]] = ReversalKeys
    relabels: ClassVar[bool] = True

    def __init__(self, probability: float, silence: Tensor) -> None:
        self.probability = probability
        self.words = silence < 0
        self._on_host = self.words.cpu()

    @classmethod
    def make(cls, keys: ReversalKeys, context: WaveformContext) -> Self | None:
        """Return the augmentation, or None, also if there is no class `_unknown_`."""
        if not keys.reversal or context.labels is None:
            return None
        return cls(keys.reversal, context.silence)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return what decides whether each clip is reversed, shape (count, 1)."""
        return rng.random((count, 1))

    def unknown(self, draws: Tensor, clips: Tensor) -> Tensor:
        """Return which clips of a batch are reversed, shape (B,), bool."""
        words = self._on_host if clips.device.type == "cpu" else self.words
        return (draws[:, 0] < self.probability) & words[clips]

    def __call__(self, waveforms: Tensor, draws: Tensor, clips: Tensor) -> Tensor:
        """Return waveforms, some of them reversed."""
        reverse = self.unknown(draws, clips)
        return torch.where(reverse[:, None], waveforms.flip(1), waveforms)
