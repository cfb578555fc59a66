# SPDX-License-Identifier: MPL-2.0
"""Sounds of any length, a block at a time: recordings and raw samples on a pipe.

Legend: n samples.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.data.audio import HIGHEST_RATE, LOWEST_RATE, UnreadableError
from srnn.data.levels import FULL_SCALE
from srnn.errors import printable

_BLOCK = 0.1  # seconds of sound that are read at a time

_log = logging.getLogger(__name__)


class Pipe(Protocol):
    """An unbuffered binary file: a read waits only where nothing is there."""

    def read(self, size: int, /) -> bytes | None:
        """Return at most ``size`` bytes; none at the end."""
        ...


class Resampler:
    """Brings a sound to another sample rate, block by block and without seams.

    Parameters
    ----------
    rate, sample_rate : int
        Of what is given and of what is returned (Hz).
    """

    def __init__(self, rate: int, sample_rate: int) -> None:
        self._stream = (
            None
            if rate == sample_rate
            else soxr.ResampleStream(rate, sample_rate, 1, "float32", "HQ")
        )

    def push(self, samples: NDArray[np.float32], *, last: bool = False) -> Tensor:
        """Return further samples (n,) at the other rate; a filter delays them a little."""
        if self._stream is not None:
            samples = self._stream.resample_chunk(samples, last)
        return torch.from_numpy(samples)


def recording(path: Path, sample_rate: int) -> Iterator[Tensor]:
    """Yield a recording of any length and format in blocks (n,), at ``sample_rate`` (Hz).

    Channels are averaged.

    Raises
    ------
    UnreadableError
        If it is no recording, or is damaged: after what could be read of it.
    """
    if not path.is_file():
        raise UnreadableError(path, "a folder" if path.is_dir() else "nothing to read")
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
                allowed = f"{LOWEST_RATE:,} to {HIGHEST_RATE:,} are possible"
                raise UnreadableError(path, f"a sample rate of {file.samplerate:,} Hz ({allowed})")
            resampler = Resampler(file.samplerate, sample_rate)
            frames = round(_BLOCK * file.samplerate)
            for block in file.blocks(frames, dtype="float32", always_2d=True):
                if not np.isfinite(block).all():
                    raise UnreadableError(path, "NaN or infinity among its samples")
                yield resampler.push(block.mean(axis=1))
            yield resampler.push(np.zeros(0, np.float32), last=True)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: `.raw` has no header
        reason = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
        found = f"a file that soundfile cannot read ({reason.rstrip('.')})"
        raise UnreadableError(path, found) from error


def raw(pipe: Pipe, rate: int, sample_rate: int, name: str) -> Iterator[Tensor]:
    """Yield raw 16-bit little-endian mono samples from a pipe in blocks (n,), as they come.

    Parameters
    ----------
    pipe : Pipe
    rate, sample_rate : int
        Of the pipe and of what is yielded (Hz).
    name : str
        For messages.
    """
    resampler = Resampler(rate, sample_rate)
    size = 2 * round(_BLOCK * rate)  # bytes
    rest = b""
    while some := pipe.read(size):
        data = rest + some
        whole = len(data) - len(data) % 2
        rest = data[whole:]
        samples = np.frombuffer(data[:whole], "<i2").astype(np.float32)
        yield resampler.push(samples / np.float32(FULL_SCALE))
    if rest:
        _log.warning("%s: ends in the middle of a sample", printable(name))
    yield resampler.push(np.zeros(0, np.float32), last=True)
