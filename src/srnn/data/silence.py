# SPDX-License-Identifier: MPL-2.0
"""Silence, cut from background recordings; each partition has stretches of its own.

A recording that states no partition is divided in time into three disjoint stretches, 80 % for
training, 10 % for validation, 10 % for testing. Clips of silence are cut from them once (`cut`).
Training may also cut anew in every epoch (`Background`), for other silence and as added noise.

Legend: B batch, S samples of a clip.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.data import audio
from srnn.data.labels import BACKGROUND
from srnn.data.levels import FULL_SCALE
from srnn.data.names import noise_of
from srnn.data.pack.file import Pack
from srnn.settings import Keys, key

SilenceVolume = Literal["recorded", "official"]

AS_RECORDED = -1.0
"""The peak of a clip of silence that keeps the volume of its recording."""

# Fractions of the clips of silence, with the official volumes.
_RECORDED, _ZEROS = 0.25, 0.05


class SilenceKeys(Keys):
    """How loud silence is."""

    silence_volume: SilenceVolume = key(
        "recorded",
        "volume of silence clips, in every partition: `recorded`, that of the background "
        "recording; `official`, of any volume as in the official test archives of Speech Commands: "
        "a quarter as recorded, a twentieth digital silence (zeros), all others with a peak drawn "
        "log-uniformly from one step of 16 bits to full scale",
        idle_if={"data.silence": False},
    )


# Begin and end of each partition's stretch, in tenths of the recording.
_TENTHS = {"training": (0, 8), "validation": (8, 9), "testing": (9, 10)}


class Cut(NamedTuple):
    """A clip of silence: a part of a background recording, in frames at its own rate."""

    name: str  # of the recording in its pack
    start: int
    frames: int


class Noise(NamedTuple):
    """A background recording, or a stretch of one; lengths in frames at its own rate."""

    name: str  # of the recording in its pack
    start: int  # first frame
    frames: int
    sample_rate: int  # Hz
    partition: str | None = None  # None: each partition has a stretch


def stretches(
    noises: Iterable[Noise], partition: str, held_out: Collection[str] = ()
) -> list[Noise]:
    """Return a partition's stretch of each recording that is long enough to be divided.

    Parameters
    ----------
    noises : iterable of Noise
        Background recordings.
    partition : str
    held_out : collection of str
        Names, as of `noise_of`, of recordings that training does not use.
    """
    excluded = held_out if partition == "training" else ()
    return [
        _stretch(noise, partition)
        for noise in noises
        if noise.frames >= 10
        and noise.partition in (None, partition)
        and noise_of(noise.name) not in excluded
    ]


def _stretch(noise: Noise, partition: str) -> Noise:
    if noise.partition:
        return noise
    first, last = (noise.frames * tenth // 10 for tenth in _TENTHS[partition])
    return noise._replace(start=noise.start + first, frames=last - first)


def cut(
    stretches: list[Noise], count: int, size: int, sample_rate: int, rng: np.random.Generator
) -> list[Cut]:
    """Cut clips at random places, equally many from each stretch.

    Parameters
    ----------
    stretches : list of Noise
    count : int >= 0
        Number of clips.
    size : int > 0
        Length of a clip in samples at ``sample_rate`` (Hz); a shorter stretch is taken whole.
    """
    cuts = []
    for place, (name, begin, length, rate, _) in enumerate(stretches):
        frames = min(round(size * rate / sample_rate), length)
        number = count // len(stretches) + (place < count % len(stretches))
        starts = np.sort(rng.integers(begin, begin + length - frames, number, endpoint=True))
        cuts += [Cut(name, int(start), frames) for start in starts]
    return cuts


def peaks_of(volume: SilenceVolume, draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the peaks of clips of silence, shape (B,): 0 to 1 (full scale), or `AS_RECORDED`.

    Parameters
    ----------
    volume
        See `SilenceKeys`.
    draws : array of float64 in [0, 1), shape (B, 2)
    """
    kinds, levels = draws.T
    if volume == "recorded":
        return np.full(len(draws), AS_RECORDED)
    peaks = FULL_SCALE ** (levels - 1)
    return np.select([kinds < _RECORDED, kinds < _RECORDED + _ZEROS], [AS_RECORDED, 0.0], peaks)


def rounded(waveforms: Tensor) -> Tensor:
    """Return waveforms, floats in which 1 is full scale, clipped and rounded to 16 bits."""
    return (waveforms * FULL_SCALE).round().clamp(-FULL_SCALE, FULL_SCALE - 1) / FULL_SCALE


def with_peaks(waveforms: Tensor, peaks: Tensor) -> Tensor:
    """Return waveforms of other volumes, rounded to 16 bits, as a file would hold them.

    Parameters
    ----------
    waveforms : Tensor, shape (B, S), float32 in [-1, 1)
    peaks : Tensor, shape (B,)
        As of `peaks_of`; `AS_RECORDED` leaves a waveform as it is.
    """
    found = waveforms.abs().amax(dim=1).clamp(min=1 / FULL_SCALE)
    scaled = waveforms * (peaks.float() / found)[:, None]
    return torch.where(peaks[:, None] < 0, waveforms, rounded(scaled))


def where(place: Path) -> str:
    """Return where background recordings are expected in a data set, for messages."""
    return str(place / BACKGROUND) if place.is_dir() else f"{place} (label {BACKGROUND})"


class Background:
    """Stretches of long recordings, of background noise or of negatives, concatenated in memory.

    Parameters
    ----------
    stretches : sequence of (Pack, Noise)
        Stretches, each with the pack of its recording; there may be none.
    size : int
        Length S of the cuts; a shorter stretch is padded with zeros on both sides.
    sample_rate : int
        Rate of the resampled stretches (Hz).
    device : torch.device
        Device of the samples.

    Attributes
    ----------
    names : list of str
        The names of the recordings in their pack.
    samples : Tensor, float32 in [-1, 1)
    """

    def __init__(
        self,
        stretches: Sequence[tuple[Pack, Noise]],
        size: int,
        sample_rate: int,
        device: torch.device,
    ) -> None:
        waveforms = []
        for pack, (name, start, frames, rate, _) in stretches:
            waveform = audio.at_rate(pack[name][start : start + frames], rate, sample_rate)
            missing = max(0, size - len(waveform))
            waveforms.append(np.pad(waveform, (missing // 2, missing - missing // 2)))
        self.names = [stretch.name for _, stretch in stretches]
        self._size = size
        lengths = np.array([len(waveform) for waveform in waveforms], np.int64)
        self._offsets = torch.from_numpy(np.cumsum(lengths) - lengths).to(device)
        # Number of places where a cut may start.
        self._starts = torch.from_numpy(lengths - size + 1).to(device)
        samples = np.concatenate([*waveforms, np.zeros(0, np.float32)])
        self.samples = torch.from_numpy(samples).to(device)

    def cuts(self, recordings: Tensor, places: Tensor, peaks: Tensor | None = None) -> Tensor:
        """Return cuts, shape (B, S), float32 in [-1, 1).

        Parameters
        ----------
        recordings : Tensor, shape (B,), int64
            Indices into ``names``.
        places : Tensor, shape (B,), float64, in [0, 1)
            From the first place possible in the stretch to the last.
        peaks : Tensor, shape (B,), optional
            As of `peaks_of`; by default all are as recorded.
        """
        starts = self._offsets[recordings] + (places * self._starts[recordings]).long()
        cuts = self.samples.unfold(0, self._size, 1)[starts]
        return cuts if peaks is None else with_peaks(cuts, peaks)
