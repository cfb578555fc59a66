# SPDX-License-Identifier: MPL-2.0
"""Non-words: the beginning of one word and the end of another, which count as `_unknown_`.

They teach that half of a keyword is none, in the voices and rooms of the keywords themselves.

Legend: B batch, S samples of a clip.
"""

from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.augment.augmentation import WaveformAugmentation, WaveformContext, neighbours
from srnn.settings import Keys, key

_MIDDLE = (0.35, 0.65)  # of the energy of a word, where it is cut
_FADE = 0.02  # from one word to the other (s)
_QUIET = 1e-4  # peak of a clip that is not made louder (fraction of full scale)


class NonwordKeys(Keys):
    """Non-words."""

    nonwords: float = key(
        0.0,
        "non-words: probability that a clip of a word continues, from the middle of its energy on, "
        "with the other half of the clip before it in the batch, and counts as `_unknown_`; clips "
        "before which the same class or silence comes stay as they are",
        ge=0,
        le=1,
        idle_if={"data.unknown": False},
    )


class Nonwords(WaveformAugmentation):
    """Joins the beginning of a word and the end of its neighbour's in the batch.

    Parameters
    ----------
    probability : float, 0 < probability <= 1
        Of a word that it is joined, if its neighbour is a word of another class.
    silence, labels : Tensor, shape (clips,), int64
        See `WaveformContext`.
    sample_rate : int
        Samples a second (Hz).
    """

    name: ClassVar[str] = "nonwords"
    keys: ClassVar[type[Keys]] = NonwordKeys
    mixes: ClassVar[bool] = True
    relabels: ClassVar[bool] = True

    def __init__(
        self, probability: float, silence: Tensor, labels: Tensor, sample_rate: int
    ) -> None:
        self.probability = probability
        self.labels = torch.where(silence < 0, labels, -1)
        self._on_host = self.labels.cpu()
        self.fade = max(1, round(_FADE * sample_rate))

    @classmethod
    def make(cls, keys: NonwordKeys, context: WaveformContext) -> Self | None:
        """Return the augmentation, or None, also if there is no class `_unknown_`."""
        if not keys.nonwords or context.labels is None:
            return None
        return cls(keys.nonwords, context.silence, context.labels, context.sample_rate)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return what decides whether, and where, each clip is cut, shape (count, 2)."""
        return rng.random((count, 2))

    def unknown(self, draws: Tensor, clips: Tensor) -> Tensor:
        """Return which clips of a batch are joined, shape (B,), bool."""
        own = (self._on_host if clips.device.type == "cpu" else self.labels)[clips]
        other = neighbours(own)
        return (draws[:, 0] < self.probability) & (own >= 0) & (other >= 0) & (own != other)

    def __call__(self, waveforms: Tensor, draws: Tensor, clips: Tensor) -> Tensor:
        """Return waveforms, some of them joined with their neighbours'."""
        low, high = _MIDDLE
        fractions = low + (high - low) * draws[:, 1]
        others = neighbours(waveforms)
        places, theirs = _places(waveforms, fractions), _places(others, fractions)
        peaks = waveforms.abs().amax(dim=1, keepdim=True).clamp(min=_QUIET)
        others = others * (peaks / neighbours(peaks))
        # The neighbour's middle comes to where the clip is cut; beyond its ends are zeros.
        size = waveforms.shape[1]
        time = torch.arange(size, device=waveforms.device)
        sources = time + (theirs - places)[:, None]
        moved = others.gather(1, sources.clamp(0, size - 1))
        moved = moved * ((sources >= 0) & (sources < size))
        fading = ((time - places[:, None]) / self.fade + 0.5).clamp(0, 1)
        joined = torch.lerp(waveforms, moved, fading)
        return torch.where(self.unknown(draws, clips)[:, None], joined, waveforms)


def _places(waveforms: Tensor, fractions: Tensor) -> Tensor:
    """Return where waveforms (B, S) reach fractions (B,) of their energy, shape (B,), int64."""
    energy = waveforms.square().cumsum(dim=1)
    return (energy < fractions.float()[:, None] * energy[:, -1:]).sum(dim=1)
