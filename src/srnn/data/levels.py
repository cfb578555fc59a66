# SPDX-License-Identifier: MPL-2.0
"""Conversion of recordings to 16 bits, and the detection of losses by it."""

import math

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 2**15
"""The 16-bit value of a sample of 1."""

# Levels beyond which samples are reported as damaged.
_OVERSHOOT = 2.0  # of full scale; a limiter or a lossy format exceeds it by less
_CANCELLED = 0.1  # of the channels' level (RMS) that their mean has
_AUDIBLE = 0.001  # of full scale (RMS): quieter channels are silence anyway
_FEW_STEPS = 8  # of 16 bits, as the peak of a recording with finer ones


class Levels:
    """Converts blocks of a recording to 16 bits, and measures levels of the mean and the channels.

    Symbols: n frames, c channels.
    """

    def __init__(self) -> None:
        self._peak = 0.0  # of the mean of the channels
        self._peak_of_channels = 0.0
        self._energy = 0.0  # sum of squares
        self._energy_of_channels = 0.0  # the mean of theirs
        self._frames = 0

    def in_16_bits(self, channels: NDArray[np.float32]) -> NDArray[np.int16]:
        """Return the mean of the channels (n, c), rounded and clipped, shape (n,)."""
        mean: NDArray[np.float64] = channels.mean(axis=1, dtype=np.float64)  # float32 may overflow
        self._peak = max(self._peak, float(np.abs(mean).max()))
        self._peak_of_channels = max(self._peak_of_channels, float(np.abs(channels).max()))
        if channels.shape[1] > 1:
            self._energy += float(np.square(mean).sum())
            squares = np.square(channels, dtype=np.float64)
            self._energy_of_channels += float(squares.sum()) / channels.shape[1]
        self._frames += len(mean)
        return np.rint(mean * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)

    def problem(self) -> str:
        """Return the loss by the conversion to 16 bits, on one line; empty if there is none."""
        if self._peak > _OVERSHOOT:
            return (
                f"samples of up to {self._peak:,.5g}, where full scale is 1, are clipped: "
                "it may hold integers as floats"
            )
        level = math.sqrt(self._energy_of_channels / max(1, self._frames))
        if level > _AUDIBLE and self._energy < _CANCELLED**2 * self._energy_of_channels:
            fraction = math.sqrt(self._energy / self._energy_of_channels)
            return (
                f"its channels cancel out: their mean has {fraction:.1%} of their level; "
                "one of them may be inverted"
            )
        if 0 < self._peak_of_channels < _FEW_STEPS / FULL_SCALE:
            return (
                f"it peaks at {self._peak_of_channels:.2g} of full scale, of which 16 bits hold "
                "next to nothing"
            )
        return ""
