# SPDX-License-Identifier: MPL-2.0
"""Decode any recording that libsndfile reads into 16-bit mono samples.

Lengths of a file are counted in *frames* (one sample of every channel) at the file's own rate.
"""

import logging
import math
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from srnn.data.containers import Corrected, Stated, stated
from srnn.data.levels import FULL_SCALE, Levels
from srnn.errors import InputError, printable

LOWEST_RATE, HIGHEST_RATE = 1_000, 192_000  # Hz: resampling of other rates may exhaust memory
LONGEST = 3_600  # seconds

_BLOCK = 2**22  # samples of all channels that are decoded at a time, a few minutes of sound
_UNKNOWN_LENGTH = 2**63 - 1  # frames

_log = logging.getLogger(__name__)


class UnreadableError(InputError):
    """A file is missing, no recording, damaged, empty, or not supported.

    Attributes
    ----------
    found : str
        What was found in place of a recording, on one line.
    """

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(f"{path}: expected a recording, found {found}")
        self.found = printable(found)


def decode(
    path: Path, report: Callable[[str], None] | None = None
) -> tuple[NDArray[np.int16], int]:
    """Decode a recording to 16-bit mono samples at its own rate.

    Parameters
    ----------
    path : Path
    report : callable, optional
        Receives one line about samples that are clipped, channels that cancel out, or a resolution
        that 16 bits lose. Default: a warning is logged.

    Returns
    -------
    samples : array, shape (n,), n >= 1
        The samples of a 16-bit mono file; of others the mean of the channels, rounded to 16 bits
        and clipped.
    sample_rate : int
        Rate of the samples (Hz), from `LOWEST_RATE` to `HIGHEST_RATE`.

    Raises
    ------
    UnreadableError
        The file is missing, no recording, cut off or otherwise damaged, or empty, holds NaN or
        infinity, has another rate, or is longer than `LONGEST`.
    """
    report = report or partial(_warn, path)
    header = header_of(path)
    if header.missing:
        raise UnreadableError(path, cut_off(header))
    if header.trailing:
        report(f"{header.trailing:,} bytes behind the samples that its header states are not read")
    with opened(path, header) as file:
        _expect_plausible(path, file)
        return _samples(path, file, report), file.samplerate


@contextmanager
def opened(path: Path, header: Stated) -> Iterator[soundfile.SoundFile]:
    """Open a recording within the context.

    Parameters
    ----------
    path : Path
    header : Stated
        As `header_of` returns it.

    Raises
    ------
    UnreadableError
        soundfile cannot read it.
    """
    # As bytes: soundfile takes no string for a name that is no UTF-8.
    name = os.fsencode(path)
    corrected = Corrected(name, header.correction) if header.correction else None
    try:
        with corrected or nullcontext(), soundfile.SoundFile(corrected or name) as file:
            yield file
    # TypeError: a `.raw` file, which has no header.
    except (soundfile.LibsndfileError, TypeError) as error:
        reason = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
        found = f"a file that soundfile cannot read ({reason.rstrip('.')})"
        raise UnreadableError(path, found) from error


def at_rate(samples: NDArray[np.int16], rate: int, sample_rate: int) -> NDArray[np.float32]:
    """Return 16-bit samples in [-1, 1), resampled from ``rate`` to ``sample_rate`` (Hz).

    With soxr: from 44.1 to 16 kHz the alias of a 9 kHz tone is at -133 dB; with the defaults of
    `torchaudio.functional.resample` it is at -17 dB, in a hundred times the time.
    """
    waveform = samples.astype(np.float32) / np.float32(FULL_SCALE)
    if rate == sample_rate:
        return waveform
    resampled: NDArray[np.float32] = soxr.resample(waveform, rate, sample_rate)
    length = math.ceil(len(waveform) * sample_rate / rate)
    return np.pad(resampled[:length], (0, max(0, length - len(resampled))))


def read(path: Path, sample_rate: int) -> NDArray[np.float32]:
    """Decode a recording to 16-bit mono samples in [-1, 1) and bring them to ``sample_rate`` (Hz).

    Returns
    -------
    array, shape (n,), n >= 1
        A 16-bit mono file at ``sample_rate`` yields exactly its integers over 32768.

    Raises
    ------
    UnreadableError
        As `decode` does.
    """
    return at_rate(*decode(path), sample_rate)


def _warn(path: Path, problem: str) -> None:
    _log.warning("%s: %s", printable(path), problem)


def header_of(path: Path) -> Stated:
    """Return what the header of a recording states and libsndfile does not report.

    Raises
    ------
    UnreadableError
        It is no regular file, or cannot be opened.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # opening a pipe would wait for its writer
            raise UnreadableError(path, "a folder" if stat.S_ISDIR(mode) else "no regular file")
        with path.open("rb", buffering=0) as file:
            return stated(file)
    except OSError as refusal:
        raise UnreadableError(path, f"nothing to read ({refusal.strerror})") from refusal


def cut_off(header: Stated) -> str:
    """Return what is found in a recording with bytes missing, for an error."""
    return f"data that is cut off ({header.missing:,} bytes are missing)"


def expect_rate(path: Path, rate: int) -> None:
    """Check the sample rate (Hz) of a recording.

    Raises
    ------
    UnreadableError
        It is not from `LOWEST_RATE` to `HIGHEST_RATE`.
    """
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        allowed = f"{LOWEST_RATE:,} to {HIGHEST_RATE:,} are possible"
        raise UnreadableError(path, f"a sample rate of {rate:,} Hz ({allowed})")


def _expect_plausible(path: Path, file: soundfile.SoundFile) -> None:
    """Check the rate and length in a header, before memory is allocated for it."""
    rate, frames = file.samplerate, file.frames
    expect_rate(path, rate)
    if frames == _UNKNOWN_LENGTH:
        raise UnreadableError(path, "a stream that does not state its length")
    if frames > LONGEST * rate:
        raise UnreadableError(path, f"more than {LONGEST:,} seconds of sound")
    if not frames:
        raise UnreadableError(path, "no samples")


def _samples(
    path: Path, file: soundfile.SoundFile, report: Callable[[str], None]
) -> NDArray[np.int16]:
    exact = file.channels == 1 and file.subtype == "PCM_16"
    levels = None if exact else Levels()
    samples = np.empty(file.frames, np.int16)
    done = 0
    while done < len(samples):
        dtype = "float32" if levels else "int16"
        block = file.read(_BLOCK // file.channels, dtype, always_2d=True)
        if not len(block):
            found = f"data that is cut off ({done:,} of {len(samples):,} frames are there)"
            raise UnreadableError(path, found)
        if not np.isfinite(block).all():
            raise UnreadableError(path, "NaN or infinity among its samples")
        samples[done : done + len(block)] = levels.in_16_bits(block) if levels else block[:, 0]
        done += len(block)
    if levels and (problem := levels.problem()):
        report(problem)
    return samples
