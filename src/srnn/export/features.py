# SPDX-License-Identifier: MPL-2.0
"""The features of clips as a module that `torch.export` takes: no writing in place, few operators.

It follows `srnn.features.batched`, whose window, bands and averages it has.

Legend: B clips, S samples, C channels, T frames, K frequencies, M mel bands.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srnn.features.batched import MelFeatures
from srnn.features.filters import slope
from srnn.features.reference import PCEN_GAIN, ROUNDING


class Features(nn.Module):
    """Turns waveforms into features, as `MelFeatures` does, to rounding errors.

    Parameters
    ----------
    extract : MelFeatures
    """

    window: Tensor  # (n_fft,)
    bands: Tensor  # (K, M)
    averages: Tensor  # (T, T) of `pcen`

    def __init__(self, extract: MelFeatures) -> None:
        super().__init__()
        self.spec = extract.spec
        self.used = extract.used
        # In float32 the transform of onnxruntime is wrong by 2e-5 of the largest frequency.
        self.register_buffer("window", extract.window.double())
        self.register_buffer("bands", extract.bands[::2, : self.spec.n_mels].clone())
        if self.spec.kind == "pcen":
            self.register_buffer("averages", extract.averages.clone())

    def forward(self, samples: Tensor) -> Tensor:
        """Map samples (B, S), float32 in [-1, 1), to features (B, C, T, M), float32."""
        if self.spec.kind == "reference":
            peak = samples.abs().amax(dim=1, keepdim=True)
            samples = samples / torch.where(peak > 0, peak, 1)
        mel = self._logarithm(self._power(samples))
        features = torch.stack([_delta(mel, order) for order in self.spec.orders], dim=1)
        return _divided_by_std(features) if self.spec.kind == "reference" else features

    def _power(self, samples: Tensor) -> Tensor:
        """Return the power mel spectrograms, shape (B, T, M)."""
        n_fft, margin = self.spec.n_fft, self.spec.n_fft // 2
        padded = F.pad(samples.double(), (margin, margin))
        spectrum = torch.stft(
            padded, n_fft, self.spec.hop, window=self.window, center=False, return_complex=True
        )  # (B, frequencies, T)
        power = torch.view_as_real(spectrum[:, self.used]).square().sum(dim=-1)
        return power.float().transpose(1, 2) @ self.bands

    def _logarithm(self, power: Tensor) -> Tensor:
        """Return the logarithms of power mel spectrograms, shape (B, T, M)."""
        if self.spec.kind == "log_mel":
            return torch.log(power + self.spec.floor)
        if self.spec.kind == "pcen":
            gain = (self.averages @ power + self.spec.floor) ** -PCEN_GAIN
            return torch.log1p(power * gain)
        loudest = power.amax(dim=(1, 2), keepdim=True)
        return torch.log1p(power / torch.where(loudest > 0, loudest, 1))


def _delta(mel: Tensor, order: int) -> Tensor:
    """Return the delta of mel spectrograms, both of shape (B, T, M)."""
    if order == 0:
        return mel
    weights = slope(order)
    reach, frames = len(weights) // 2, mel.shape[1] - len(weights) + 1
    inner = sum(weight * mel[:, lag : lag + frames] for lag, weight in enumerate(weights))
    assert isinstance(inner, Tensor)
    # Those of the frames at an end are those of the nearest that has neighbours on both sides.
    first = inner[:, :1].expand(-1, reach, -1)
    last = inner[:, -1:].expand(-1, reach, -1)
    return torch.cat([first, inner, last], dim=1)


def _divided_by_std(features: Tensor) -> Tensor:
    """Divide features (B, C, T, M) by their std over time; that of a constant is 1."""
    mean = features.mean(dim=2, keepdim=True)
    std = (features - mean).square().mean(dim=2, keepdim=True).sqrt()
    return features / torch.where(std > ROUNDING * mean.abs(), std, 1)
