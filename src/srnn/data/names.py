# SPDX-License-Identifier: MPL-2.0
"""Names of recordings: format, speaker, and Unicode normalisation for comparison."""

import unicodedata

import soundfile

# Suffixes of the formats that the installed libsndfile reads, and their other usual suffixes.
# Files without a header (RAW) state neither rate nor sample format.
_ALSO = {
    "AIFF": ("aif", "aifc"),
    "AU": ("snd",),
    "IRCAM": ("sf",),
    "MP3": ("mp2", "mpga"),
    "NIST": ("sph",),
    "OGG": ("oga", "opus"),
    "WAV": ("wave", "bwf"),
}
SUFFIXES = frozenset(
    suffix
    for kind in soundfile.available_formats().keys() - {"RAW"}
    for suffix in (kind.lower(), *_ALSO.get(kind, ()))
)
"""Suffixes of the recordings that soundfile reads, in lower case and without the dot."""

OTHER_SUFFIXES = frozenset(
    [
        *("3gp", "aac", "aax", "ac3", "amr", "ape", "avi", "dsf", "flv", "m4a", "m4b", "m4v"),
        *("mka", "mkv", "mov", "mp4", "pcm", "ra", "raw", "shn", "spx", "tta", "webm", "wma", "wv"),
    ]
)
"""Suffixes of other audio files, which soundfile does not read."""


def composed(name: str) -> str:
    """Return a name in the composed form of Unicode (NFC): macOS decomposes the names of files."""
    return unicodedata.normalize("NFC", name)


def suffix_of(name: str) -> str:
    """Return the suffix of a file name, in lower case and without the dot."""
    _, dot, suffix = name.rpartition(".")
    return suffix.lower() if dot else ""


def is_recording(name: str) -> bool:
    """Whether a file is a recording, by its name alone: a data set has a hundred thousand files.

    Hidden files are none (macOS leaves `._x.wav` beside `x.wav`).
    """
    return suffix_of(name) in SUFFIXES and not name.startswith(".")


def speaker_of(name: str) -> str:
    """Return the speaker of a recording, by its name in the folder of its word.

    `SPEAKER_nohash_N.wav` states the speaker, and so does `SPEAKER/file.wav`; of any other file it
    is the stem.
    """
    folder, _, file = name.partition("/") if "/" in name else ("", "", name)
    stem, states_speaker, _ = file.rpartition("/")[2].rpartition(".")[0].partition("_nohash_")
    return composed(folder if folder and not states_speaker else stem)


def noise_of(name: str) -> str:
    """Return the name of a background recording: the stem of its file."""
    return composed(name.rpartition("/")[2].rpartition(".")[0])
