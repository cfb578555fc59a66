# SPDX-License-Identifier: MPL-2.0
"""The features of many clips at once, in plain torch: what `reference` defines, on any device.

After the Fourier transform only the frequencies that the mel bands use are looked at, and a batch
is worked through in parts that stay in the processor's cache. Nothing waits for the device.

Legend: B clips, T frames, C channels, M mel bands, K frequencies that the bands use.
"""

import warnings
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srnn.features.filters import hann, mel_weights, slope
from srnn.features.reference import PCEN_GAIN, ROUNDING, MelSpec, smoothing

# Bytes of the largest tensor of a part. On a CPU with the cache in mind (between half and twice as
# much the time differs by 5 %); elsewhere to keep the memory needed below 200 MB.
_CPU_PART, _PART = 1_600_000, 2**25


class MelFeatures(nn.Module):
    """Turns waveforms into features, as `srnn.features.reference.features` does one by one.

    The two differ by less than 1e-4 of a clip's largest feature. Where a band lies more than some
    130 dB below the rest, as in pure tones, its features are rounding errors in both.

    Parameters
    ----------
    spec : MelSpec

    Attributes
    ----------
    used : slice
        The frequencies that the mel bands use, in multiples of ``sample_rate / n_fft``.
    """

    window: Tensor  # (n_fft,)
    bands: Tensor  # (2 K, M rounded up)
    averages: Tensor  # (T, T): the weight of each frame (column) in the average at each (row)

    def __init__(self, spec: MelSpec) -> None:
        super().__init__()
        self.spec = spec
        # Recordings that were once sampled at half the rate, or coded, hold next to nothing above
        # a quarter of it: too little to be seen beside the rounding errors of float32. They matter
        # where such a band is scaled up, and not beside a floor.
        rounded = spec.kind != "reference" or spec.fmax <= spec.sample_rate / 4
        real = torch.float32 if rounded and _is_smooth(spec.n_fft) else torch.float64
        window = torch.from_numpy(hann(spec.n_fft)).to(real)
        self.used, bands = _bands(spec)
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("bands", bands, persistent=False)
        self._slopes = [slope(order) for order in spec.orders]  # one per channel
        averages = _averages(spec) if spec.kind == "pcen" else torch.zeros(0)
        self.register_buffer("averages", averages, persistent=False)

    @torch.no_grad()
    def forward(self, waveforms: Tensor) -> Tensor:
        """Return the features, shape (B, C, T, M), float32; no gradient flows back.

        Parameters
        ----------
        waveforms : Tensor, shape (B, spec.size), B >= 1, float32 or int16
            At ``spec.sample_rate``, on the module's device. Integers are multiples of 2^-15; where
            loudness counts, numbers are in [-1, 1).
        """
        parts = _split(waveforms, self.spec.shape[1] * self.window.nbytes)
        power = torch.cat([self._power(some) for some in parts])
        # Time step by time step in memory, which is how a network reads it.
        channels, frames, bands = self.spec.shape
        features = power.new_empty(len(power), frames, channels, bands).transpose(1, 2)
        parts = _split(features, features[0].nbytes)
        for some, result in zip(_split(power, features[0].nbytes), parts, strict=True):
            mel = self._logarithm(some)
            for weights, channel in zip(self._slopes, result.unbind(1), strict=True):
                _write_delta(mel, weights, channel)
            if self.spec.kind == "reference":
                _divide_by_std(result)
        return features

    def _power(self, waveforms: Tensor) -> Tensor:
        """Return the power mel spectrograms, shape (B, T, M)."""
        margin = self.spec.n_fft // 2
        padded = F.pad(waveforms, (margin, margin)).float()
        if self.spec.kind == "reference":
            peak = torch.maximum(padded.amax(dim=1), -padded.amin(dim=1))[:, None]
            padded /= torch.where(peak > 0, peak, 1)
        elif not waveforms.is_floating_point():
            padded *= 2**-15
        return self.power(padded)

    def power(self, samples: Tensor) -> Tensor:
        """Return the mel power of the windows in samples (B, n), one each hop, shape (B, T, M)."""
        frames = samples.unfold(1, self.spec.n_fft, self.spec.hop) * self.window  # (B, T, n_fft)
        spectrum = torch.fft.rfft(frames)[..., self.used]  # (B, T, K)
        power = torch.view_as_real(spectrum).square().flatten(2).float() @ self.bands
        return power[..., : self.spec.n_mels]

    def _logarithm(self, power: Tensor) -> Tensor:
        """Return the logarithms of power mel spectrograms, shape (B, T, M), in place."""
        if self.spec.kind == "log_mel":
            return power.add_(self.spec.floor).log_()
        if self.spec.kind == "pcen":
            # By log and exp, which torch computes faster than the power.
            gain = (self.averages @ power).add_(self.spec.floor).log_().mul_(-PCEN_GAIN).exp_()
            return power.mul_(gain).log1p_()
        return _relative_log(power)


def _is_smooth(length: int) -> bool:
    """Return whether a length has small prime factors only; other Fourier transforms lose digits.

    On some processors those of 1439 samples, in float32, differ from float64 by 1e-4.
    """
    for factor in (2, 3, 5, 7, 11, 13):
        while length % factor == 0:
            length //= factor
    return length == 1


def _split(tensor: Tensor, nbytes: int) -> tuple[Tensor, ...]:
    """Split clips into parts by the bytes that each of them needs."""
    part = _CPU_PART if tensor.device.type == "cpu" else _PART
    parts: tuple[Tensor, ...] = tensor.split(max(1, part // nbytes))
    return parts


@lru_cache(maxsize=8)  # the same for every partition, and so is what it warns of
def _bands(spec: MelSpec) -> tuple[slice, Tensor]:
    """Return the frequencies that the bands use, and their weights in each, shape (2 K, M').

    Every weight stands twice, for the squares of a real and of an imaginary part. M' is M rounded
    up to whole vectors: otherwise the last bits of a product depend on where in memory it is.
    """
    weights = mel_weights(spec.sample_rate, spec.n_fft, spec.n_mels, spec.fmin, spec.fmax)
    if empty := spec.n_mels - np.count_nonzero(weights.any(axis=1)):
        warnings.warn(
            f"{empty} of {spec.n_mels} mel bands stay empty: they lie between two frequencies of a "
            f"window of {spec.n_fft} samples, {spec.sample_rate / spec.n_fft:.0f} Hz apart (fewer "
            "bands or a longer window have none such)",
            stacklevel=2,
        )
    used = np.flatnonzero(weights.any(axis=0))
    first = int(used.min(initial=weights.shape[1]))
    last = int(used.max(initial=first - 1))  # bands so narrow that they use none are legal
    span = slice(first, last + 1)
    doubled = torch.from_numpy(weights[:, span].repeat(2, axis=1).T.copy())
    return span, F.pad(doubled, (0, -spec.n_mels % 8))


def _averages(spec: MelSpec) -> Tensor:
    """Return the weights of the frames in the average of `pcen` at each frame, (T, T).

    It is exponential, A_t = (1 - b) A_{t-1} + b P_t, and begins with the first frame: A_0 = P_0.
    """
    b = smoothing(spec)
    lags = np.arange(spec.frames)[:, None] - np.arange(spec.frames)
    weights = np.where(lags >= 0, b * (1 - b) ** np.maximum(lags, 0), 0)
    weights[:, 0] = (1 - b) ** np.arange(spec.frames)
    return torch.from_numpy(weights.astype(np.float32))


def _relative_log(power: Tensor) -> Tensor:
    """Return log(1 + power relative to the maximum of its clip), shape (B, T, M), in place."""
    loudest = power.amax(dim=(1, 2), keepdim=True)
    return power.div_(torch.where(loudest > 0, loudest, 1)).log1p_()


def _write_delta(mel: Tensor, weights: list[float], delta: Tensor) -> None:
    """Write the delta, shape (B, T, M), of mel spectrograms, shape (B, T, M)."""
    reach = len(weights) // 2
    frames = mel.shape[1] - 2 * reach
    inner = delta[:, reach : reach + frames]
    torch.mul(mel[:, :frames], weights[0], out=inner)
    for lag, weight in enumerate(weights[1:], start=1):
        inner.add_(mel[:, lag : lag + frames], alpha=weight)
    # librosa fits a polynomial of the delta's order to the nine frames around each; for the frames
    # at an end to the outermost nine, and its highest derivative is the same at all of them.
    delta[:, :reach] = inner[:, :1]
    delta[:, reach + frames :] = inner[:, -1:]


def _divide_by_std(features: Tensor) -> None:
    """Divide features (B, C, T, M) in place by their std over time; that of a constant is 1.

    What varies by less than rounding errors is constant, as in the reference. It compares with the
    largest value; close to the limit the mean is the same, and faster.
    """
    mean = features.mean(dim=2, keepdim=True)
    std = (features - mean).square_().mean(dim=2, keepdim=True).sqrt_()
    features /= torch.where(std > ROUNDING * mean.abs(), std, 1)
