# SPDX-License-Identifier: MPL-2.0
"""Decoding: exact samples, any format, rate and number of channels, and what is refused."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from recordings import BAD, bad_recordings, odd_recordings
from srnn.data import audio

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


def test_a_long_recording_is_decoded_by_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "_BLOCK", 999)
    soundfile.write(tmp_path / "yes.wav", INTEGERS.reshape(-1, 2), RATE)
    expected = np.rint(INTEGERS.reshape(-1, 2).mean(1)).clip(-32768, 32767)
    np.testing.assert_array_equal(audio.decode(tmp_path / "yes.wav")[0], expected)


def test_odd_recordings_work(tmp_path: Path) -> None:
    for path, seconds in odd_recordings(tmp_path).items():
        samples, rate = audio.decode(path)
        assert len(samples) == pytest.approx(seconds * rate, abs=320), path  # GSM: whole blocks
        assert np.abs(samples).max() > 2000


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_recording(tmp_path: Path, name: str) -> None:
    bad_recordings(tmp_path)
    path = tmp_path / name
    with pytest.raises(audio.UnreadableError) as error:
        audio.read(path, RATE)
    assert error.value.found == BAD[name]
    assert str(error.value) == f"{path}: expected a recording, found {BAD[name]}"


def test_a_file_that_may_not_be_read(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(audio.UnreadableError) as error:
        audio.read(recording, RATE)
    assert error.value.found == "nothing to read (Permission denied)"


def test_a_headerless_recording(tmp_path: Path) -> None:
    (tmp_path / "yes.raw").write_bytes(bytes(100))
    with pytest.raises(audio.UnreadableError, match=r"cannot read \(samplerate must be specified"):
        audio.read(tmp_path / "yes.raw", RATE)


@pytest.mark.parametrize("length", [0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_a_length_that_the_writer_did_not_know(recording: Path, length: int) -> None:
    content = bytearray(recording.read_bytes())
    content[40:44] = length.to_bytes(4, "little")
    recording.write_bytes(content)
    np.testing.assert_array_equal(audio.decode(recording)[0], INTEGERS)


@pytest.mark.parametrize("order", ["LITTLE", "BIG"])
def test_chunks_before_the_samples_are_passed_over(tmp_path: Path, order: str) -> None:
    path = tmp_path / "yes.wav"
    soundfile.write(path, INTEGERS, RATE, endian=order)
    content = path.read_bytes()
    chunk = b"LIST" + (3).to_bytes(4, "little" if order == "LITTLE" else "big") + b"abc\0"
    path.write_bytes(content[:36] + chunk + content[36:])
    np.testing.assert_array_equal(audio.decode(path)[0], INTEGERS)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(audio.UnreadableError, match=r"cut off \(1 bytes are missing\)"):
        audio.decode(path)


def rewritten(path: Path, place: int, content: bytes) -> bytes:
    """Return the content of a file, of which some bytes are others."""
    whole = bytearray(path.read_bytes())
    whole[place : place + len(content)] = content
    return bytes(whole)


@pytest.mark.parametrize(
    ("kind", "lengths"),
    [
        ("WAV", {40: bytes(4)}),
        ("WAV", {40: bytes(4), 4: bytes(4)}),
        ("WAV", {40: bytes(4), 4: (36).to_bytes(4, "little")}),
        ("AIFF", {42: bytes(4), 4: bytes(4)}),
        ("AU", {8: bytes(4)}),
        ("AU", {8: b"\xff" * 4}),
        ("RF64", {28: bytes(8)}),
        ("RF64", {20: bytes(24)}),
        ("RF64", {28: b"\xff" * 8}),
        ("W64", {96: bytes(8), 16: bytes(8)}),
        ("CAF", {4084: b"\xff" * 8}),
    ],
)
def test_a_length_that_the_writer_never_filled_in(
    tmp_path: Path, kind: str, lengths: dict[int, bytes]
) -> None:
    """A recorder that was killed, or that wrote into a pipe: read up to the end, as sox does."""
    path = tmp_path / f"yes.{kind.lower()}"
    soundfile.write(path, INTEGERS, RATE, "PCM_16", format=kind)
    for place, content in lengths.items():
        path.write_bytes(rewritten(path, place, content))
    samples, rate = audio.decode(path)
    np.testing.assert_array_equal(samples, INTEGERS)
    assert rate == RATE


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT", "ULAW"])
def test_a_length_of_zero_before_samples_of_any_format(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "yes.wav"
    soundfile.write(path, sine(440, RATE).repeat(2).reshape(-1, 2), RATE, subtype=subtype)
    expected, _ = audio.decode(path)
    path.write_bytes(rewritten(path, path.read_bytes().index(b"data") + 4, bytes(4)))
    np.testing.assert_array_equal(audio.decode(path)[0], expected)


def test_what_follows_no_samples_may_be_chunks(tmp_path: Path) -> None:
    path = tmp_path / "yes.wav"
    soundfile.write(path, INTEGERS[:0], RATE)
    for chunks in (b"", b"LIST\x04\0\0\0INFO", b"id3 \x03\0\0\0abc\0LIST\0\0\0\0"):
        path.write_bytes(path.read_bytes()[:44] + chunks)
        with pytest.raises(audio.UnreadableError, match="found no samples"):
            audio.decode(path)


def test_chunks_behind_the_samples_are_no_samples(tmp_path: Path) -> None:
    path = tmp_path / "yes.wav"
    soundfile.write(path, INTEGERS, RATE)
    path.write_bytes(path.read_bytes() + b"LIST" + (9000).to_bytes(4, "little") + bytes(9000))
    problems: list[str] = []
    np.testing.assert_array_equal(audio.decode(path, problems.append)[0], INTEGERS)
    assert problems == []


def test_samples_behind_the_stated_ones_are_reported(tmp_path: Path) -> None:
    """A recorder notes the length now and then, and is killed in between."""
    path = tmp_path / "yes.wav"
    soundfile.write(path, INTEGERS, RATE)
    path.write_bytes(rewritten(path, 40, (6000).to_bytes(4, "little")))
    problems: list[str] = []
    np.testing.assert_array_equal(audio.decode(path, problems.append)[0], INTEGERS[:3000])
    assert problems == ["2,000 bytes behind the samples that its header states are not read"]


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "AU", "RF64", "W64", "CAF", "SVX", "OGG", "FLAC"])
def test_what_is_cut_off_is_no_recording(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"yes.{kind.lower()}"
    soundfile.write(path, sine(440, RATE, 9), RATE, format=kind)
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) * 2 // 3])
    with pytest.raises(audio.UnreadableError, match=r"cut off|lost sync"):
        audio.decode(path)


# What is lost on the way to 16 bits


def problems_of(path: Path, samples: NDArray[np.float64], subtype: str) -> list[str]:
    soundfile.write(path, samples, RATE, subtype=subtype)
    found: list[str] = []
    audio.decode(path, found.append)
    return found


def test_integers_as_floats_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "yes.wav"
    for scale in (2.1, 128, 32768, 1e30):
        (problem,) = problems_of(path, scale * 2 * sine(440, RATE), "FLOAT")
        assert problem.startswith("samples of up to ")
        assert problem.endswith(
            "where full scale is 1, are clipped: it may hold integers as floats"
        )


@pytest.mark.parametrize("scale", [0.01, 1, 1.4, 1.99])
def test_samples_a_little_above_full_scale_are_no_matter(tmp_path: Path, scale: float) -> None:
    assert problems_of(tmp_path / "yes.wav", scale * 2 * sine(440, RATE), "FLOAT") == []


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
@pytest.mark.parametrize("share", [0, 0.05])
def test_channels_that_cancel_out_are_reported(tmp_path: Path, subtype: str, share: float) -> None:
    left = sine(440, RATE)
    (problem,) = problems_of(tmp_path / "yes.wav", np.stack([left, (share - 1) * left], 1), subtype)
    assert problem.startswith("its channels cancel out: their mean has ")


def test_other_channels_do_not_cancel_out(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "yes.wav"
    left, noise = sine(440, RATE), rng.normal(0, 0.1, (RATE, 16))
    for channels in (
        np.stack([left, left], 1),
        np.stack([left, 0 * left], 1),
        np.stack([left, -0.5 * left], 1),
        noise,
        np.zeros((100, 2)),
        np.stack([left, -left], 1) * 1e-3,
    ):
        assert problems_of(path, channels, "PCM_16") == []


def test_a_recording_that_16_bits_hold_nothing_of_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "yes.wav"
    quiet = 0.5 * sine(440, RATE) / 2**16  # 16-bit integers, written as 32-bit ones
    (problem,) = problems_of(path, quiet, "PCM_32")
    assert problem == "it peaks at 3.8e-06 of full scale, of which 16 bits hold next to nothing"
    assert problems_of(path, 100 * quiet, "PCM_32") == []
    assert problems_of(path, 0 * quiet, "PCM_32") == []


def test_what_is_lost_is_logged_once_with_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "_BLOCK", 999)
    path = tmp_path / "two\nlines.wav"
    soundfile.write(path, 20_000 * sine(440, RATE), RATE, subtype="FLOAT")
    audio.read(path, RATE)
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path}/two\\nlines.wav: samples of up to 10,000, where full")


def test_every_rate_within_the_bounds_is_resampled(tmp_path: Path) -> None:
    path = tmp_path / "yes.wav"
    for rate in (audio.LOWEST_RATE, audio.HIGHEST_RATE):
        soundfile.write(path, np.zeros(1), rate)
        assert len(audio.read(path, RATE)) == -(-RATE // rate)


@pytest.mark.parametrize("length", [1, 2, 777, 44_100])
@pytest.mark.parametrize("rates", [(44_100, 16_000), (8_000, 16_000), (48_000, 44_100)])
def test_resampling_is_librosas(length: int, rates: tuple[int, int]) -> None:
    samples = np.random.default_rng(length).integers(-9000, 9000, length).astype(np.int16)
    waveform = samples.astype(np.float32) / np.float32(2**15)
    expected = librosa.resample(waveform, orig_sr=rates[0], target_sr=rates[1])
    assert np.array_equal(audio.at_rate(samples, *rates), expected)
