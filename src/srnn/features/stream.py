# SPDX-License-Identifier: MPL-2.0
"""The features of a sound without end, a few samples at a time.

Legend: n samples, T frames, C channels, M mel bands.
"""

import torch
from torch import Tensor

from srnn.errors import InputError
from srnn.features.batched import MelFeatures
from srnn.features.filters import slope
from srnn.features.reference import DELTA_WIDTH, PCEN_GAIN, smoothing

_REACH = DELTA_WIDTH // 2  # frames that a delta looks ahead, and back


class FeatureStream:
    """Computes the features of a stream as its samples arrive.

    A whole clip, given in parts of any size and then flushed, has the features that `MelFeatures`
    returns for it, those at its ends included, to rounding errors. Before and after it is silence.
    With deltas a frame waits for the four after it, and the first four, whose deltas are those of
    the fifth, wait with it.

    Parameters
    ----------
    extract : MelFeatures

    Raises
    ------
    InputError
        If the features of a frame depend on the whole clip (``features = "reference"``).
    """

    def __init__(self, extract: MelFeatures) -> None:
        spec = extract.spec
        if spec.kind == "reference":
            raise InputError(
                'mel.features: expected "log_mel" or "pcen", found "reference", which divides by '
                "the maximum and the standard deviation of a whole clip"
            )
        self._extract = extract
        self._spec = spec
        self._slopes = torch.tensor([_centred(order) for order in spec.orders])  # (C, 9)
        self._is_delta = torch.tensor([order > 0 for order in spec.orders])[:, None]  # (C, 1)
        self._samples = torch.zeros(spec.n_fft // 2)  # whose windows are not complete
        self._average: Tensor | None = None  # (M,): of `pcen`
        self._mel = torch.zeros(0, spec.n_mels)  # frames that deltas reach back to, or wait for
        self._last: Tensor | None = None  # (C, M): the features returned last

    @property
    def latency(self) -> float:
        """Time from the centre of a frame to when it is ready (s), from the fifth frame on."""
        ahead = _REACH if self._is_delta.any() else 0
        samples = self._spec.n_fft - self._spec.n_fft // 2 + ahead * self._spec.hop
        return samples / self._spec.sample_rate

    @torch.no_grad()
    def push(self, samples: Tensor) -> Tensor:
        """Return the features that further samples complete, shape (T, C, M), T >= 0.

        Parameters
        ----------
        samples : Tensor, shape (n,), n >= 0, float32
            In [-1, 1), at ``spec.sample_rate``.
        """
        return self._with_deltas(self._mel_of(samples))

    @torch.no_grad()
    def flush(self) -> Tensor:
        """End the stream and return its last features, shape (T, C, M), T >= 0.

        With deltas, a stream of less than nine frames has none.
        """
        features = self.push(torch.zeros(self._spec.n_fft // 2))
        if self._last is None or not self._is_delta.any():
            return features
        return torch.cat([features, self._at_an_end(self._mel[-_REACH:], self._last)])

    def _mel_of(self, samples: Tensor) -> Tensor:
        """Return the compressed mel power of the windows that further samples complete, (T, M)."""
        spec = self._spec
        samples = torch.cat([self._samples, samples])
        count = max(0, (len(samples) - spec.n_fft) // spec.hop + 1)
        self._samples = samples[count * spec.hop :].clone()
        if not count:
            return torch.zeros(0, spec.n_mels)
        power = self._extract.power(samples[None])[0]
        if spec.kind == "log_mel":
            return power.add(spec.floor).log_()
        return self._averages(power).add_(spec.floor).pow_(-PCEN_GAIN).mul_(power).log1p_()

    def _averages(self, power: Tensor) -> Tensor:
        """Return the average of the past power at each frame, (T, M); see `reference.smoothing`."""
        b, averages = smoothing(self._spec), []
        average = power[0] if self._average is None else self._average
        for each in power:
            average = torch.lerp(average, each, b)
            averages.append(average)
        self._average = average
        return torch.stack(averages)

    def _with_deltas(self, mel: Tensor) -> Tensor:
        """Return the features of the frames that further ones (T, M) complete."""
        if not self._is_delta.any():
            self._last = mel
            return mel[:, None].expand(-1, len(self._slopes), -1)
        mel = torch.cat([self._mel, mel])
        self._mel = mel[-(DELTA_WIDTH - 1) :].clone()
        if len(mel) < DELTA_WIDTH:
            return torch.zeros(0, len(self._slopes), self._spec.n_mels)
        features = torch.einsum("tmw,cw->tcm", mel.unfold(0, DELTA_WIDTH, 1), self._slopes)
        is_first = self._last is None
        self._last = features[-1]
        if not is_first:
            return features
        return torch.cat([self._at_an_end(mel[:_REACH], features[0]), features])

    def _at_an_end(self, mel: Tensor, nearest: Tensor) -> Tensor:
        """Return the features of mel frames (4, M) whose deltas are those of another, (4, C, M)."""
        return torch.where(self._is_delta, nearest, mel[:, None])


def _centred(order: int) -> list[float]:
    """Return the weights of nine frames in a channel of the middle one."""
    weights = slope(order)
    margin = [0.0] * ((DELTA_WIDTH - len(weights)) // 2)
    return [*margin, *weights, *margin]
