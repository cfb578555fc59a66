# SPDX-License-Identifier: MPL-2.0
"""The features of one clip, through librosa: the definition of what the network hears.

Legend: n samples, T frames, C channels, M mel bands.
"""

from dataclasses import dataclass

import librosa
import numpy as np
from numpy.typing import NDArray

DELTA_WIDTH = 9
"""Frames that a delta is estimated from (librosa's default)."""

ROUNDING = 1e-5
"""Relative size of what float32 arithmetic adds to a constant, with a margin."""


@dataclass(frozen=True)
class MelSpec:
    """What features a clip is turned into.

    Attributes
    ----------
    size : int
        Samples of a clip.
    sample_rate : int
        Samples a second (Hz).
    n_fft, hop : int
        Samples of a window, and from one window to the next.
    n_mels : int
        Mel bands M.
    fmin, fmax : float
        Lowest and highest frequency of the bands (Hz), 0 <= fmin < fmax <= sample_rate / 2.
    delta_order : int, 0 to 8
        Highest order of the deltas over time; above 0 at least 9 frames are needed.
    stack : bool
        True: the features and their deltas of every order up to ``delta_order`` are the channels.
        False: the delta of order ``delta_order`` alone is the only one.
    """

    size: int
    sample_rate: int
    n_fft: int
    hop: int
    n_mels: int
    fmin: float
    fmax: float
    delta_order: int
    stack: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (C, T, M) of a clip's features."""
        channels = self.delta_order + 1 if self.stack else 1
        padded = self.size + 2 * (self.n_fft // 2)  # every frame is centred, the first on sample 0
        return channels, 1 + (padded - self.n_fft) // self.hop, self.n_mels


def fit(waveform: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Scale a waveform to a peak of 1 and bring it to a clip's length.

    Parameters
    ----------
    waveform : array, shape (n,), n >= 1
    size : int
        Samples wanted; see `cut`.

    Returns
    -------
    array, shape (size,)
        Silence stays zeros.
    """
    peak = np.abs(waveform).max()
    clip = cut(waveform, size)
    return clip / peak if peak > 0 else clip


def cut(waveform: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Bring a waveform (n,) to a clip's length.

    A shorter waveform gets zeros on both sides, (size - n) // 2 of them in front; of a longer one
    the loudest window is kept.
    """
    missing = size - len(waveform)
    if missing > 0:
        return np.pad(waveform, (missing // 2, missing - missing // 2))
    start = loudest_window(waveform, size)
    return waveform[start : start + size]


def loudest_window(waveform: NDArray[np.float32] | NDArray[np.int16], size: int) -> int:
    """Return where the ``size`` samples with the most energy start, the first of equals.

    Parameters
    ----------
    waveform : array, shape (n,), n >= size
    size : int
    """
    energy = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
    return int(np.argmax(energy[size:] - energy[: len(energy) - size]))


def features(waveform: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """Return the features of one clip, shape (C, T, M), float32.

    The power mel spectrogram, relative to its maximum, as log(1 + x), with its deltas; each channel
    and band divided by its standard deviation over time (design of Yin, Corradi and Bohté 2021, as
    implemented by them). Silence gives zeros.

    Parameters
    ----------
    waveform : array, shape (n,), n >= 1
        At ``spec.sample_rate``, of any length and loudness.
    spec : MelSpec
    """
    power = librosa.feature.melspectrogram(
        y=fit(waveform, spec.size),
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop,
        n_mels=spec.n_mels,
        fmin=spec.fmin,
        fmax=spec.fmax,
    )  # (M, T)
    loudest = power.max()
    mel = np.log1p(power / loudest if loudest > 0 else power)
    orders = range(spec.delta_order + 1) if spec.stack else [spec.delta_order]
    channels = np.stack([_delta(mel, order) for order in orders])  # (C, M, T)
    channels = channels.transpose(0, 2, 1)
    return np.ascontiguousarray(channels / _deviation(channels))


def _delta(mel: NDArray[np.float32], order: int) -> NDArray[np.float32]:
    if order == 0:
        return mel
    # scipy fits polynomials to the ends of the clip: in float32 the higher orders lose precision.
    slope = librosa.feature.delta(mel.astype(np.float64), width=DELTA_WIDTH, order=order)
    return np.asarray(slope, np.float32)


def _deviation(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the standard deviation over time of (C, T, M), shape (C, 1, M); a constant's is 1.

    A band that varies by rounding errors only counts as constant: divided by their deviation, they
    would become features.
    """
    deviation = channels.std(axis=1, keepdims=True)
    largest = np.abs(channels).max(axis=1, keepdims=True)
    return np.where(deviation > ROUNDING * largest, deviation, np.float32(1))
