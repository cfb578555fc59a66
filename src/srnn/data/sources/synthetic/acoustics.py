# SPDX-License-Identifier: MPL-2.0
"""Room, microphone and noise between a voice and its recording; background noises.

Symbols: n samples of a sound, `size` samples of a clip.
"""

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float64]


class Acoustics(NamedTuple):
    """Ranges of the acoustics of a clip, drawn uniformly.

    The reference features, each band divided by its own standard deviation, amplify noise: at 0 to
    30 dB and with long reverberation a small network stays near 50 % accuracy.
    """

    position: tuple[float, float] = (0, 1)
    """Fraction of the silence that precedes the word."""
    signal_to_noise: tuple[float, float] = (35, 65)
    """Power of the word over power of the noise (dB)."""
    noise_exponent: tuple[float, float] = (0, 2)
    """The noise has power ~ 1 / frequency ** exponent: 0 white, 1 pink, 2 brown."""
    reverberation_time: tuple[float, float] = (0.05, 0.25)
    """Time in which reverberation decays by 60 dB (s)."""
    reverberation_level: tuple[float, float] = (-40, -18)
    """Power of the reverberation over that of the direct sound (dB)."""
    tilt: tuple[float, float] = (-1.5, 1.5)
    """Slope of the microphone's response (dB an octave)."""
    peak: tuple[float, float] = (-24, -1)
    """Largest sample of the clip, relative to full scale (dB)."""


ACOUSTICS = Acoustics()


def recorded(speech: Samples, random: np.random.Generator, sample_rate: int, size: int) -> Samples:
    """Return a clip of a word: in a room, through a microphone, at a random place, with noise."""
    draw = random.uniform
    room = _room(random, sample_rate)
    length = 512 * math.ceil((len(speech) + len(room) - 1) / 512)  # a fast transform
    octaves = np.log2(np.maximum(np.fft.rfftfreq(length, 1 / sample_rate), 50) / 1000)
    microphone = 10 ** (draw(*ACOUSTICS.tilt) * octaves / 20)
    spectrum = np.fft.rfft(speech, length) * np.fft.rfft(room, length) * microphone
    received = np.fft.irfft(spectrum, length)[:size]

    start = round(draw(*ACOUSTICS.position) * max(size - len(speech), 0))
    clip = np.zeros(size)
    clip[start : start + len(received)] = received[: size - start]

    background = noise(size, draw(*ACOUSTICS.noise_exponent), random, sample_rate)
    power = np.mean(clip[start : start + len(speech)] ** 2)
    clip += background * np.sqrt(power / _ratio(draw(*ACOUSTICS.signal_to_noise)))
    return scaled(clip, draw(*ACOUSTICS.peak))


def noise(n: int, exponent: float, random: np.random.Generator, sample_rate: int) -> Samples:
    """Return noise of power 1, ~ 1 / frequency ** exponent above 50 Hz."""
    spectrum = np.fft.rfft(random.standard_normal(n))
    spectrum *= np.maximum(np.fft.rfftfreq(n, 1 / sample_rate), 50) ** (-exponent / 2)
    samples: Samples = np.fft.irfft(spectrum, n)
    samples /= np.sqrt(np.mean(samples**2))
    return samples


def hum(time: Samples, random: np.random.Generator) -> Samples:
    """Return the hum of a 50 Hz supply: its harmonics, falling in amplitude."""
    phases = random.uniform(0, 2 * np.pi, 20)
    harmonics = (
        np.sin(2 * np.pi * 50 * k * time + phase) / k for k, phase in enumerate(phases, start=1)
    )
    sound: Samples = np.sum(list(harmonics), axis=0)
    return sound


def scaled(samples: Samples, peak: float) -> Samples:
    """Scale to a largest sample of `peak` (dB of full scale)."""
    loudness: Samples = samples * (10 ** (peak / 20) / np.abs(samples).max())
    return loudness


def _room(random: np.random.Generator, sample_rate: int) -> Samples:
    """Return the impulse response of a room: the direct sound and an exponentially fading tail."""
    seconds = random.uniform(*ACOUSTICS.reverberation_time)
    time = np.arange(1, round(seconds * sample_rate) + 1) / sample_rate
    tail = random.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    power = _ratio(random.uniform(*ACOUSTICS.reverberation_level))
    return np.concatenate([[1.0], tail * np.sqrt(power / np.sum(tail**2))])


def _ratio(decibels: float) -> float:
    """Return a ratio of powers."""
    return float(10 ** (decibels / 10))
