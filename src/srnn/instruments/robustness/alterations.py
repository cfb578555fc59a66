# SPDX-License-Identifier: MPL-2.0
"""Alterations of recordings: each is one condition of the measurement of robustness.

Random parts (noise, the impulse responses of rooms) are functions of the clip's index alone, so
that every network is measured on the same sound.

Legend: B batch, S samples of a clip, n samples of an impulse response.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import scipy.signal
import torch
from torch import Tensor
from torchaudio.functional import add_noise, fftconvolve, speed

from srnn.data.silence import Background, rounded
from srnn.randomness import Purpose, generator

Alter = Callable[[Tensor, Tensor], Tensor]
"""Maps waveforms (B, S), float32 in [-1, 1), and the indices of their clips (B,) to waveforms."""

GAIN = "input gain"
NOISE = "signal-to-noise ratio"
SHIFT = "time shift"
SPEED = "speed"
FILTERED = "low-pass"
REVERBERATION = "reverberation time"

_ORDER = 8  # of the low-pass: 48 dB an octave in each of its two directions
_DIRECT = 2.0  # energy of the direct sound relative to the reverberation
_ROOMS = 8  # impulse responses of each reverberation time


class Condition(NamedTuple):
    """One alteration of all clips.

    Attributes
    ----------
    kind : str
        What is altered; empty: nothing.
    value : float
    unit : str
    alter : Alter
    """

    kind: str
    value: float
    unit: str
    alter: Alter

    def __str__(self) -> str:
        sign = "+" if self.kind in (GAIN, SHIFT, SPEED) else ""
        return f"{self.kind} {self.value:{sign}g} {self.unit}" if self.kind else "clean"


def conditions(background: Background, sample_rate: int) -> list[Condition]:
    """Return the conditions, the unaltered one first.

    Parameters
    ----------
    background : Background
        Noise to add; without a recording there is no condition with noise.
    sample_rate : int
        Rate of the waveforms (Hz).
    """
    noises = (20, 10, 5, 0) if background.names else ()
    return [
        Condition("", 0, "", unaltered),
        *(Condition(GAIN, db, "dB", partial(_gain, db)) for db in (-40, -20, -10, 10, 20)),
        *(Condition(NOISE, db, "dB", partial(_noise, db, background)) for db in noises),
        *(
            Condition(SHIFT, ms, "ms", partial(_shift, round(ms * sample_rate / 1000)))
            for ms in (-200, -100, 100, 200)
        ),
        *(Condition(SPEED, change, "%", partial(_speed, change)) for change in (-10, 10)),
        *(
            Condition(FILTERED, hz, "Hz", partial(_low_pass, hz, sample_rate))
            for hz in (4000,)
            if 2 * hz < sample_rate
        ),
        *(
            Condition(REVERBERATION, s, "s", partial(_reverberation, _rooms(s, sample_rate)))
            for s in (0.3, 0.6)
        ),
    ]


def unaltered(waveforms: Tensor, clips: Tensor) -> Tensor:
    """Return the waveforms as they are."""
    return waveforms


def _gain(decibels: float, waveforms: Tensor, clips: Tensor) -> Tensor:
    """Return waveforms at another input gain, rounded to 16 bits and clipped as a converter does.

    What is quieter than half a step of 16 bits becomes digital silence.
    """
    return rounded(waveforms * 10 ** (decibels / 20))


def _noise(decibels: float, background: Background, waveforms: Tensor, clips: Tensor) -> Tensor:
    """Return waveforms with background noise at a ratio of their power to that of the noise."""
    draws = _draws(clips)
    recordings = (draws[:, 0] * len(background.names)).long()
    noise = background.cuts(recordings, draws[:, 1])
    audible = waveforms.abs().amax(dim=1, keepdim=True) > 0  # digital silence has no ratio
    noisy: Tensor = add_noise(waveforms, noise, torch.full((len(clips),), float(decibels)))
    return torch.where(audible & noisy.isfinite(), noisy, waveforms)


def _shift(samples: int, waveforms: Tensor, clips: Tensor) -> Tensor:
    """Return waveforms that begin later (or, if negative, earlier), with zeros in the gap."""
    shifted = torch.zeros_like(waveforms)
    if samples > 0:
        shifted[:, samples:] = waveforms[:, :-samples]
    else:
        shifted[:, :samples] = waveforms[:, -samples:]
    return shifted


def _speed(percent: float, waveforms: Tensor, clips: Tensor) -> Tensor:
    """Return waveforms played faster or slower; their middle stays where it is."""
    size = waveforms.shape[1]
    # In whole percents: torchaudio resamples by a ratio of integers.
    played: Tensor = speed(waveforms, 100, 1 + percent / 100)[0]
    surplus = played.shape[1] - size
    if surplus >= 0:
        return played[:, surplus // 2 : surplus // 2 + size]
    return torch.nn.functional.pad(played, (-surplus // 2, -surplus - -surplus // 2))


def _low_pass(hertz: float, sample_rate: int, waveforms: Tensor, clips: Tensor) -> Tensor:
    filters = scipy.signal.butter(_ORDER, hertz, fs=sample_rate, output="sos")
    filtered = scipy.signal.sosfiltfilt(filters, waveforms.numpy(), axis=1)
    return torch.from_numpy(filtered.astype(np.float32))


def _rooms(seconds: float, sample_rate: int) -> Tensor:
    """Return impulse responses of rooms, shape (rooms, n): direct sound and decaying noise.

    The noise decays by 60 dB in the reverberation time, as in a diffuse field (Polack 1988).
    """
    length = round(seconds * sample_rate)
    rng = generator(Purpose.PROTOCOL, 1)
    decay = 10 ** (-3 * np.arange(length) / length)
    tails = rng.standard_normal((_ROOMS, length)) * decay
    tails[:, 0] = 0
    tails /= np.sqrt(_DIRECT * np.square(tails).sum(axis=1, keepdims=True))
    tails[:, 0] = 1
    return torch.from_numpy(tails.astype(np.float32))


def _reverberation(rooms: Tensor, waveforms: Tensor, clips: Tensor) -> Tensor:
    responses = rooms[clips % len(rooms)]
    reverberant: Tensor = fftconvolve(waveforms, responses)
    return reverberant[:, : waveforms.shape[1]]


def _draws(clips: Tensor) -> Tensor:
    """Return two draws in [0, 1) for each clip, shape (B, 2), float64."""
    each = [generator(Purpose.PROTOCOL, 2, 0, clip).random(2) for clip in clips.tolist()]
    return torch.from_numpy(np.stack(each))
