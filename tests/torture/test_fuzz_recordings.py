# SPDX-License-Identifier: MPL-2.0
"""Thousands of broken wav files: each is decoded to samples that are sound, or refused."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fuzzing import command, damaged, expect_proper, fuzz, outcome, unchanged
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from srnn.data import audio

CHECKPOINT = Path(__file__).parents[1] / "fixtures" / "checkpoint-0.1.0.pt"
FILE = Path("yes.wav")
RATE = 16_000
STARTS = (f"{FILE}: ",)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def wav(rate: int, channels: int, subtype: str, kind: str = "WAV") -> bytes:
    """Return 50 ms of noise."""
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, (rate // 20, channels))
    buffer = io.BytesIO()
    soundfile.write(buffer, noise, rate, subtype, format=kind)
    return buffer.getvalue()


VALID = [
    wav(16_000, 1, "PCM_16"),
    wav(16_000, 2, "PCM_16"),
    wav(8_000, 1, "PCM_U8"),
    wav(44_100, 2, "PCM_24"),
    wav(11_025, 1, "PCM_32"),
    wav(16_000, 1, "FLOAT"),
    wav(48_000, 2, "DOUBLE"),
    wav(8_000, 1, "ULAW"),
    wav(16_000, 1, "IMA_ADPCM"),
    wav(16_000, 1, "PCM_16", "WAVEX"),
]


def is_decoded(content: bytes) -> bool:
    """Return whether a recording is decoded, having checked what must then come of it."""
    FILE.write_bytes(content)
    with unchanged(Path.cwd()):
        samples = outcome(lambda: audio.read(FILE, RATE), *STARTS)
        code, answer, complaint = command("predict", CHECKPOINT, FILE)
    assert (code, bool(complaint)) == ((2, True) if samples is None else (0, False))
    if samples is None:
        expect_proper(complaint.removesuffix("\n"), *STARTS)
        return False
    assert re.fullmatch(rf"{FILE}: \w+ [\d.]+%(  \(.+\))?\n", answer)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert len(samples) >= 1
    assert np.isfinite(samples).all()
    if audio.decode(FILE)[1] == RATE:  # else the resampling filter may overshoot
        assert samples.min() >= -1
        assert samples.max() < 1
    return True


def chunks(content: bytes) -> list[bytes]:
    """Split a wav file behind its first 12 bytes into chunks."""
    pieces, rest = [], content[12:]
    while rest:
        size = 8 + int.from_bytes(rest[4:8], "little")
        pieces.append(rest[:size])
        rest = rest[size:]
    return pieces


def rearranged(content: bytes) -> SearchStrategy[bytes]:
    """Return the file's chunks in another order, some of them often or not at all."""
    odd = st.binary(min_size=4, max_size=4).map(lambda name: name + b"\x08\0\0\0chunky!!")
    pieces = st.lists(st.sampled_from(chunks(content)) | odd, max_size=5)
    return pieces.map(lambda some: content[:12] + b"".join(some))


def test_damaged_wav_files(full: bool) -> None:
    files = st.sampled_from(VALID)
    inputs = st.one_of(
        files.flatmap(damaged),
        files.flatmap(damaged),
        files.flatmap(rearranged),
        files.flatmap(rearranged).flatmap(damaged),
        st.tuples(files, st.binary()).map(b"".join),
    )
    fuzz("recordings", inputs, is_decoded, 5_000 if full else 60, valid=VALID, full=full)
