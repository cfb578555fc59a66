# SPDX-License-Identifier: MPL-2.0
"""Background recordings without words, from which silence can be cut."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from srnn.data.sources.synthetic.acoustics import Samples, hum, noise, scaled
from srnn.data.sources.synthetic.clips import at_rate, speak, utterance, write_recording
from srnn.data.sources.synthetic.speakers import Speaker, generator

# Background recordings are divided in time between the partitions; so are the voices of the babble.
_BACKGROUND_SECONDS = {"training": 48, "validation": 6, "testing": 6}

_BABBLE = "The north wind and the sun were disputing which was the stronger."
_BABBLE_TALKERS = 8  # simultaneous


def record_background(
    folder: Path, speakers: Mapping[str, list[Speaker]], sample_rate: int, seed: int
) -> None:
    """Write six recordings without words, from which silence can be cut."""
    n = sum(_BACKGROUND_SECONDS.values()) * sample_rate
    random = generator("background", seed)
    time = np.arange(n) / sample_rate
    recordings = {
        "white_noise": noise(n, 0, random, sample_rate),
        "pink_noise": noise(n, 1, random, sample_rate),
        "brown_noise": noise(n, 2, random, sample_rate),
        "fan": noise(n, 1.5, random, sample_rate) * (1 + 0.5 * np.sin(2 * np.pi * 0.7 * time)),
        "mains_hum": hum(time, random) + 0.05 * noise(n, 0, random, sample_rate),
        "babble": _babble(speakers, sample_rate, random),
    }
    folder.mkdir()
    for name, samples in recordings.items():
        write_recording(folder / f"{name}.wav", scaled(samples, -6), sample_rate)


def _babble(
    speakers: Mapping[str, list[Speaker]], sample_rate: int, random: np.random.Generator
) -> Samples:
    """Return many voices at a time; the stretch of a partition has its own voices only."""
    stretches = []
    for partition, seconds in _BACKGROUND_SECONDS.items():
        stretch = np.zeros(seconds * sample_rate)
        # A sentence takes about four seconds.
        talkers = random.choice(len(speakers[partition]), _BABBLE_TALKERS * seconds // 4)
        cast = [speakers[partition][talker] for talker in talkers]
        speeches = speak([utterance(_BABBLE, speaker, random) for speaker in cast])
        for speech, speaker in zip(speeches, cast, strict=True):
            voice = at_rate(speech, speaker, sample_rate)
            start = random.integers(len(stretch))
            np.add.at(stretch, np.arange(start, start + len(voice)) % len(stretch), voice)
        stretches.append(stretch)
    return np.concatenate(stretches)
