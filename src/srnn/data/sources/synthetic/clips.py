# SPDX-License-Identifier: MPL-2.0
"""Clips: speakers say a word in a room, with noise.

Symbols: `size` samples of a clip.
"""

import io
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from srnn.data.levels import FULL_SCALE
from srnn.data.sources.synthetic import espeak
from srnn.data.sources.synthetic.acoustics import Samples, recorded
from srnn.data.sources.synthetic.installation import find_espeak
from srnn.data.sources.synthetic.pronunciation import spoken
from srnn.data.sources.synthetic.speakers import DELIVERY, Speaker, generator
from srnn.errors import InputError

# One of ten clips for validation, one for testing; the first is for training.
_PARTITIONS_IN_TURN = ("training", "validation", "testing", *("training",) * 7)

_CUT = 1.1  # of a clip's length: what a word may take before its loss is audible

_log = logging.getLogger(__name__)


class Take(NamedTuple):
    """One clip to be made."""

    file: str
    partition: str
    speaker: Speaker
    random: np.random.Generator


def takes_of(
    word: str,
    clips: int,
    speakers: Mapping[str, list[Speaker]],
    seed: int,
    partitions: Sequence[str] = _PARTITIONS_IN_TURN,
) -> list[Take]:
    """Assign speakers to the clips of a word: those of each partition in turn, in random order."""
    orders = {
        partition: generator("order", partition, word, seed).permutation(len(speakers))
        for partition, speakers in speakers.items()
    }
    taken = dict.fromkeys(speakers, 0)
    takes = []
    for index in range(clips):
        partition = partitions[index % len(partitions)]
        time, place = divmod(taken[partition], len(speakers[partition]))
        taken[partition] += 1
        speaker = speakers[partition][orders[partition][place]]
        random = generator("clip", word, index, seed)
        takes.append(Take(f"{speaker.name}_nohash_{time}.wav", partition, speaker, random))
    return takes


def record_word(folder: Path, takes: Sequence[Take], sample_rate: int, size: int) -> None:
    """Write the clips of one word, the folder's name."""
    speeches = _say(folder.name, takes, size / sample_rate)
    folder.mkdir()
    for take, speech in zip(takes, speeches, strict=True):
        clip = recorded(at_rate(speech, take.speaker, sample_rate), take.random, sample_rate, size)
        write_recording(folder / take.file, clip, sample_rate)


def _say(word: str, takes: Sequence[Take], longest: float) -> list[Samples]:
    """Return a word spoken by each speaker, faster where it exceeds `longest` seconds."""
    utterances = [utterance(spoken(word), take.speaker, take.random) for take in takes]
    speeches = speak(utterances)
    if not all(np.any(speech) for speech in speeches):
        raise InputError(f"data.words: expected words that can be spoken, found {word!r}")
    seconds = [_seconds(s, take.speaker) for s, take in zip(speeches, takes, strict=True)]
    if max(seconds) <= longest:
        return speeches
    speeches = speak(
        [
            u._replace(rate=min(espeak.FASTEST, round(u.rate * max(1, 1.1 * s / longest))))
            for u, s in zip(utterances, seconds, strict=True)
        ]
    )
    seconds = [_seconds(s, take.speaker) for s, take in zip(speeches, takes, strict=True)]
    if (longest_spoken := max(seconds)) > _CUT * longest:
        _log.warning(
            "data.words: %r takes up to %.1f s at the maximum rate, srnn.size holds %.1f s: its "
            "end is cut off",
            *(word, longest_spoken, longest),
        )
    return speeches


def utterance(text: str, speaker: Speaker, random: np.random.Generator) -> espeak.Utterance:
    """Return an utterance of a text by a speaker, with random variation."""
    draw = random.uniform
    return espeak.Utterance(
        text=text,
        voice=speaker.voice,
        rate=round(speaker.rate * draw(*DELIVERY.rate_jitter)),
        pitch=round(np.clip(speaker.pitch + draw(*DELIVERY.pitch_jitter), 0, 99)),
        intonation=round(speaker.intonation),
    )


def speak(utterances: Sequence[espeak.Utterance]) -> list[Samples]:
    """Synthesise utterances; return samples in [-1, 1) at `espeak.SAMPLE_RATE`."""
    speeches = espeak.speak(utterances, *find_espeak())
    return [np.frombuffer(speech, np.int16) / FULL_SCALE for speech in speeches]


def at_rate(speech: Samples, speaker: Speaker, sample_rate: int) -> Samples:
    """Resample to `sample_rate`, and to the speaker's vocal tract, through the spectrum."""
    # Lengths without large prime factors make fast transforms; 64 samples are inaudible.
    padded = 64 * math.ceil(len(speech) / 64)
    n = 64 * round(padded / 64 * sample_rate / espeak.SAMPLE_RATE / speaker.vocal_tract)
    spectrum = np.fft.rfft(speech, padded)[: n // 2 + 1]
    samples: Samples = np.fft.irfft(spectrum, n) * (n / padded)
    return samples


def _seconds(speech: Samples, speaker: Speaker) -> float:
    """Return the duration of speech: a shorter vocal tract also makes it faster."""
    return len(speech) / espeak.SAMPLE_RATE / speaker.vocal_tract


def write_recording(path: Path, samples: Samples, sample_rate: int) -> None:
    """Write a recording, 16 bits a sample."""
    # Through memory: libsndfile synchronises each file with the disk, in ten times the time.
    recording = io.BytesIO()
    soundfile.write(recording, samples, sample_rate, "PCM_16", format="WAV")
    path.write_bytes(recording.getvalue())
