# SPDX-License-Identifier: MPL-2.0
"""Data sets of synthetic speech: the words of a task, and other words for `_unknown_`.

Both have the layout of Speech Commands and lie in a folder whose name is a digest of their
definition, where they are made once.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from srnn.bars import progress_bar
from srnn.data.fetch.dataroot import (
    CORPORA,
    SYNTHETIC_WORDS,
    disk_errors,
    publish,
    scratch,
    sole_use,
)
from srnn.data.labels import BACKGROUND
from srnn.data.sources.synthetic.acoustics import ACOUSTICS
from srnn.data.sources.synthetic.background import record_background
from srnn.data.sources.synthetic.clips import Take, record_word, takes_of
from srnn.data.sources.synthetic.installation import version
from srnn.data.sources.synthetic.pronunciation import (
    expect_distinct_sounds,
    unlike,
    unreadable,
    without_homophones,
)
from srnn.data.sources.synthetic.speakers import (
    ACCENTS,
    DELIVERY,
    VOICES,
    Speaker,
    digest,
    generator,
    speakers_of,
)
from srnn.data.sources.synthetic.words import COMMON_WORDS
from srnn.data.workers import available_cores

_log = logging.getLogger(__name__)

VERSION = 1
"""Version of the synthetic clips: to be incremented when the code changes them."""

_CLIPS_A_SECOND = 190  # that a core makes, as measured on one of AMD's Zen 4

_README = """\
Single words spoken by synthetic voices, in the layout of Speech Commands.

Made by srnn with eSpeak NG; nothing here was recorded. Voice, accent, pitch, rate, loudness,
position, room and noise vary by clip. No voice is in two partitions; the accents are the same in
all. Delete this folder to have it made anew.
"""


@dataclass(frozen=True)
class SpokenCorpus:
    """The words of a task, for all partitions, and background recordings.

    Attributes
    ----------
    words : sequence of str
        Words in English; also the names of the folders. Underscores and hyphens are spaces. No two
        may be pronounced the same.
    clips_per_word : int >= 1
        From the third on, every partition has clips of every word; from the tenth on, about 80 %
        are for training, 10 % for validation and 10 % for testing.
    sample_rate : int >= 1
        Of the clips (Hz).
    size : int >= 1
        Length of a clip (samples).
    seed : int
        Other seeds give other ways of speaking, rooms and noises.
    others : sequence of str
        Further words; those pronounced like one of ``words`` are left out.
    """

    words: Sequence[str]
    clips_per_word: int
    sample_rate: int
    size: int
    seed: int
    others: Sequence[str] = ()

    def folder(self, dataroot: Path) -> Path:
        """Return where it lies: ``SpeechCommands/synthetic-<digest of its definition>``.

        Raises
        ------
        InputError
            If espeakng-loader, whose version is part of the definition, is not installed.
        """
        definition = (
            *(VERSION, version(), DELIVERY, ACOUSTICS, ACCENTS, VOICES),
            *(sorted({*self.words, *self.others}), self.clips_per_word),
            *(self.sample_rate, self.size, self.seed),
        )
        return dataroot / CORPORA / f"synthetic-{digest(*definition)[:12]}"

    def make(self, dataroot: Path) -> Path:
        """Make it in a data root, which is created if missing, unless it is there already.

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
        make_once(dataroot, corpus, self._make)
        return corpus

    def _make(self, corpus: Path) -> None:
        clips, seed = self.clips_per_word, self.seed
        words = sorted({*self.words, *without_homophones(self.others, self.words)})
        what = len(words), clips, _duration(len(words) * clips), corpus
        _log.info("making %d words x %d synthetic clips, in %s: %s", *what)
        speakers = {partition: speakers_of(partition, seed) for partition in VOICES}
        takes = {word: takes_of(word, clips, speakers, seed) for word in words}
        _write_corpus(corpus, takes, speakers, self.sample_rate, self.size, seed)


@dataclass(frozen=True)
class UnknownWords:
    """`COMMON_WORDS` for `_unknown_`, spoken by the training voices alone, without background.

    Attributes
    ----------
    keywords : sequence of str
        These, and words that sound like one, are left out.
    clips : int >= 1
        Of all words together; all words have equally many, to within one.
    sample_rate, size, seed
        As of a `SpokenCorpus`.
    """

    keywords: Sequence[str]
    clips: int
    sample_rate: int
    size: int
    seed: int

    def make(self, dataroot: Path) -> Path:
        """Make it in a data root, which is created if missing, unless it is there already.

        Returns
        -------
        Path
            ``SyntheticWords/unknown-<digest of its definition>``, where it is not taken for a data
            set to train on: a folder a word, ``README.txt``.

        Raises
        ------
        InputError
            If espeakng-loader is not installed, or the disk cannot be written.
        """
        keywords = sorted(set(self.keywords))
        made_by = training_voices()
        made_for = (COMMON_WORDS, keywords, self.clips, self.sample_rate, self.size, self.seed)
        corpus = dataroot / SYNTHETIC_WORDS / f"unknown-{digest(*made_by, *made_for)[:12]}"
        if not corpus.is_dir() and (foreign := unreadable(keywords)):
            _log.warning(
                "data.synthetic_unknown: the voices cannot read %s: words that sound alike are not "
                "left out",
                ", ".join(map(repr, foreign)),
            )
        make_once(dataroot, corpus, self._make)
        return corpus

    def _make(self, corpus: Path) -> None:
        keywords = sorted(set(self.keywords))
        words = generator("unknown words", self.seed).permutation(unlike(keywords)).tolist()
        each, more = divmod(self.clips, len(words))
        counts = {word: each + (place < more) for place, word in enumerate(words)}
        what = self.clips, _duration(self.clips), corpus
        _log.info("making %d synthetic clips of other words, in %s: %s", *what)
        speakers = {"training": speakers_of("training", self.seed)}
        takes = {
            word: takes_of(word, count, speakers, self.seed, ("training",))
            for word, count in counts.items()
            if count
        }
        _write_corpus(corpus, takes, speakers, self.sample_rate, self.size, self.seed)


def training_voices() -> tuple[object, ...]:
    """Return what decides how the training voices sound, for the digest of a definition.

    Raises
    ------
    InputError
        If espeakng-loader is not installed.
    """
    return VERSION, version(), DELIVERY, ACOUSTICS, ACCENTS, VOICES["training"]


def make_once(dataroot: Path, corpus: Path, make: Callable[[Path], None]) -> None:
    """Call ``make`` unless the corpus is there; of several processes one does."""
    with disk_errors(dataroot):
        if not corpus.is_dir():
            with sole_use(dataroot, corpus.name):
                if not corpus.is_dir():  # another process may just have finished it
                    make(corpus)
    _log.info("using the synthetic corpus in %s", corpus)


def _duration(clips: int) -> str:
    """Return how long it takes to make some clips, roughly."""
    cores = available_cores()
    seconds = clips / (_CLIPS_A_SECOND * cores)
    time = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(1, seconds):.0f} s"
    return f"about {time} on {cores} {'core' if cores == 1 else 'cores'}"


def _write_corpus(
    corpus: Path,
    takes: Mapping[str, list[Take]],
    speakers: Mapping[str, list[Speaker]],
    sample_rate: int,
    size: int,
    seed: int,
) -> None:
    """Record a corpus, which appears when it is whole."""
    with scratch(corpus) as unfinished:
        _record(unfinished, takes, speakers, sample_rate, size, seed)
        for partition in speakers.keys() - {"training"}:
            _write_list(unfinished / f"{partition}_list.txt", partition, takes)
        (unfinished / "README.txt").write_text(_README, encoding="utf-8")
        publish(unfinished, corpus)


def _record(
    folder: Path,
    takes: Mapping[str, list[Take]],
    speakers: Mapping[str, list[Speaker]],
    sample_rate: int,
    size: int,
    seed: int,
) -> None:
    """Write all recordings, several words at a time; no job is left running on an error."""
    with ThreadPoolExecutor(available_cores()) as pool:
        jobs = {
            pool.submit(record_word, folder / word, takes[word], sample_rate, size): len(
                takes[word]
            )
            for word in takes
        }
        if speakers.keys() == VOICES.keys():
            background = folder / BACKGROUND
            jobs[pool.submit(record_background, background, speakers, sample_rate, seed)] = 0
        try:
            bar = progress_bar(desc="voices", total=sum(jobs.values()), unit="clip")
            with bar:
                for job in as_completed(jobs):
                    job.result()
                    bar.update(jobs[job])
        finally:
            pool.shutdown(cancel_futures=True)


def _write_list(path: Path, partition: str, takes: Mapping[str, list[Take]]) -> None:
    """Write a list file: ``word/file.wav`` for every clip of the partition."""
    names = [
        f"{word}/{take.file}\n"
        for word in takes
        for take in takes[word]
        if take.partition == partition
    ]
    path.write_text("".join(sorted(names)), encoding="utf-8")
