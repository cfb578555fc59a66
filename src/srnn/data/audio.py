# SPDX-License-Identifier: MPL-2.0
"""Decode any recording that libsndfile reads into mono samples at the rate asked for.

Positions and lengths in a file are counted in *frames* (one sample of every channel) at the file's
own rate.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import librosa
import numpy as np
import soundfile
from numpy.typing import NDArray

from srnn.errors import InputError


def read(path: Path, sample_rate: int, start: int = 0, frames: int = -1) -> NDArray[np.float32]:
    """Decode a recording, or a part of it, to mono at `sample_rate`.

    Parameters
    ----------
    path
        File of any format, sample rate and number of channels that soundfile reads.
    sample_rate : int > 0
        Rate of the returned samples (Hz).
    start : int >= 0
        First frame, at the file's own rate.
    frames : int > 0 or -1
        Number of frames at the file's own rate, fewer where the file ends before; -1: to its end.

    Returns
    -------
    Samples, shape (n,): the mean of the channels. Integer formats are scaled to [-1, 1), so that a
    16-bit mono file at `sample_rate` yields exactly its integers over 32768.

    Raises
    ------
    InputError
        The file is missing, no recording, damaged, empty from `start` on, or holds NaN or infinity.
    """
    with _opened(path) as file:
        if start:  # not every format can seek, not even to its beginning
            file.seek(min(start, file.frames))
        channels = file.read(frames, dtype="float32", always_2d=True)
        rate = file.samplerate
    if not len(channels):
        raise InputError(f"{path}: expected samples from frame {start} on, found none")
    if not np.isfinite(channels).all():
        raise InputError(f"{path}: expected finite samples, found NaN or infinity")
    samples: NDArray[np.float32] = channels.mean(axis=1)
    return samples if rate == sample_rate else _resample(samples, rate, sample_rate)


def probe(path: Path) -> tuple[int, int]:
    """Return the number of frames and the sample rate (Hz) of a recording without decoding it.

    Raises
    ------
    InputError
        The file is missing or no recording.
    """
    with _opened(path) as file:
        return file.frames, file.samplerate


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open `path`; whatever libsndfile objects to, then or while reading, becomes an InputError."""
    try:
        with soundfile.SoundFile(path) as file:
            yield file
    # Beside its own error soundfile raises TypeError for headerless `.raw` files, whose format it
    # cannot know, ValueError where a stream does not state its length, MemoryError where a damaged
    # header states an absurd one.
    except (soundfile.LibsndfileError, TypeError, ValueError, MemoryError) as error:
        found = _why_unreadable(path, error)
        raise InputError(
            f"{path}: expected a recording that soundfile can read, found {found}"
        ) from error


def _why_unreadable(path: Path, error: Exception) -> str:
    try:  # libsndfile calls a missing file a "System error": ask the system itself
        path.open("rb").close()
    except OSError as refusal:
        return f"nothing to read ({refusal.strerror})"
    reason = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
    return f"a file it cannot read ({reason.rstrip('.')})"


def _resample(samples: NDArray[np.float32], rate: int, sample_rate: int) -> NDArray[np.float32]:
    resampled: NDArray[np.float32] = librosa.resample(samples, orig_sr=rate, target_sr=sample_rate)
    return resampled
