# SPDX-License-Identifier: MPL-2.0
"""Blocks of a sound are the sound, without seams."""

import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch
from numpy.typing import NDArray

from srnn.data import audio
from srnn.data.audio import UnreadableError
from srnn.errors import InputError
from srnn.instruments.listening import sounds
from srnn.instruments.listening.sounds import microphone, raw, recording


def noise(size: int) -> NDArray[np.int16]:
    return np.random.default_rng(0).integers(-20_000, 20_000, size).astype(np.int16)


@pytest.mark.parametrize("size", [1, 1599, 1600, 16_001])
def test_a_recording_in_blocks_is_what_prediction_reads(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(size), 16_000)
    assert np.array_equal(torch.cat([*recording(path, 16_000)]), audio.read(path, 16_000))


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_resampling_leaves_no_seams(tmp_path: Path, rate: int) -> None:
    path, samples = tmp_path / "a.flac", noise(2 * rate + 7)
    soundfile.write(path, samples, rate)
    found = torch.cat([*recording(path, 16_000)]).numpy()
    whole = soxr.resample(samples.astype(np.float32) / 2**15, rate, 16_000, "HQ")
    assert len(found) == len(whole)
    assert np.abs(found - whole).max() < 1e-4


def test_channels_are_averaged(tmp_path: Path) -> None:
    path, one = tmp_path / "a.wav", noise(5000)
    soundfile.write(path, np.stack([one, -one // 2], axis=1), 16_000)
    expected = (one - (one + 1) // 2) / 2 / 2**15
    assert np.abs(torch.cat([*recording(path, 16_000)]).numpy() - expected).max() < 2e-5


def test_what_is_no_recording_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    for content, found in ((None, "nothing to read"), (b"RIFF of nothing", "soundfile cannot")):
        if content:
            path.write_bytes(content)
        with pytest.raises(UnreadableError, match=found):
            list(recording(path, 16_000))
    with pytest.raises(UnreadableError, match="a folder"):
        list(recording(tmp_path, 16_000))
    soundfile.write(path, np.array([0, 0.1, np.nan, 0.2]), 16_000, "FLOAT")
    with pytest.raises(UnreadableError, match="NaN or infinity"):
        list(recording(path, 16_000))


def test_a_recording_that_is_cut_off_is_read_to_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    soundfile.write(path, np.full(48_000, 0.5), 16_000)
    path.write_bytes(path.read_bytes()[: 44 + 2 * 16_000])
    found: list[torch.Tensor] = []
    with pytest.raises(UnreadableError, match=r"data that is cut off \(\S+ bytes are missing\)"):
        found.extend(recording(path, 16_000))
    assert len(torch.cat(found)) == 16_000


@pytest.mark.parametrize("size", [1, 2, 3, 3201])
def test_a_pipe_yields_samples_whatever_its_parts(size: int) -> None:
    samples = noise(8000)
    pipe = _Parts(samples.astype("<i2").tobytes(), size)
    found = torch.cat([*raw(pipe, 16_000, 16_000, "-")])
    assert np.array_equal(found, samples.astype(np.float32) / 2**15)


def test_a_pipe_that_ends_in_a_sample_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = torch.cat([*raw(io.BytesIO(b"\x00\x40\x01"), 16_000, 16_000, "-")])
    assert found.tolist() == [0.5]
    assert "ends in the middle of a sample" in caplog.text


def test_a_pipe_that_stalls_yields_what_came() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        blocks = raw(pipe, 16_000, 16_000, "-")
        os.write(writing, noise(100).tobytes())
        assert len(next(blocks)) == 100  # nothing more is waited for
        closing = threading.Timer(0.2, os.close, [writing])
        closing.start()
        assert sum(map(len, blocks)) == 0
        closing.join()


class _FakeDevices:
    """A `sounddevice` without hardware: one microphone, which plays some blocks and then stops."""

    __spec__ = ModuleSpec("sounddevice", None)

    class PortAudioError(Exception):
        pass

    def __init__(self, blocks: list[NDArray[np.float32]], rate: int = 48_000) -> None:
        self.blocks = blocks
        self.rate = rate
        self.opened: dict[str, Any] = {}

    def query_devices(self, device: object = None, kind: str = "") -> dict[str, Any]:
        if device not in (None, 3, "mic"):
            raise ValueError(f"No input device matching {device!r}")
        return {"name": "a mic", "default_samplerate": float(self.rate)}

    @contextmanager
    def InputStream(self, *, callback: Callable[..., None], **options: Any) -> Iterator[None]:  # noqa: N802
        self.opened = options
        for n, block in enumerate(self.blocks):
            callback(block[:, None], len(block), None, "input overflow" if n == 1 else "")
        yield


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Callable[..., _FakeDevices]:
    def plug(blocks: list[NDArray[np.float32]], rate: int = 48_000) -> _FakeDevices:
        fake = _FakeDevices(blocks, rate)
        monkeypatch.setitem(sys.modules, "sounddevice", fake)
        monkeypatch.setattr(sounds, "_PATIENCE", 0.05)
        return fake

    return plug


@pytest.mark.parametrize("device", [None, "3", "mic"])
def test_a_microphone_is_resampled_until_it_vanishes(
    plug: Callable[..., _FakeDevices], caplog: pytest.LogCaptureFixture, device: str | None
) -> None:
    whole = noise(24_000).astype(np.float32) / 2**15
    fake = plug(np.split(whole, 5))
    found: list[torch.Tensor] = []
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(InputError, match=r"a mic: expected sound from it, found none for 0\.05 s"),
    ):
        found.extend(microphone(16_000, device))  # keeps what came before the error
    assert fake.opened["samplerate"] == 48_000
    assert fake.opened["device"] == (3 if device == "3" else device)
    expected = soxr.resample(whole, 48_000, 16_000, "HQ")
    heard = torch.cat(found).numpy()
    assert len(heard) > 0.9 * len(expected)
    assert np.abs(heard - expected[: len(heard)]).max() < 1e-3
    assert "sound was lost (input overflow)" in caplog.text


def test_a_listener_that_is_too_slow_loses_sound(
    plug: Callable[..., _FakeDevices], caplog: pytest.LogCaptureFixture
) -> None:
    plug([np.zeros(1600, np.float32)] * 120, 16_000)
    with caplog.at_level(logging.WARNING), pytest.raises(InputError):
        list(microphone(16_000))
    assert caplog.text.count("listening is too slow") == 20


def test_what_is_no_microphone_is_an_error(
    plug: Callable[..., _FakeDevices], monkeypatch: pytest.MonkeyPatch
) -> None:
    plug([])
    with pytest.raises(InputError, match=r"--device: 'radio': expected a microphone, found No"):
        list(microphone(16_000, "radio"))
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"^microphone: expected the package sounddevice"):
        list(microphone(16_000))


class _Parts(io.RawIOBase):
    """A pipe whose reads return at most some bytes."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = io.BytesIO(data)
        self._size = size

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, self._size))
