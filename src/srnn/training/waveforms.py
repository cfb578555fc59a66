# SPDX-License-Identifier: MPL-2.0
"""The clips of a partition as waveforms of one length, read from packs on demand.

Legend: N clips, B batch, S samples of a clip.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.data import audio
from srnn.data.corpus import Clip
from srnn.data.levels import FULL_SCALE
from srnn.data.pack.file import Pack
from srnn.data.silence import AS_RECORDED, with_peaks
from srnn.features.reference import loudest_window


class Waveforms:
    """Waveforms on disk, indexed like a tensor of shape (N, S).

    Parameters
    ----------
    packs : sequence of Pack
        Of the data sets that the clips belong to.
    clips : sequence of Clip
    size : int
        Length S that every clip is brought to, as `srnn.features.reference.cut` does.
    sample_rate : int
        Rate that every clip is brought to (Hz).

    Attributes
    ----------
    dtype : torch.dtype
        int16 where every recording has this rate; otherwise, as resampling makes no integers,
        float32 in [-1, 1).
    shape : (N, S)
    """

    def __init__(
        self, packs: Sequence[Pack], clips: Sequence[Clip], size: int, sample_rate: int
    ) -> None:
        self.shape = len(clips), size
        self._samples = [pack.samples for pack in packs]
        self._sample_rate = sample_rate
        numbers = {pack.folder: number for number, pack in enumerate(packs)}
        self._packs = [numbers[clip.folder] for clip in clips]
        recordings = [
            packs[number].recordings[clip.name]
            for number, clip in zip(self._packs, clips, strict=True)
        ]
        starts = np.array([clip.start for clip in clips], np.int64)
        frames = np.array([clip.frames for clip in clips], np.int64)
        left = np.array([recording.frames for recording in recordings], np.int64) - starts
        self._places = np.array([recording.offset for recording in recordings], np.int64) + starts
        self._frames = np.where(frames < 0, left, np.minimum(frames, left))
        self._rates = np.array([recording.sample_rate for recording in recordings], np.int64)
        self._peaks = np.array([clip.peak for clip in clips])
        at_rate = (self._rates == sample_rate).all()
        self.dtype = torch.int16 if at_rate else torch.float32
        self._windows = np.zeros(len(clips), np.int64)  # first sample kept, at the wanted rate
        too_long = self._frames * sample_rate > size * self._rates
        for index in np.flatnonzero(too_long).tolist():
            self._windows[index] = loudest_window(self._whole(index), size)

    @property
    def nbytes(self) -> int:
        """Size of all of them in memory (bytes)."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Return the waveforms at indices (B,), shape (B, S)."""
        size = self.shape[1]
        batch = torch.zeros(len(indices), size, dtype=self.dtype)
        for row, index in zip(batch.numpy(), indices.tolist(), strict=True):
            window = self._windows[index]
            waveform = self._whole(index)[window : window + size]
            before = (size - len(waveform)) // 2
            row[before : before + len(waveform)] = waveform
        peaks = torch.from_numpy(self._peaks[indices.numpy()])
        rows = (peaks != AS_RECORDED).nonzero()[:, 0]
        batch[rows] = self._scaled(batch[rows], peaks[rows])
        return batch

    def _scaled(self, batch: Tensor, peaks: Tensor) -> Tensor:
        """Return waveforms (B, S) with the given peaks (B,), see `with_peaks`."""
        if batch.is_floating_point():
            return with_peaks(batch, peaks)
        return (with_peaks(batch / FULL_SCALE, peaks) * FULL_SCALE).to(batch.dtype)

    def _whole(self, index: int) -> NDArray[np.int16] | NDArray[np.float32]:
        place = self._places[index]
        samples = self._samples[self._packs[index]][place : place + self._frames[index]]
        if self.dtype == torch.int16:
            return samples
        return audio.at_rate(samples, int(self._rates[index]), self._sample_rate)
