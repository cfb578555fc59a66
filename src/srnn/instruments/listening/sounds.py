# SPDX-License-Identifier: MPL-2.0
"""Sounds of any length, a block at a time: recordings, raw samples on a pipe, a microphone.

Legend: n samples.
"""

import logging
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.data.audio import (
    UnreadableError,
    cut_off,
    expect_rate,
    header_of,
    opened,
)
from srnn.data.levels import FULL_SCALE
from srnn.errors import InputError, printable
from srnn.packages import expect_packages

_BLOCK = 0.1  # seconds of a live sound that are read at a time
_LONG_BLOCK = 1.0  # seconds of a recording that are read at a time
_LAG = 10.0  # seconds by which listening may lag behind a microphone
_PATIENCE = 3.0  # seconds without a block after which a microphone counts as gone

_CONTAINERS = (b"RIFF", b"fLaC", b"OggS", b"ID3")  # how wav, FLAC, Ogg and MP3 files begin

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
    header = header_of(path)
    with opened(path, header) as file:
        expect_rate(path, file.samplerate)
        resampler = Resampler(file.samplerate, sample_rate)
        frames = round(_LONG_BLOCK * file.samplerate)
        for block in file.blocks(frames, dtype="float32", always_2d=True):
            if not np.isfinite(block).all():
                raise UnreadableError(path, "NaN or infinity among its samples")
            yield resampler.push(block.mean(axis=1))
        yield resampler.push(np.zeros(0, np.float32), last=True)
    if header.missing:
        raise UnreadableError(path, cut_off(header))


def raw(pipe: Pipe, rate: int, sample_rate: int, name: str) -> Iterator[Tensor]:
    """Yield raw 16-bit little-endian mono samples from a pipe in blocks (n,), as they come.

    Parameters
    ----------
    pipe : Pipe
    rate, sample_rate : int
        Of the pipe and of what is yielded (Hz).
    name : str
        For messages.

    Raises
    ------
    InputError
        If it is a file of another format.
    """
    resampler = Resampler(rate, sample_rate)
    size = 2 * round(_BLOCK * rate)  # bytes
    rest, is_first = b"", True
    while some := pipe.read(size):
        data = rest + some
        if is_first and data.startswith(_CONTAINERS):
            raise InputError(
                f"{printable(name)}: expected raw 16-bit samples, found a file of another format "
                f"(it begins with {data[:4]!r}): name the file instead, or convert it"
            )
        is_first = False
        whole = len(data) - len(data) % 2
        rest = data[whole:]
        samples = np.frombuffer(data[:whole], "<i2").astype(np.float32)
        yield resampler.push(samples / np.float32(FULL_SCALE))
    if rest:
        _log.warning("%s: ends in the middle of a sample", printable(name))
    yield resampler.push(np.zeros(0, np.float32), last=True)


def microphone(sample_rate: int, device: str | None = None) -> Iterator[Tensor]:
    """Yield what a microphone records, without end, in blocks (n,).

    It is opened at its own rate and resampled. Where what is yielded is not taken in time, sound is
    lost, with a warning; what follows goes on.

    Parameters
    ----------
    sample_rate : int
        Of what is yielded (Hz).
    device : str, optional
        Number or part of the name of the device; by default that of the system.

    Raises
    ------
    InputError
        If `sounddevice` or PortAudio is not installed, or the device cannot be opened or vanishes.
    """
    sounddevice = _sounddevice()
    number = int(device) if device and device.isdecimal() else device
    blocks: queue.Queue[NDArray[np.float32]] = queue.Queue(round(_LAG / _BLOCK))

    def receive(data: NDArray[np.float32], _frames: int, _time: object, status: object) -> None:
        if status:
            _log.warning("microphone: sound was lost (%s)", status)
        try:
            blocks.put_nowait(data[:, 0].copy())
        except queue.Full:
            _log.warning("microphone: %g s of sound were lost: listening is too slow", _BLOCK)

    try:
        found = sounddevice.query_devices(number, "input")
        rate = round(found["default_samplerate"])
        stream = sounddevice.InputStream(
            samplerate=rate,
            blocksize=round(_BLOCK * rate),
            device=number,
            channels=1,
            dtype="float32",
            callback=receive,
        )
        resampler = Resampler(rate, sample_rate)
        with stream:
            _log.info("listening to %s, at %d Hz", printable(found["name"]), rate)
            while True:
                yield resampler.push(blocks.get(timeout=_PATIENCE))
    except queue.Empty:
        message = f"expected sound from it, found none for {_PATIENCE:g} s: is it still there?"
        raise InputError(f"microphone {printable(found['name'])}: {message}") from None
    # ValueError: no or several devices of that name.
    except (sounddevice.PortAudioError, ValueError) as error:
        name = "the default device" if device is None else repr(device)
        message = f"expected a microphone, found {printable(error)} (--devices lists them)"
        raise InputError(f"--device: {name}: {message}") from error


def devices() -> str:
    """Return a table of the sound devices; "<" and ">" mark the default ones.

    Raises
    ------
    InputError
        If `sounddevice` or PortAudio is not installed.
    """
    return str(_sounddevice().query_devices())


def _sounddevice() -> Any:  # a module without types
    expect_packages("microphone", "microphone")
    try:
        import sounddevice
    except OSError as error:
        raise InputError(
            f"microphone: expected PortAudio (Debian: libportaudio2), found {error}; recordings "
            "and `-` do not need it"
        ) from error
    return sounddevice
