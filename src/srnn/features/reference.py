# SPDX-License-Identifier: MPL-2.0
"""The features of one clip, through librosa: the definition of the features.

Legend: n samples, T frames, C channels, M mel bands.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from srnn.caches import librosa
from srnn.settings import BrokenRelation, Keys, key

Kind = Literal["reference", "log_mel", "pcen"]

DELTA_WIDTH = 9
"""Frames that a delta is estimated from (librosa's default)."""

PCEN_GAIN = 0.98
"""Exponent of the average that `pcen` divides by (Wang et al. 2017)."""

ROUNDING = 1e-5
"""Relative size of what float32 arithmetic adds to a constant, with a margin."""


class ClipKeys(Keys):
    """The length of a clip."""

    size: int = key(
        16_000,
        "length of a clip: shorter recordings are padded with zeros, of longer ones the "
        "loudest window is taken",
        "samples",
        ge=1,
        le=10_000_000,
        shapes_weights=True,
    )
    sample_rate: int = key(
        16_000,
        "sample rate; recordings with another rate are resampled",
        "Hz",
        ge=1_000,
        le=192_000,
        shapes_weights=True,
    )


class MelKeys(Keys):
    """The features of a clip."""

    features: Kind = key(
        "reference",
        "features: `reference`, log(1 + P / max P) of the mel power P, each band divided by "
        "its standard deviation within the clip (Yin et al. 2021; loudness is lost); "
        "`log_mel`, log(`floor` + P) (loudness is kept); `pcen`, log(1 + P / (`floor` + A)^0.98), "
        "where A is the average of P over the past (per-channel energy normalisation, Wang et al. "
        "2017, with logarithmic compression: changes count, and loudness hardly does)",
        shapes_weights=True,
    )
    floor: float = key(
        1e-6,
        "constant added to the mel power before the logarithm of `log_mel`, and to its average of "
        "`pcen`; for comparison, a full-scale sine has a power of some hundreds",
        ge=1e-7,
        le=1000,
        shapes_weights=True,
        idle_unless={"mel.features": ("log_mel", "pcen")},
    )
    pcen_time: float = key(
        400.0,
        "time constant of the average of the mel power in `pcen`",
        "ms",
        gt=0,
        le=100_000,
        shapes_weights=True,
        idle_unless={"mel.features": "pcen"},
    )
    window: float = key(
        30.0,
        "window length of the short-time Fourier transform, rounded down to whole samples",
        "ms",
        gt=0,
        le=1000,
        shapes_weights=True,
    )
    hop: float = key(
        10.0,
        "hop of the short-time Fourier transform, rounded down to whole samples: the time step "
        "of the network. Time constants, masks and deltas are counted in time steps and do not "
        "follow it",
        "ms",
        gt=0,
        le=1000,
        shapes_weights=True,
    )
    delta_order: int = key(
        2,
        "highest order of delta features (time derivatives); 0: no deltas",
        ge=0,
        le=8,
        shapes_weights=True,
    )
    fmax: float = key(4000.0, "highest frequency of the mel bands", "Hz", gt=0, shapes_weights=True)
    fmin: float = key(20.0, "lowest frequency of the mel bands", "Hz", ge=0, shapes_weights=True)
    n_mels: int = key(40, "number of mel bands", ge=1, le=1024, shapes_weights=True)
    stack: bool = key(
        True,
        "whether the features and all their deltas are stacked as channels; false: the highest "
        "delta alone",
        shapes_weights=True,
    )

    def broken_relations(self) -> Iterator[BrokenRelation]:
        """Yield the broken relations between frequencies, and between window and hop."""
        if self.fmin >= self.fmax:
            yield BrokenRelation(
                ("mel.fmin", "mel.fmax"), f"a number < mel.fmax = {self.fmax}", self.fmin
            )
        if self.hop > self.window:
            yield BrokenRelation(
                ("mel.hop", "mel.window"),
                f"a number <= mel.window = {self.window} (sound between two windows is lost)",
                self.hop,
            )


@dataclass(frozen=True)
class MelSpec:
    """The features of a clip.

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
    kind : "reference", "log_mel" or "pcen"
        "reference": of a clip only its course counts, not its loudness (Yin, Corradi and Bohté
        2021, as implemented by them). "log_mel": loudness is kept. "pcen": the
        power relative to its average over the past (Wang et al. 2017).
    floor : float >= 1e-7
        What "log_mel" adds to the power before the logarithm, and "pcen" to the average. A sine of
        full scale has a power of some hundreds. (With less, rounding errors of float32 would become
        features.)
    pcen_time : float > 0
        Time constant of the average (s).
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
    kind: Kind = "reference"
    floor: float = 1e-6
    pcen_time: float = 0.4

    @classmethod
    def from_keys(cls, mel: MelKeys, clip: ClipKeys) -> Self:
        """Return the features that the keys describe."""
        return cls(
            size=clip.size,
            sample_rate=clip.sample_rate,
            n_fft=_samples(mel.window, clip.sample_rate),
            hop=_samples(mel.hop, clip.sample_rate),
            n_mels=mel.n_mels,
            fmin=mel.fmin,
            fmax=mel.fmax,
            delta_order=mel.delta_order,
            stack=mel.stack,
            kind=mel.features,
            floor=mel.floor,
            pcen_time=mel.pcen_time / 1000,
        )

    @property
    def step(self) -> float:
        """Time from one frame to the next: a time step of the network (ms)."""
        return 1000 * self.hop / self.sample_rate

    @property
    def frames(self) -> int:
        """Frames T of a clip: each is centred, the first on sample 0."""
        padded = self.size + 2 * (self.n_fft // 2)
        return 1 + (padded - self.n_fft) // self.hop

    @property
    def inputs(self) -> int:
        """Features of a frame, C * M."""
        return len(self.orders) * self.n_mels

    @property
    def orders(self) -> tuple[int, ...]:
        """The order of the time differences that each channel holds."""
        return tuple(range(self.delta_order + 1)) if self.stack else (self.delta_order,)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (C, T, M) of a clip's features."""
        return len(self.orders), self.frames, self.n_mels


def _samples(milliseconds: float, sample_rate: int) -> int:
    # 4.35 ms at 100 kHz are 435 samples, and 434.99999999999994 in binary.
    return math.floor(round(milliseconds * sample_rate / 1000, 6))


def fit(waveform: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Scale a waveform to a peak of 1 and bring it to a clip's length.

    Parameters
    ----------
    waveform : array, shape (n,), n >= 1
    size : int
        Number of samples; see `cut`.

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

    "reference": the power mel spectrogram of the clip scaled to a peak of 1, relative to its own
    maximum, as log(1 + x), with its deltas; each channel and band divided by its standard deviation
    over time. Silence gives zeros.

    "log_mel": the power mel spectrogram of the clip as it is, as log(floor + x), with its deltas.
    Silence gives log(floor), and deltas of zeros.

    "pcen": log(1 + P / (floor + A)^0.98) of the power mel spectrogram P of the clip as it is, where
    A is its exponential average over the past, with deltas (Wang et al. 2017,
    https://arxiv.org/abs/1607.05666, with logarithmic compression). Silence gives zeros.

    Parameters
    ----------
    waveform : array, shape (n,), n >= 1
        At ``spec.sample_rate``, of any length; in [-1, 1) where loudness counts.
    spec : MelSpec
    """
    if spec.kind == "log_mel":
        power = _power(cut(waveform, spec.size), spec)
        return _with_deltas(np.log(np.float32(spec.floor) + power), spec)
    if spec.kind == "pcen":
        return _with_deltas(_pcen(_power(cut(waveform, spec.size), spec), spec), spec)
    power = _power(fit(waveform, spec.size), spec)
    loudest = power.max()
    channels = _with_deltas(np.log1p(power / loudest if loudest > 0 else power), spec)
    return channels / _std(channels)


def _power(clip: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """Return the power mel spectrogram of (size,), shape (M, T)."""
    melspectrogram = librosa("feature.melspectrogram", "util.abs2")
    power: NDArray[np.float32] = melspectrogram(
        y=clip,
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop,
        n_mels=spec.n_mels,
        fmin=spec.fmin,
        fmax=spec.fmax,
    )
    return power


def smoothing(spec: MelSpec) -> float:
    """Return the weight b of a new frame in the average of `pcen`, as librosa derives it."""
    steps = spec.pcen_time * spec.sample_rate / spec.hop
    return (math.sqrt(1 + 4 * steps**2) - 1) / (2 * steps**2)


def _pcen(power: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """Return the power relative to its average over the past, compressed, (M, T)."""
    from scipy.signal import lfilter_zi

    pcen = librosa("pcen")
    b = smoothing(spec)
    normalised: NDArray[np.float32] = pcen(
        power,
        sr=spec.sample_rate,
        hop_length=spec.hop,
        gain=PCEN_GAIN,
        power=0,  # the logarithm, the limit of small exponents
        b=b,
        eps=spec.floor,
        zi=lfilter_zi([b], [1, b - 1]) * power[:, :1],  # the average begins with the first frame
    )
    return normalised.astype(np.float32)


def _with_deltas(mel: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """Return the channels of (M, T), shape (C, T, M)."""
    channels = np.stack([_delta(mel, order) for order in spec.orders])  # (C, M, T)
    return np.ascontiguousarray(channels.transpose(0, 2, 1))


def _delta(mel: NDArray[np.float32], order: int) -> NDArray[np.float32]:
    if order == 0:
        return mel
    # scipy fits polynomials to the ends of the clip: in float32 the higher orders lose precision.
    delta = librosa("feature.delta")
    slope = delta(mel.astype(np.float64), width=DELTA_WIDTH, order=order)
    return np.asarray(slope, np.float32)


def _std(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the standard deviation over time of (C, T, M), shape (C, 1, M); a constant's is 1.

    A band that varies by rounding errors only counts as constant: divided by its std, they
    would become features.
    """
    std = channels.std(axis=1, keepdims=True)
    largest = np.abs(channels).max(axis=1, keepdims=True)
    return np.where(std > ROUNDING * largest, std, np.float32(1))
