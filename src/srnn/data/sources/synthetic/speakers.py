# SPDX-License-Identifier: MPL-2.0
"""Synthetic speakers: a voice and an accent of eSpeak NG, and a way of speaking of one's own.

Every voice belongs to one partition, so that validation and testing use voices that training does
not (the accents are the same in all). Each random number comes from a generator keyed by its
purpose: a corpus depends on its definition alone, not on the order in which it is made nor on the
number of processors.
"""

import hashlib
import itertools
import json
from typing import NamedTuple

import numpy as np

from srnn.data.partitions import partition_of_speaker


class Delivery(NamedTuple):
    """Ranges of the Uniform distributions of speakers and clips."""

    # Once for each speaker.
    pitch: tuple[float, float] = (30, 70)
    """eSpeak NG's scale 0..99; 50 is the voice's own."""
    rate: tuple[float, float] = (130, 210)
    """Words a minute."""
    intonation: tuple[float, float] = (20, 80)
    """eSpeak NG's scale 0..99; 50 is the voice's own range of pitch."""
    vocal_tract: tuple[float, float] = (0.9, 1.12)
    """Factor on all frequencies, pitch and formants: 1 / relative length of the vocal tract."""

    # Once for each clip.
    pitch_jitter: tuple[float, float] = (-8, 8)
    """Added to the speaker's pitch."""
    rate_jitter: tuple[float, float] = (0.85, 1.15)
    """Factor on the speaker's rate."""


DELIVERY = Delivery()

ACCENTS = (
    "en-us",
    "en-us-nyc",
    "en",  # eSpeak NG's British English
    "en-gb-x-rp",
    "en-gb-scotland",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
)

# Variants of espeak-ng-data/voices/!v that sound like people (no whispers, robots, echoes, nor odd
# formants). Many are copies of one another with a new name or pitch, and not all are here: two
# voices in different partitions have formants (F1 to F4) that differ by at least 2 % on average.
VOICES = {
    "training": (
        *("Alex", "Alicia", "Annie", "Denis", "Diogo", "Gene", "Jacky", "Mario", "Reed", "adam"),
        *("anika", "aunty", "benjamin", "croak", "david", "ed", "f1", "f4", "grandma", "iven"),
        *("john", "klatt2", "klatt4", "m1", "m3", "m4", "m5", "m7", "max", "mike2", "paul"),
        *("sandro", "steph"),
    ),
    "validation": ("belinda", "f3", "antonio", "pedro", "Michael", "gustave"),
    "testing": ("Andrea", "f2", "m2", "rob", "pablo", "edward"),
}


class Speaker(NamedTuple):
    """A voice with its own way of speaking."""

    name: str
    """8 hexadecimal digits, as in the file names of Speech Commands."""
    voice: str
    """Accent and variant, such as ``en-us+f3``."""
    pitch: float
    rate: float
    intonation: float
    vocal_tract: float


def speakers_of(partition: str, seed: int) -> list[Speaker]:
    """Return every voice of a partition in every accent."""
    speakers = []
    for variant in VOICES[partition]:
        for accent in ACCENTS:
            voice = f"{accent}+{variant}"
            draw = generator("speaker", voice, seed).uniform
            speakers.append(
                Speaker(
                    name=_speaker_name(voice, partition),
                    voice=voice,
                    pitch=draw(*DELIVERY.pitch),
                    rate=draw(*DELIVERY.rate),
                    intonation=draw(*DELIVERY.intonation),
                    vocal_tract=draw(*DELIVERY.vocal_tract),
                )
            )
    return speakers


def _speaker_name(voice: str, partition: str) -> str:
    """Return the first name for a voice that the official rule puts into its partition."""
    names = (digest(voice, attempt)[:8] for attempt in itertools.count())
    return next(name for name in names if partition_of_speaker(name) == partition)


def digest(*key: object) -> str:
    """Return the SHA-256 of some plain values (hexadecimal)."""
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()


def generator(*key: object) -> np.random.Generator:
    """Return the generator of random numbers for one purpose."""
    return np.random.default_rng(int(digest(*key), 16))
