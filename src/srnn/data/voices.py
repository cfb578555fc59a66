# SPDX-License-Identifier: MPL-2.0
"""The embedded corpus: any words, spoken by synthetic voices, laid out like Speech Commands.

A speaker is a voice of eSpeak NG with an accent, and a vocal tract, pitch, rate and intonation of
its own; a clip is a speaker saying a word in a room, with noise. Every voice belongs to one
partition, so validation and testing hear voices that training never heard (the accents are the
same everywhere). Each random number comes from a generator keyed by what it is for: a corpus
depends on its definition alone, not on the order of its making nor on the number of processors.

Symbols: n samples of a word, `size` samples of a clip.
"""

import hashlib
import importlib.metadata
import importlib.util
import io
import itertools
import json
import logging
import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from tqdm import tqdm

from srnn.data import espeak
from srnn.data.acoustics import ACOUSTICS, Samples, hum, noise, recorded, scaled
from srnn.data.audio import FULL_SCALE
from srnn.data.corpus import BACKGROUND, partition_of_speaker
from srnn.data.dataroot import (
    CORPORA,
    SYNTHETIC_WORDS,
    disk_errors,
    publish,
    scratch,
    sole_use,
)
from srnn.data.layout import composed
from srnn.data.words import COMMON_WORDS
from srnn.data.workers import available_cores
from srnn.errors import InputError

_log = logging.getLogger(__name__)

VERSION = 1
"""Of what this module makes: count it up when a change of the code changes the clips."""


class Delivery(NamedTuple):
    """How much speech varies: the ranges from which speakers and clips draw, uniformly."""

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

SPEECH_COMMANDS_WORDS = (
    *("backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward"),
    *("four", "go", "happy", "house", "learn", "left", "marvin", "nine", "no", "off", "on", "one"),
    *("right", "seven", "sheila", "six", "stop", "three", "tree", "two", "up", "visual", "wow"),
    *("yes", "zero"),
)
"""The 35 words of Speech Commands v0.02 (Warden 2018, arXiv:1804.03209), sorted."""

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

# One of ten clips for validation, one for testing; the first is for training.
_PARTITIONS_IN_TURN = ("training", "validation", "testing", *("training",) * 7)

# Background recordings are divided in time between the partitions; so are the voices of the babble.
_BACKGROUND_SECONDS = {"training": 48, "validation": 6, "testing": 6}

_CUT = 1.1  # of a clip's length: what a word may take before its loss is audible

_CLIPS_A_SECOND = 190  # that a core makes, as measured on one of AMD's Zen 4

_BABBLE = "The north wind and the sun were disputing which was the stronger."
_BABBLE_TALKERS = 8  # heard at a time

_README = """\
Single words spoken by synthetic voices, in the layout of Speech Commands.

Made by srnn (srnn.data.voices) with eSpeak NG; nothing here was recorded. Voice, accent, pitch,
rate, loudness, position, room and noise vary by clip. No voice is in two partitions; the accents
are the same in all. Delete this folder to have it made anew.
"""


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


class _Take(NamedTuple):
    """One clip to be made."""

    file: str
    partition: str
    speaker: Speaker
    random: np.random.Generator


@dataclass(frozen=True)
class SpokenCorpus:
    """A data set in the layout of Speech Commands that the synthesiser says.

    Attributes
    ----------
    words : sequence of str
        What to say, in English; also the names of the folders. Underscores and hyphens are spaces.
        No two may be pronounced the same.
    others : sequence of str
        What else to say, but for what is pronounced like one of ``words``.
    clips_per_word : int >= 1
        From the third on, every partition has clips of every word; from the tenth on, shares of
        about 80 % for training, 10 % for validation and 10 % for testing.
    sample_rate : int >= 1
        Of the clips (Hz).
    size : int >= 1
        Length of a clip (samples).
    seed : int
        Other seeds give other ways of speaking, rooms and noises.
    """

    words: Sequence[str]
    clips_per_word: int
    sample_rate: int
    size: int
    seed: int
    others: Sequence[str] = ()

    def folder(self, dataroot: Path) -> Path:
        """Return where it lies: ``SpeechCommands/synthetic-<hash of its definition>``.

        Raises
        ------
        InputError
            If espeakng-loader, whose version is part of the definition, is not installed.
        """
        definition = (
            VERSION,
            _synthesiser(),
            DELIVERY,
            ACOUSTICS,
            ACCENTS,
            VOICES,
            sorted({*self.words, *self.others}),
            self.clips_per_word,
            self.sample_rate,
            self.size,
        )
        return dataroot / CORPORA / f"synthetic-{_digest(*definition, self.seed)[:12]}"

    def make(self, dataroot: Path) -> Path:
        """Make it in a data root, which is created if missing, or find it if it was made before.

        Returns
        -------
        Path
            Its folder: a folder a word, ``_background_noise_``, ``validation_list.txt``,
            ``testing_list.txt``, ``README.txt``.

        Raises
        ------
        InputError
            If espeakng-loader is not installed; a word has no sound, is written in a script that
            the voices cannot read, or is pronounced like another one; or the disk cannot be
            written.
        """
        corpus = self.folder(dataroot)
        if not corpus.is_dir():
            expect_distinct_sounds(self.words)
        _make_once(dataroot, corpus, lambda: self._make(corpus))
        return corpus

    def _make(self, corpus: Path) -> None:
        clips, seed = self.clips_per_word, self.seed
        others = _without_homophones(self.others, self.words)
        words = sorted({*self.words, *others})
        what = len(words), clips, _what_it_takes(len(words) * clips), corpus
        _log.info("making %d words x %d synthetic clips, in %s: %s", *what)
        crew = {partition: _speakers(partition, seed) for partition in VOICES}
        takes = {word: _takes(word, clips, crew, seed) for word in words}
        _write_corpus(corpus, takes, crew, self.sample_rate, self.size, seed)


def make_unknown_words(
    dataroot: Path, keywords: Sequence[str], clips: int, sample_rate: int, size: int, seed: int
) -> Path:
    """Make a data set of `COMMON_WORDS`, for training alone, or find it if it was made before.

    Words that are keywords, or sound like one, are left out; the others have equally many clips,
    to within one. Only the voices for training are heard, and there is no background.

    Parameters
    ----------
    dataroot : Path
        Created if missing; the data set lies in ``SyntheticWords/unknown-<hash of its definition>``
        below, where it is not taken for one to train on.
    keywords : sequence of str
    clips : int >= 1
        Of all words together.
    sample_rate, size, seed
        As of a `SpokenCorpus`.

    Returns
    -------
    Path
        The folder: a folder a word, ``README.txt``.

    Raises
    ------
    InputError
        If espeakng-loader is not installed, or the disk cannot be written.
    """
    keywords = sorted(set(keywords))
    made_by = (VERSION, _synthesiser(), DELIVERY, ACOUSTICS, ACCENTS, VOICES["training"])
    digest = _digest(*made_by, COMMON_WORDS, keywords, clips, sample_rate, size, seed)
    corpus = dataroot / SYNTHETIC_WORDS / f"unknown-{digest[:12]}"

    if not corpus.is_dir() and (foreign := _unreadable(keywords)):
        _log.warning(
            "data.synthetic_unknown: the voices cannot read %s: words that sound alike are not "
            "left out",
            ", ".join(map(repr, foreign)),
        )

    def make() -> None:
        words = _generator("unknown words", seed).permutation(_unlike(keywords)).tolist()
        share, more = divmod(clips, len(words))
        counts = {word: share + (place < more) for place, word in enumerate(words)}
        what = clips, _what_it_takes(clips), corpus
        _log.info("making %d synthetic clips of other words, in %s: %s", *what)
        crew = {"training": _speakers("training", seed)}
        takes = {
            word: _takes(word, count, crew, seed, ("training",))
            for word, count in counts.items()
            if count
        }
        _write_corpus(corpus, takes, crew, sample_rate, size, seed)

    _make_once(dataroot, corpus, make)
    return corpus


def _what_it_takes(clips: int) -> str:
    """Return how long it takes to make some clips, roughly."""
    cores = available_cores()
    seconds = clips / (_CLIPS_A_SECOND * cores)
    time = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(1, seconds):.0f} s"
    return f"about {time} on {cores} {'core' if cores == 1 else 'cores'}"


def expect_distinct_sounds(words: Sequence[str]) -> None:
    """Check that the voices can tell words apart.

    Raises
    ------
    InputError
        A word is written in a script that the voices cannot read, makes no sound, or is pronounced
        like another one: a line each.
    """
    words = list(dict.fromkeys(words))
    problems = []
    if foreign := _unreadable(words):
        problems.append(
            "data.words: expected words that the English voices can read, found "
            f"{', '.join(map(repr, foreign))}, whose letters they name one by one: write them in "
            "Latin letters"
        )
    readable = [word for word in words if word not in foreign]
    alike: dict[tuple[str, ...], list[str]] = {}
    for word, sounds in zip(readable, _pronounced(readable), strict=True):
        alike.setdefault(tuple(sounds), []).append(word)
    if silent := alike.pop((), []):
        problems.append(
            f"data.words: expected words that can be spoken, found {', '.join(map(repr, silent))}"
        )
    problems += [
        "data.words: expected words that the voices pronounce differently, found "
        f"{' and '.join(map(repr, same))}, which sound the same"
        for same in alike.values()
        if len(same) > 1
    ]
    if problems:
        raise InputError(*problems)


def _unreadable(words: Sequence[str]) -> list[str]:
    """Return the words in a script whose letters eSpeak NG only names ("Chinese letter").

    Some scripts it reads by the rules of their language, and says so: (ko), the sounds, (en-us).
    """
    parts = {word: list(filter(_has_other_letters, _spoken(word).split())) for word in words}
    foreign = sorted({part for some in parts.values() for part in some})
    sounds = _pronounced(foreign) if foreign else []
    read = {
        part for part, heard in zip(foreign, sounds, strict=True) if "".join(heard).startswith("(")
    }
    return [word for word in words if not read.issuperset(parts[word])]


def _has_other_letters(text: str) -> bool:
    """Whether a text has letters that are not Latin."""
    return any(
        char.isalpha() and not unicodedata.name(char, "").startswith("LATIN ") for char in text
    )


def _without_homophones(words: Sequence[str], keywords: Sequence[str]) -> list[str]:
    """Return the words that no keyword is pronounced like."""
    sounds = _pronounced([*keywords, *words])
    taken, theirs = sounds[: len(keywords)], sounds[len(keywords) :]
    left_out = [word for word, heard in zip(words, theirs, strict=True) if heard in taken]
    if left_out := [word for word in left_out if word not in keywords]:
        _log.info("not said, as a keyword sounds the same: %s", ", ".join(left_out))
    return [word for word in words if word not in left_out]


def _pronounced(words: Sequence[str]) -> list[list[str]]:
    """Return the sounds of words, in the first accent."""
    return espeak.pronounce([_spoken(word) for word in words], ACCENTS[0], *_find_espeak())


def _unlike(keywords: Sequence[str]) -> list[str]:
    """Return the common words that differ from every keyword by two sounds at least."""
    sounds = _pronounced([*keywords, *COMMON_WORDS])
    taken, common = sounds[: len(keywords)], sounds[len(keywords) :]
    return [
        word
        for word, heard in zip(COMMON_WORDS, common, strict=True)
        if all(_distance(heard, keyword) > 1 for keyword in taken)
    ]


def _distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many sounds are to be inserted, left out or replaced (Levenshtein 1966)."""
    row = list(range(len(other) + 1))
    for place, sound in enumerate(one, start=1):
        diagonal, row[0] = row[0], place
        for column, its in enumerate(other, start=1):
            cost = min(row[column] + 1, row[column - 1] + 1, diagonal + (sound != its))
            diagonal, row[column] = row[column], cost
    return row[-1]


def _make_once(dataroot: Path, corpus: Path, make: Callable[[], None]) -> None:
    """Call ``make`` unless the corpus is there; of several processes one does."""
    with disk_errors(dataroot):
        if not corpus.is_dir():
            _find_espeak()  # before anything is written
            with sole_use(dataroot, corpus.name):
                if not corpus.is_dir():  # another process may just have finished it
                    make()
    _log.info("using the synthetic corpus in %s", corpus)


def _write_corpus(
    corpus: Path,
    takes: Mapping[str, list[_Take]],
    crew: Mapping[str, list[Speaker]],
    sample_rate: int,
    size: int,
    seed: int,
) -> None:
    """Record a corpus, which appears when it is whole."""
    with scratch(corpus) as unfinished:
        _record(unfinished, takes, crew, sample_rate, size, seed)
        for partition in crew.keys() - {"training"}:
            _write_list(unfinished / f"{partition}_list.txt", partition, takes)
        (unfinished / "README.txt").write_text(_README, encoding="utf-8")
        publish(unfinished, corpus)


def _digest(*key: object) -> str:
    """Return the SHA-256 of some plain values (hexadecimal)."""
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()


def _generator(*key: object) -> np.random.Generator:
    """Return the generator of random numbers for one purpose."""
    return np.random.default_rng(int(_digest(*key), 16))


def _speakers(partition: str, seed: int) -> list[Speaker]:
    """Return every voice of a partition in every accent."""
    speakers = []
    for variant in VOICES[partition]:
        for accent in ACCENTS:
            voice = f"{accent}+{variant}"
            draw = _generator("speaker", voice, seed).uniform
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
    names = (_digest(voice, attempt)[:8] for attempt in itertools.count())
    return next(name for name in names if partition_of_speaker(name) == partition)


def _takes(
    word: str,
    clips: int,
    crew: Mapping[str, list[Speaker]],
    seed: int,
    partitions: Sequence[str] = _PARTITIONS_IN_TURN,
) -> list[_Take]:
    """Cast the clips of a word: each partition's speakers in random order, round and round."""
    orders = {
        partition: _generator("order", partition, word, seed).permutation(len(speakers))
        for partition, speakers in crew.items()
    }
    taken = dict.fromkeys(crew, 0)
    takes = []
    for index in range(clips):
        partition = partitions[index % len(partitions)]
        time, place = divmod(taken[partition], len(crew[partition]))
        taken[partition] += 1
        speaker = crew[partition][orders[partition][place]]
        random = _generator("clip", word, index, seed)
        takes.append(_Take(f"{speaker.name}_nohash_{time}.wav", partition, speaker, random))
    return takes


def _record(
    folder: Path,
    takes: Mapping[str, list[_Take]],
    crew: Mapping[str, list[Speaker]],
    sample_rate: int,
    size: int,
    seed: int,
) -> None:
    """Write all recordings, several words at a time; no job is left running on an error."""
    with ThreadPoolExecutor(available_cores()) as pool:
        jobs = {
            pool.submit(_record_word, folder / word, takes[word], sample_rate, size): len(
                takes[word]
            )
            for word in takes
        }
        if crew.keys() == VOICES.keys():
            background = folder / BACKGROUND
            jobs[pool.submit(_record_background, background, crew, sample_rate, seed)] = 0
        try:
            bar = tqdm(
                desc="voices", total=sum(jobs.values()), unit="clip", leave=False, disable=None
            )
            with bar:
                for job in as_completed(jobs):
                    job.result()
                    bar.update(jobs[job])
        finally:
            pool.shutdown(cancel_futures=True)


def _write_list(path: Path, partition: str, takes: Mapping[str, list[_Take]]) -> None:
    """Write a list file: ``word/file.wav`` for every clip of the partition."""
    names = [
        f"{word}/{take.file}\n"
        for word in takes
        for take in takes[word]
        if take.partition == partition
    ]
    path.write_text("".join(sorted(names)), encoding="utf-8")


def _record_word(folder: Path, takes: Sequence[_Take], sample_rate: int, size: int) -> None:
    """Write the clips of one word, the folder's name."""
    speeches = _say(folder.name, takes, size / sample_rate)
    folder.mkdir()
    for take, speech in zip(takes, speeches, strict=True):
        clip = recorded(_at_rate(speech, take.speaker, sample_rate), take.random, sample_rate, size)
        _write(folder / take.file, clip, sample_rate)


def _say(word: str, takes: Sequence[_Take], longest: float) -> list[Samples]:
    """Let the speakers say a word, faster where it would not fit into `longest` seconds."""
    utterances = [_utterance(_spoken(word), take.speaker, take.random) for take in takes]
    speeches = _speak(utterances)
    if not all(np.any(speech) for speech in speeches):
        raise InputError(f"data.words: expected words that can be spoken, found {word!r}")
    seconds = [_seconds(s, take.speaker) for s, take in zip(speeches, takes, strict=True)]
    if max(seconds) <= longest:
        return speeches
    speeches = _speak(
        [
            u._replace(rate=min(espeak.FASTEST, round(u.rate * max(1, 1.1 * s / longest))))
            for u, s in zip(utterances, seconds, strict=True)
        ]
    )
    seconds = [_seconds(s, take.speaker) for s, take in zip(speeches, takes, strict=True)]
    if (longest_spoken := max(seconds)) > _CUT * longest:
        _log.warning(
            "data.words: %r takes up to %.1f s however fast it is said, srnn.size holds %.1f s: "
            "its end is cut off",
            *(word, longest_spoken, longest),
        )
    return speeches


def _spoken(word: str) -> str:
    return composed(word).replace("_", " ").replace("-", " ")


def _utterance(text: str, speaker: Speaker, random: np.random.Generator) -> espeak.Utterance:
    """Draw how a speaker says something this time."""
    draw = random.uniform
    return espeak.Utterance(
        text=text,
        voice=speaker.voice,
        rate=round(speaker.rate * draw(*DELIVERY.rate_jitter)),
        pitch=round(np.clip(speaker.pitch + draw(*DELIVERY.pitch_jitter), 0, 99)),
        intonation=round(speaker.intonation),
    )


def _speak(utterances: Sequence[espeak.Utterance]) -> list[Samples]:
    """Speak, samples in -1..1 at eSpeak NG's rate."""
    speeches = espeak.speak(utterances, *_find_espeak())
    return [np.frombuffer(speech, np.int16) / FULL_SCALE for speech in speeches]


def is_installed() -> bool:
    """Whether the synthesiser is."""
    return importlib.util.find_spec("espeakng_loader") is not None


def _synthesiser() -> str:
    """Return the version of the synthesiser, that of the wheel which brings it.

    Raises
    ------
    InputError
        If it is not installed.
    """
    _find_espeak()
    return importlib.metadata.version("espeakng-loader")


def _find_espeak() -> tuple[Path, Path]:
    """Return eSpeak NG's shared library and its data, both in a wheel that nothing else needs."""
    try:
        import espeakng_loader
    except ModuleNotFoundError as missing:
        raise InputError(
            "data.gsc_url or data.synthetic_unknown: synthetic voices need eSpeak NG, which is not "
            "installed: run `pip install espeakng-loader` (or `pdm sync --prod -G synthetic`)"
        ) from missing
    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())


def _at_rate(speech: Samples, speaker: Speaker, sample_rate: int) -> Samples:
    """Resample to `sample_rate`, and to the speaker's vocal tract, through the spectrum."""
    # Lengths without large prime factors make fast transforms; 64 samples are no audible matter.
    padded = 64 * math.ceil(len(speech) / 64)
    n = 64 * round(padded / 64 * sample_rate / espeak.SAMPLE_RATE / speaker.vocal_tract)
    spectrum = np.fft.rfft(speech, padded)[: n // 2 + 1]
    samples: Samples = np.fft.irfft(spectrum, n) * (n / padded)
    return samples


def _seconds(speech: Samples, speaker: Speaker) -> float:
    """Return how long the speaker takes to say it: a higher voice is a shorter one."""
    return len(speech) / espeak.SAMPLE_RATE / speaker.vocal_tract


def _write(path: Path, samples: Samples, sample_rate: int) -> None:
    """Write a recording, 16 bits a sample."""
    # By way of memory, as libsndfile has each file synchronised with the disk: ten times the time.
    recording = io.BytesIO()
    soundfile.write(recording, samples, sample_rate, "PCM_16", format="WAV")
    path.write_bytes(recording.getvalue())


def _record_background(
    folder: Path, crew: Mapping[str, list[Speaker]], sample_rate: int, seed: int
) -> None:
    """Write six recordings without words, from which silence can be cut."""
    n = sum(_BACKGROUND_SECONDS.values()) * sample_rate
    random = _generator("background", seed)
    time = np.arange(n) / sample_rate
    recordings = {
        "white_noise": noise(n, 0, random, sample_rate),
        "pink_noise": noise(n, 1, random, sample_rate),
        "brown_noise": noise(n, 2, random, sample_rate),
        "fan": noise(n, 1.5, random, sample_rate) * (1 + 0.5 * np.sin(2 * np.pi * 0.7 * time)),
        "mains_hum": hum(time, random) + 0.05 * noise(n, 0, random, sample_rate),
        "babble": _babble(crew, sample_rate, random),
    }
    folder.mkdir()
    for name, samples in recordings.items():
        _write(folder / f"{name}.wav", scaled(samples, -6), sample_rate)


def _babble(
    crew: Mapping[str, list[Speaker]], sample_rate: int, random: np.random.Generator
) -> Samples:
    """Return many voices at a time, in the stretch of each partition only its own."""
    stretches = []
    for partition, seconds in _BACKGROUND_SECONDS.items():
        stretch = np.zeros(seconds * sample_rate)
        # A sentence takes about four seconds.
        talkers = random.choice(len(crew[partition]), _BABBLE_TALKERS * seconds // 4)
        cast = [crew[partition][talker] for talker in talkers]
        speeches = _speak([_utterance(_BABBLE, speaker, random) for speaker in cast])
        for speech, speaker in zip(speeches, cast, strict=True):
            heard = _at_rate(speech, speaker, sample_rate)
            start = random.integers(len(stretch))
            np.add.at(stretch, np.arange(start, start + len(heard)) % len(stretch), heard)
        stretches.append(stretch)
    return np.concatenate(stretches)
