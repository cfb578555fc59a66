# SPDX-License-Identifier: MPL-2.0
"""Silence, cut from background recordings; each partition has stretches of its own.

A recording that states no partition is divided in time into three disjoint stretches, 80 % for
training, 10 % for validation, 10 % for testing.
"""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from srnn.data.labels import BACKGROUND
from srnn.data.names import noise_of

# Begin and end of each partition's stretch, in tenths of the recording.
_TENTHS = {"training": (0, 8), "validation": (8, 9), "testing": (9, 10)}


class Noise(NamedTuple):
    """A background recording, or a stretch of one; lengths in frames at its own rate."""

    name: str  # of the recording in its pack
    start: int  # first frame
    frames: int
    sample_rate: int  # Hz
    partition: str | None = None  # the only one that uses it; None: each has a stretch


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
    unheard = held_out if partition == "training" else ()
    return [
        _stretch(noise, partition)
        for noise in noises
        if noise.frames >= 10
        and noise.partition in (None, partition)
        and noise_of(noise.name) not in unheard
    ]


def _stretch(noise: Noise, partition: str) -> Noise:
    if noise.partition:
        return noise
    first, last = (noise.frames * tenth // 10 for tenth in _TENTHS[partition])
    return noise._replace(start=noise.start + first, frames=last - first)


def cut(
    stretches: list[Noise], count: int, size: int, sample_rate: int, rng: np.random.Generator
) -> list[tuple[str, int, int]]:
    """Cut clips at random places, equally many from each stretch.

    Parameters
    ----------
    stretches : list of Noise
    count : int >= 0
        Number of clips.
    size : int > 0
        Length of a clip in samples at ``sample_rate`` (Hz); a shorter stretch is taken whole.

    Returns
    -------
    list of (str, int, int)
        Name of the recording, first frame, frames.
    """
    cuts = []
    for place, (name, begin, length, rate, _) in enumerate(stretches):
        frames = min(round(size * rate / sample_rate), length)
        share = count // len(stretches) + (place < count % len(stretches))
        starts = np.sort(rng.integers(begin, begin + length - frames, share, endpoint=True))
        cuts += [(name, int(start), frames) for start in starts]
    return cuts


def where(place: Path) -> str:
    """Return where background recordings are expected in a data set, for messages."""
    return str(place / BACKGROUND) if place.is_dir() else f"{place} (label {BACKGROUND})"
