# SPDX-License-Identifier: MPL-2.0
"""Decode any recording that libsndfile reads into 16-bit mono samples.

Lengths of a file are counted in *frames* (one sample of every channel) at the file's own rate.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import librosa
import numpy as np
import soundfile
from numpy.typing import NDArray

from srnn.errors import InputError

_FULL_SCALE = 2**15  # of 16-bit samples


def decode(path: Path) -> tuple[NDArray[np.int16], int]:
    """Decode a recording to 16-bit mono samples at its own rate.

    Returns
    -------
    samples : array, shape (n,), n >= 1
        The samples of a 16-bit mono file; of others the mean of the channels, rounded to 16 bits
        and clipped.
    sample_rate : int
        Rate of the samples (Hz).

    Raises
    ------
    InputError
        The file is missing, no recording, damaged or empty, or holds NaN or infinity.
    """
    with _opened(path) as file:
        rate = file.samplerate
        exact = file.channels == 1 and file.subtype == "PCM_16"
        channels = file.read(dtype="int16" if exact else "float32", always_2d=True)
    if not len(channels):
        raise InputError(f"{path}: expected samples, found none")
    if exact:
        return channels[:, 0], rate
    if not np.isfinite(channels).all():
        raise InputError(f"{path}: expected finite samples, found NaN or infinity")
    rounded = np.rint(channels.mean(axis=1) * _FULL_SCALE)
    return np.clip(rounded, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16), rate


def at_rate(samples: NDArray[np.int16], rate: int, sample_rate: int) -> NDArray[np.float32]:
    """Return 16-bit samples in [-1, 1), brought from ``rate`` to ``sample_rate`` (Hz)."""
    waveform = samples.astype(np.float32) / np.float32(_FULL_SCALE)
    if rate == sample_rate:
        return waveform
    resampled: NDArray[np.float32] = librosa.resample(waveform, orig_sr=rate, target_sr=sample_rate)
    return resampled


def read(path: Path, sample_rate: int) -> NDArray[np.float32]:
    """Decode a recording to 16-bit mono samples in [-1, 1) and bring them to ``sample_rate`` (Hz).

    Returns
    -------
    array, shape (n,), n >= 1
        A 16-bit mono file at ``sample_rate`` yields exactly its integers over 32768.

    Raises
    ------
    InputError
        As `decode` does.
    """
    return at_rate(*decode(path), sample_rate)


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
