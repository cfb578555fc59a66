# SPDX-License-Identifier: MPL-2.0
"""Decoding: exact samples, any format, rate and number of channels, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from srnn.data import audio
from srnn.errors import InputError

RATE = 16000
ROUNDING = 2**-16 + 2**-22  # half a step of 16 bits, and what 24 and 32 bits add
INTEGERS = np.random.default_rng(0).integers(-(2**15), 2**15, 4000).astype(np.int16)


def sine(frequency: float, rate: int, seconds: float = 1.0) -> NDArray[np.float64]:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "yes.wav", INTEGERS, RATE)
    return tmp_path / "yes.wav"


def test_16_bit_samples_are_the_integers_over_32768(recording: Path) -> None:
    samples = audio.read(recording, RATE)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, INTEGERS.astype(np.float32) / 32768)


def test_decoding_keeps_the_rate_of_the_file_and_its_integers(recording: Path) -> None:
    samples, rate = audio.decode(recording)
    assert samples.dtype == np.int16
    assert rate == RATE
    np.testing.assert_array_equal(samples, INTEGERS)


def test_what_exceeds_full_scale_is_clipped(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "yes.wav", np.array([-1.5, 0, 1.5]), RATE, subtype="FLOAT")
    np.testing.assert_array_equal(audio.decode(tmp_path / "yes.wav")[0], [-32768, 0, 32767])


@pytest.mark.parametrize(
    ("name", "subtype", "step"),
    [
        ("yes.wav", "PCM_U8", 2**-7),
        ("yes.wav", "PCM_16", 2**-15),
        ("yes.wav", "PCM_24", ROUNDING),
        ("yes.wav", "FLOAT", ROUNDING),
        ("yes.wav", "DOUBLE", ROUNDING),
        ("yes.flac", "PCM_16", 2**-15),
        ("yes.flac", "PCM_24", ROUNDING),
    ],
)
def test_every_sample_format_is_decoded(
    tmp_path: Path, name: str, subtype: str, step: float
) -> None:
    soundfile.write(tmp_path / name, sine(440, RATE), RATE, subtype=subtype)
    np.testing.assert_allclose(audio.read(tmp_path / name, RATE), sine(440, RATE), atol=step)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = sine(440, RATE), sine(1000, RATE)
    soundfile.write(tmp_path / "yes.wav", np.stack([left, right], 1), RATE, subtype="FLOAT")
    samples = audio.read(tmp_path / "yes.wav", RATE)
    np.testing.assert_allclose(samples, (left + right) / 2, atol=ROUNDING)


@pytest.mark.parametrize("rate", [8000, 11025, 11127, 22050, 44100, 48000, 96000])
def test_a_sine_survives_resampling(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "yes.wav", sine(1000, rate), rate, subtype="FLOAT")
    samples = audio.read(tmp_path / "yes.wav", RATE)
    assert samples.shape == (RATE,)
    inner = slice(200, -200)  # the filter sees the silence around the clip at its ends
    np.testing.assert_allclose(samples[inner], sine(1000, RATE)[inner], atol=5e-3)


def test_what_lies_above_half_the_new_rate_is_removed(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "yes.wav", sine(11000, 44100), 44100, subtype="FLOAT")
    samples = audio.read(tmp_path / "yes.wav", RATE)
    assert np.abs(samples[200:-200]).max() < 5e-3


def test_probe_tells_frames_and_rate(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "hum.wav", sine(50, 44100, 0.5), 44100)
    assert audio.probe(tmp_path / "hum.wav") == (22050, 44100)


UNREADABLE = "expected a recording that soundfile can read, found"


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "yes.wav"
    for function in (lambda: audio.read(path, RATE), lambda: audio.probe(path)):
        with pytest.raises(InputError) as error:
            function()
        found = "nothing to read (No such file or directory)"
        assert str(error.value) == f"{path}: {UNREADABLE} {found}"


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        audio.read(tmp_path, RATE)
    assert str(error.value) == f"{tmp_path}: {UNREADABLE} nothing to read (Is a directory)"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("yes.wav", b"", "Format not recognised"),
        ("yes.wav", b"these are words, but they are written", "Format not recognised"),
        ("yes.raw", b"\0" * 100, "samplerate must be specified"),
    ],
)
def test_a_file_that_is_no_recording(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        audio.read(path, RATE)
    assert str(error.value) == f"{path}: {UNREADABLE} a file it cannot read ({reason})"


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "yes.flac"
    soundfile.write(path, INTEGERS, RATE)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError) as error:
        audio.read(path, RATE)
    assert str(error.value).startswith(f"{path}: {UNREADABLE} a file it cannot read (")


def test_a_stream_that_does_not_state_its_length(tmp_path: Path) -> None:
    path = tmp_path / "yes.flac"
    soundfile.write(path, INTEGERS, RATE)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the number of samples: the last 36 of the 64 bits from byte 18 on
    content[22:26] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        audio.read(path, RATE)
    assert str(error.value).startswith(f"{path}: {UNREADABLE} a file it cannot read (array is too")


def test_a_recording_without_samples(tmp_path: Path) -> None:
    path = tmp_path / "yes.wav"
    soundfile.write(path, np.zeros(0), RATE)
    with pytest.raises(InputError) as error:
        audio.read(path, RATE)
    assert str(error.value) == f"{path}: expected samples, found none"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    path = tmp_path / "yes.wav"
    sound = np.zeros((100, 2), np.float32)
    sound[50] = value, -value
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    with pytest.raises(InputError) as error:
        audio.read(path, RATE)
    assert str(error.value) == f"{path}: expected finite samples, found NaN or infinity"
