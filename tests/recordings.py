# SPDX-License-Identifier: MPL-2.0
"""Recordings as they come: damaged in every way, and odd ones that have to work."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from srnn.data.corpus import Corpus, read_corpus
from srnn.data.pack.opening import open_pack
from srnn.data.silence import SilenceVolume
from srnn.data.sources.folder import source as folders

RATE = 16_000

_UNREADABLE = "a file that soundfile cannot read"

# What is found in place of a recording, by the name of the file.
BAD = {
    "cut.wav": "data that is cut off (3,000 bytes are missing)",
    "cut_flac.wav": f"{_UNREADABLE} (Error : flac decoder lost sync)",
    "empty.wav": f"{_UNREADABLE} (Format not recognised)",
    "endless.wav": "a stream that does not state its length",
    "fast.wav": "a sample rate of 2,147,483,647 Hz (1,000 to 192,000 are possible)",
    "folder.wav": "a folder",
    "header.wav": f"{_UNREADABLE} (Error in WAV file. No 'data' chunk marker)",
    "infinity.wav": "NaN or infinity among its samples",
    "link.wav": "nothing to read (No such file or directory)",
    "long.wav": "more than 3,600 seconds of sound",
    "loop.wav": "nothing to read (Too many levels of symbolic links)",
    "nan.wav": "NaN or infinity among its samples",
    "nothing.wav": "no samples",
    "pipe.wav": "no regular file",
    "slow.wav": "a sample rate of 1 Hz (1,000 to 192,000 are possible)",
    "words.wav": f"{_UNREADABLE} (Format not recognised)",
}


def sound(seconds: float, rate: int = RATE) -> NDArray[np.float64]:
    """Return noise that swells."""
    count = round(seconds * rate)
    return np.random.default_rng(count).normal(size=count) * np.linspace(0, 0.1, count)


def encoded(seconds: float = 0.3, rate: int = RATE, *, kind: str = "WAV") -> bytes:
    """Return the bytes of a file."""
    file = io.BytesIO()
    soundfile.write(file, sound(seconds, rate), rate, format=kind)
    return file.getvalue()


def bad_recordings(folder: Path) -> None:
    """Make all of `BAD` in ``folder``."""
    wav, flac = encoded(), encoded(kind="FLAC")
    # Bytes 21 (its lower half) to 25 of a FLAC file state the number of samples.
    contents: dict[str, bytes] = {
        "cut.wav": wav[:-3000],
        "cut_flac.wav": flac[: len(flac) // 2],
        "empty.wav": b"",
        "endless.wav": flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:],
        "fast.wav": wav[:24] + (2**31 - 1).to_bytes(4, "little") + wav[28:],
        "header.wav": wav[:30],
        "long.wav": flac[:21] + bytes([flac[21] | 0x0F]) + b"\xff" * 4 + flac[26:],
        "nothing.wav": encoded(0),
        "slow.wav": wav[:24] + (1).to_bytes(4, "little") + wav[28:],
        "words.wav": b"these are words, but they are written",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    for name, value in (("nan.wav", np.nan), ("infinity.wav", np.inf)):
        stereo = np.zeros((100, 2))
        stereo[50] = value, -value
        soundfile.write(folder / name, stereo, RATE, subtype="FLOAT")
    (folder / "folder.wav").mkdir()
    (folder / "link.wav").symlink_to(folder / "none")
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    os.mkfifo(folder / "pipe.wav")


def odd_recordings(folder: Path) -> dict[Path, float]:
    """Make recordings that are unusual, and return how many seconds each lasts."""
    made = {}
    for kind in ("OGG", "FLAC", "MP3"):
        made[folder / f"a_{kind}.wav"] = 0.6
        (folder / f"a_{kind}.wav").write_bytes(encoded(0.6, kind=kind))
    for rate in (8_000, 11_025, 48_000):
        made[folder / f"rate_{rate}.wav"] = 0.6
        (folder / f"rate_{rate}.wav").write_bytes(encoded(0.6, rate))
    for subtype in ("PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "GSM610"):
        made[folder / f"{subtype}.wav"] = 0.6
        soundfile.write(folder / f"{subtype}.wav", sound(0.6), RATE, subtype=subtype)
    made[folder / "stereo.wav"] = 0.3
    soundfile.write(folder / "stereo.wav", sound(0.6).reshape(-1, 2), RATE)
    for name in ("no_utf8_\udcff.wav", "line\nbreak.wav"):
        made[folder / name] = 0.6
        (folder / name).write_bytes(encoded(0.6))
    made[folder / "ten_minutes.wav"] = 600
    (folder / "ten_minutes.wav").write_bytes(encoded(600, 8_000))
    return made


def corpus_of(
    folder: Path,
    labels: Sequence[str],
    *,
    silence_clips: Sequence[int] = (0, 0, 0),
    seed: int = 0,
    size: int = RATE,
    sample_rate: int = RATE,
    held_out: Sequence[str] = (),
    silence_volume: SilenceVolume = "recorded",
) -> Corpus:
    """Return the labelled clips of a folder of words."""
    data_set = folders.read(folder)
    return read_corpus(
        data_set,
        open_pack(data_set),
        labels,
        silence_clips=silence_clips,
        seed=seed,
        size=size,
        sample_rate=sample_rate,
        held_out=held_out,
        silence_volume=silence_volume,
    )
