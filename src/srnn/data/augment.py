# SPDX-License-Identifier: MPL-2.0
"""Variations of training clips: what else speaker, room and microphone might have made of them.

Waveforms in, waveforms out, in plain torch on any device. Which clip is varied how is drawn ahead,
as a table of random numbers with a row for each clip that an epoch presents: a function of seed,
epoch and place in the epoch, whatever the batches are and wherever training was interrupted.

Legend: N clips of an epoch, B batch, S samples of a clip, K taps of a filter, n blocks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from srnn.data import audio
from srnn.data.corpus import BACKGROUND, Clip, Corpus
from srnn.randomness import Purpose, generator

_FULL_SCALE = 2**15  # of 16-bit samples
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
    """A table's columns, each of shape (N,), uniform in [0, 1)."""

    shift: NDArray[np.float64]
    speed: NDArray[np.float64]
    volume: NDArray[np.float64]
    noise: NDArray[np.float64]
    noise_level: NDArray[np.float64]
    recording: NDArray[np.float64]
    noise_start: NDArray[np.float64]
    silence_start: NDArray[np.float64]


class Background:
    """The training stretches of all background recordings, in memory one behind the other.

    Parameters
    ----------
    corpus : Corpus
    size : int
        Length S of what is cut from them; a shorter stretch gets zeros on both sides.
    sample_rate : int
        Rate they are brought to (Hz).
    device : torch.device
        Where they lie.

    Attributes
    ----------
    names : list of str
        The file names of the recordings; there may be none.
    samples : Tensor, float32 in [-1, 1)
    """

    def __init__(self, corpus: Corpus, size: int, sample_rate: int, device: torch.device) -> None:
        pack = corpus.packs["training"]
        stretches = corpus.background("training")
        heard = []
        for stretch in stretches:
            samples = pack[stretch.name][stretch.start : stretch.start + stretch.frames]
            waveform = audio.at_rate(samples, stretch.sample_rate, sample_rate)
            missing = max(0, size - len(waveform))
            heard.append(np.pad(waveform, (missing // 2, missing - missing // 2)))
        self.names = [stretch.name.partition("/")[2] for stretch in stretches]
        self._size = size
        lengths = np.array([len(waveform) for waveform in heard], np.int64)
        self._offsets = np.cumsum(lengths) - lengths
        self._starts = lengths - size + 1  # places where a cut may start
        everything = np.concatenate([*heard, np.zeros(0, np.float32)])
        self.samples = torch.from_numpy(everything).to(device)

    def cuts(self, recordings: NDArray[np.int64], places: NDArray[np.float64]) -> Tensor:
        """Return cuts, shape (B, S), float32 in [-1, 1).

        Parameters
        ----------
        recordings : shape (B,)
            Indices into ``names``.
        places : shape (B,), in [0, 1)
            From the first place possible in the recording to the last.
        """
        starts = self._offsets[recordings] + (places * self._starts[recordings]).astype(np.int64)
        indices = torch.from_numpy(starts).to(self.samples.device)
        return self.samples.unfold(0, self._size, 1)[indices]


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
        self._background = background
        # The background recording that a clip is cut from; -1: it is a word.
        places = {name: place for place, name in enumerate(background.names)}
        silence = [places[c.path.name] if c.word == BACKGROUND else -1 for c in clips]
        self._silence = np.array(silence, np.int64)
        self._seed = seed
        self._resampler = _Resampler(augmentation.speed).to(background.samples.device)

    def draw(self, epoch: int, count: int) -> NDArray[np.float64]:
        """Return the random numbers of the first ``count`` clips of an epoch, a row each."""
        rng = generator(Purpose.AUGMENTATION, self._seed, epoch)
        return rng.random((count, len(_Draws._fields)))

    def __call__(
        self, waveforms: Tensor, clips: NDArray[np.int64], rows: NDArray[np.float64]
    ) -> Tensor:
        """Return variations of some training clips, shape (B, S), float32.

        Parameters
        ----------
        waveforms : Tensor, shape (B, S), int16 or float32 in [-1, 1)
        clips : shape (B,)
            Which training clips they are.
        rows : shape (B, ...)
            Their rows of `draw`.
        """
        settings, draws = self.augmentation, _Draws(*rows.T)
        device = waveforms.device
        if not waveforms.is_floating_point():
            waveforms = waveforms / _FULL_SCALE
        if settings.fresh_silence:
            waveforms = self._with_fresh_silence(waveforms, clips, draws)
        shifts = _between(-settings.shift, settings.shift, draws.shift)
        if settings.shift and not settings.speed:
            waveforms = _shifted(waveforms, shifts)
        if settings.speed:
            percents = 100 + _between(-settings.speed, settings.speed, draws.speed)
            waveforms = self._resampler(waveforms, percents, shifts)
        if settings.volume:
            decibels = settings.volume * (2 * draws.volume - 1)
            waveforms = waveforms * _column(10 ** (decibels / 20), device)
        if settings.noise:
            recordings = (draws.recording * len(self._background.names)).astype(np.int64)
            noise = self._background.cuts(recordings, draws.noise_start)
            levels = settings.noise_level * draws.noise_level * (draws.noise < settings.noise)
            peaks = noise.abs().amax(dim=1, keepdim=True)
            waveforms = torch.addcmul(
                waveforms, noise, _column(levels, device) / torch.where(peaks > 0, peaks, 1)
            )
        return waveforms

    def _with_fresh_silence(
        self, waveforms: Tensor, clips: NDArray[np.int64], draws: _Draws
    ) -> Tensor:
        rows = np.flatnonzero(self._silence[clips] >= 0)
        if not len(rows):
            return waveforms
        cuts = self._background.cuts(self._silence[clips[rows]], draws.silence_start[rows])
        return waveforms.index_copy(0, torch.from_numpy(rows).to(waveforms.device), cuts)


def _column(values: NDArray[np.float64], device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device)[:, None]


def _between(low: int, high: int, uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return integers from low to high, both included, for numbers in [0, 1)."""
    return low + np.floor(uniform * (high - low + 1)).astype(np.int64)


def _windows(waveforms: Tensor, starts: NDArray[np.int64], width: int) -> Tensor:
    """Return the windows of waveforms (B, S) that start at some samples (B, n): (B, n, width).

    Beyond the ends of a waveform are zeros.
    """
    size, device = waveforms.shape[1], waveforms.device
    before, after = max(0, -int(starts.min())), max(0, int(starts.max()) + width - size)
    padded = F.pad(waveforms, (before, after))
    rows = torch.arange(len(waveforms), device=device)[:, None]
    return padded.unfold(1, width, 1)[rows, torch.from_numpy(starts + before).to(device)]


def _shifted(waveforms: Tensor, shifts: NDArray[np.int64]) -> Tensor:
    """Return waveforms (B, S), each later by some samples (B,)."""
    return _windows(waveforms, -shifts[:, None], waveforms.shape[1])[:, 0]


class _Resampler(nn.Module):
    """Plays waveforms faster or slower, and higher or lower with it, in steps of 1 %.

    At p % of the speed a block of 100 samples comes out of p samples, each through a windowed sinc
    of its own; where p > 100, that leaves out what would be folded back.

    Parameters
    ----------
    most : int, 0 to 50
        Largest change (%).
    """

    filters: Tensor  # (1 + 2 most, K, block)

    def __init__(self, most: int) -> None:
        super().__init__()
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

    def forward(
        self, waveforms: Tensor, percents: NDArray[np.int64], shifts: NDArray[np.int64]
    ) -> Tensor:
        """Return waveforms (B, S) at some speeds (B,), each later by some samples (B,).

        The middle of a clip stays where it is, but for the shift.
        """
        size = waveforms.shape[1]
        # Where in a waveform, to the nearest sample, lies what becomes its first one.
        first = np.rint(size / 2 - (size / 2 + shifts) * percents / 100).astype(np.int64)
        blocks = np.arange(-(-size // _BLOCK)) * percents[:, None]  # (B, n)
        windows = _windows(
            waveforms, first[:, None] - self.reach + blocks, self.filters.shape[1]
        )  # (B, n, K)
        chosen = torch.from_numpy(percents - self.lowest).to(waveforms.device)
        return torch.bmm(windows, self.filters[chosen]).flatten(1)[:, :size]
