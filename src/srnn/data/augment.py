# SPDX-License-Identifier: MPL-2.0
"""Variations of training clips: what else speaker, room and microphone might have made of them.

Waveforms in, waveforms out, in plain torch on any device. Which clip is varied how is drawn ahead,
as a table of random numbers with a row for each clip that an epoch presents: a function of seed,
epoch and place in the epoch, whatever the batches are and wherever training was interrupted. The
table goes to the device once an epoch, and nothing waits for a device afterwards.

Legend: N clips of an epoch, B batch, S samples of a clip, K taps of a filter, n blocks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srnn.data.corpus import Clip
from srnn.data.labels import BACKGROUND
from srnn.data.levels import FULL_SCALE
from srnn.data.silence import Background
from srnn.randomness import Purpose, generator

_BLOCK = 100  # samples that are resampled at a time: hence speeds in steps of 1 %
_CROSSINGS = 12  # zeros of a filter's sinc on either side
_KAISER = 8.0  # shape of its window: what is folded back is 80 dB down


@dataclass(frozen=True)
class Augmentation:
    """How far clips are varied.

    Attributes
    ----------
    shift : int >= 0
        Most samples by which a clip is moved, either way.
    speed : int, 0 to 50
        Most percent by which it is faster or slower, and higher or lower with it.
    volume : float >= 0
        Most decibels by which it is louder or quieter.
    noise : float, 0 to 1
        How probably background noise is added.
    noise_level : float >= 0
        Largest peak of that noise, of 1 as full scale.
    fresh_silence : bool
        Whether silence is cut anew from its recording.
    """

    shift: int = 0
    speed: int = 0
    volume: float = 0.0
    noise: float = 0.0
    noise_level: float = 0.1
    fresh_silence: bool = False

    @property
    def changes_nothing(self) -> bool:
        """Whether every clip stays as it is."""
        return not (self.shift or self.speed or self.volume or self.noise or self.fresh_silence)


class _Draws(NamedTuple):
    """A table's columns, each of shape (B,), float64, uniform in [0, 1)."""

    shift: Tensor
    speed: Tensor
    volume: Tensor
    noise: Tensor
    noise_level: Tensor
    recording: Tensor
    noise_start: Tensor
    silence_start: Tensor


class Augmenter:
    """Varies the training clips of a corpus.

    Parameters
    ----------
    augmentation : Augmentation
    background : Background
        Of the corpus, on the device that the clips will be on; with recordings, if noise is added.
    clips : sequence of Clip
        The training partition.
    seed : int >= 0
    """

    def __init__(
        self,
        augmentation: Augmentation,
        background: Background,
        clips: Sequence[Clip],
        seed: int,
    ) -> None:
        self.augmentation = augmentation
        self._device = background.samples.device
        self._background = background
        # The background recording that a clip is cut from; -1: it is a word.
        places = {name: place for place, name in enumerate(background.names)}
        silence = [places[c.name] if c.word == BACKGROUND else -1 for c in clips]
        self._silence = torch.tensor(silence, dtype=torch.int64, device=self._device)
        self._seed = seed
        self._resampler = _Resampler(augmentation.speed, augmentation.shift).to(self._device)

    def draw(self, epoch: int, count: int) -> Tensor:
        """Return the random numbers of the first ``count`` clips of an epoch, a row each."""
        rng = generator(Purpose.AUGMENTATION, self._seed, epoch)
        return torch.from_numpy(rng.random((count, len(_Draws._fields)))).to(self._device)

    def __call__(self, waveforms: Tensor, clips: Tensor, rows: Tensor) -> Tensor:
        """Return variations of some training clips, shape (B, S), float32.

        Parameters
        ----------
        waveforms : Tensor, shape (B, S), int16 or float32 in [-1, 1)
        clips : Tensor, shape (B,), int64
            Which training clips they are.
        rows : Tensor, shape (B, ...)
            Their rows of `draw`.
        """
        settings, draws = self.augmentation, _Draws(*rows.T)
        if not waveforms.is_floating_point():
            waveforms = waveforms / FULL_SCALE
        if settings.fresh_silence:
            waveforms = self._with_fresh_silence(waveforms, clips, draws)
        shifts = _between(-settings.shift, settings.shift, draws.shift)
        if settings.shift and not settings.speed:
            waveforms = _shifted(waveforms, shifts, settings.shift)
        if settings.speed:
            percents = 100 + _between(-settings.speed, settings.speed, draws.speed)
            waveforms = self._resampler(waveforms, percents, shifts)
        if settings.volume:
            decibels = settings.volume * (2 * draws.volume - 1)
            waveforms = waveforms * _column(10 ** (decibels / 20))
        if settings.noise:
            recordings = (draws.recording * len(self._background.names)).long()
            noise = self._background.cuts(recordings, draws.noise_start)
            levels = settings.noise_level * draws.noise_level * (draws.noise < settings.noise)
            peaks = noise.abs().amax(dim=1, keepdim=True)
            waveforms = torch.addcmul(
                waveforms, noise, _column(levels) / torch.where(peaks > 0, peaks, 1)
            )
        return waveforms

    def _with_fresh_silence(self, waveforms: Tensor, clips: Tensor, draws: _Draws) -> Tensor:
        if not self._background.names:
            return waveforms
        recordings = self._silence[clips]
        # Cut for every clip: which ones are silence, only the device knows.
        cuts = self._background.cuts(recordings.clamp(min=0), draws.silence_start)
        return torch.where(recordings[:, None] >= 0, cuts, waveforms)


def _column(values: Tensor) -> Tensor:
    return values.float()[:, None]


def _between(low: int, high: int, uniform: Tensor) -> Tensor:
    """Return integers from low to high, both included, for numbers in [0, 1)."""
    return low + (uniform * (high - low + 1)).long()


def _windows(waveforms: Tensor, starts: Tensor, width: int, margin: int) -> Tensor:
    """Return the windows of waveforms (B, S) that start at some samples (B, n): (B, n, width).

    Beyond the ends of a waveform are zeros; no window may reach further than ``margin`` of them.
    """
    padded = F.pad(waveforms, (margin, margin))
    rows = torch.arange(len(waveforms), device=waveforms.device)[:, None]
    return padded.unfold(1, width, 1)[rows, starts + margin]


def _shifted(waveforms: Tensor, shifts: Tensor, most: int) -> Tensor:
    """Return waveforms (B, S), each later by some samples (B,), at ``most`` so many either way."""
    return _windows(waveforms, -shifts[:, None], waveforms.shape[1], most)[:, 0]


class _Resampler(nn.Module):
    """Plays waveforms faster or slower, and higher or lower with it, in steps of 1 %.

    At p % of the speed a block of 100 samples comes out of p samples, each through a windowed sinc
    of its own; where p > 100, that leaves out what would be folded back.

    Parameters
    ----------
    most : int, 0 to 50
        Largest change (%).
    shift : int >= 0
        Most samples by which a waveform is moved, either way.
    """

    filters: Tensor  # (1 + 2 most, K, block)

    def __init__(self, most: int, shift: int) -> None:
        super().__init__()
        self.most = most
        self.shift = shift
        self.lowest = 100 - most
        self.reach = math.ceil(_CROSSINGS * (100 + most) / 100)  # samples on either side
        speeds = np.arange(self.lowest, 100 + most + 1)[:, None, None] / 100
        taps = np.arange(-self.reach, 100 + most + self.reach)[:, None]
        distance = taps - np.arange(_BLOCK) * speeds  # from the place that a sample comes from
        cutoff = np.minimum(1, 1 / speeds)
        within = np.maximum(0, 1 - (distance * cutoff / _CROSSINGS) ** 2)
        filters = np.sinc(distance * cutoff) * np.i0(_KAISER * np.sqrt(within)) * (within > 0)
        filters /= filters.sum(axis=1, keepdims=True)
        self.register_buffer("filters", torch.from_numpy(filters.astype(np.float32)))

    def forward(self, waveforms: Tensor, percents: Tensor, shifts: Tensor) -> Tensor:
        """Return waveforms (B, S) at some speeds (B,), each later by some samples (B,).

        The middle of a clip stays where it is, but for the shift.
        """
        size = waveforms.shape[1]
        # Where in a waveform, to the nearest sample, lies what becomes its first one.
        first = torch.round(size / 2 - (size / 2 + shifts.double()) * percents / 100).long()
        steps = torch.arange(-(-size // _BLOCK), device=waveforms.device)
        starts = first[:, None] - self.reach + steps * percents[:, None]  # (B, n)
        width = self.filters.shape[1]
        # At the highest speed, ends lie half of ``most`` % of a waveform outside of it.
        margin = width + size * self.most // 200 + self.shift * (100 + self.most) // 100
        windows = _windows(waveforms, starts, width, margin)  # (B, n, K)
        return torch.bmm(windows, self.filters[percents - self.lowest]).flatten(1)[:, :size]
