# SPDX-License-Identifier: MPL-2.0
"""Measures a network on streams: misses in scenes, false alarms in sounds without keywords."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor
from tqdm import tqdm

from srnn.data.corpus import Corpus
from srnn.data.selection import select_recordings
from srnn.detection import ListenKeys
from srnn.instruments.listening.scenes import background_of, lay
from srnn.instruments.listening.sounds import recording
from srnn.instruments.listening.tradeoff import THRESHOLDS, Course, Point, alarms, course, point
from srnn.runs.evaluation import Partition, corpus_of
from srnn.runs.parts import spec_of
from srnn.runs.recogniser import Recogniser
from srnn.runs.resources import limit_threads

SNRS = (None, 10.0, 0.0)
"""Signal-to-noise ratios of the scenes (dB); None: quiet."""

BACKGROUND = "background"
"""Name of the group of background recordings."""

PEAKS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 1.0)
"""Peaks that background recordings are scaled to (fraction of full scale)."""


class Words(NamedTuple):
    """What is found in a scene.

    Attributes
    ----------
    snr : float or None
        Signal-to-noise ratio of the scene (dB); None: quiet.
    minutes : float
        Its length.
    points : list of Point
        At each of `THRESHOLDS`.
    """

    snr: float | None
    minutes: float
    points: list[Point]


class Alarms(NamedTuple):
    """False alarms in sounds without keywords.

    Attributes
    ----------
    name : str
    minutes : float
        Length of the sounds.
    counts : list of dict of str to int
        Detections of each keyword, at each of `THRESHOLDS`.
    spikes : float
        Spikes of all hidden neurons a second.
    """

    name: str
    minutes: float
    counts: list[dict[str, int]]
    spikes: float

    def rates(self) -> list[float]:
        """Return the false alarms an hour at each threshold."""
        return [sum(each.values()) * 60 / self.minutes for each in self.counts]


class Sounds(NamedTuple):
    """Sounds without keywords.

    Attributes
    ----------
    name : str
    courses : list of Course
        One for each recording.
    """

    name: str
    courses: list[Course]


def sounds_without_keywords(
    recogniser: Recogniser,
    keys: ListenKeys,
    corpus: Corpus,
    partition: Partition,
    negatives: Sequence[Path],
) -> Iterator[Sounds]:
    """Yield what is heard in the background recordings, if there are any, and in each group.

    Parameters
    ----------
    recogniser, keys, partition, negatives
        As of `measure`.
    corpus : Corpus
        With the background recordings; they are heard at all `PEAKS`.
    """
    rate = recogniser.config.srnn.sample_rate
    groups = [(str(name), select_recordings(name)) for name in negatives]
    total = 1 + sum(len(files) for _, files in groups)
    with tqdm(desc="sounds", total=total, leave=False, disable=None) as bar:
        noises = [course(recogniser, keys, [each]) for each in _noises(corpus, partition, rate)]
        bar.update()
        if noises:
            yield Sounds(BACKGROUND, noises)
        for name, files in groups:
            courses = []
            for file in files:
                courses.append(course(recogniser, keys, recording(file, rate)))
                bar.update()
            yield Sounds(name, courses)


def measure(
    recogniser: Recogniser,
    keys: ListenKeys,
    partition: Partition,
    dataroot: Path | None,
    negatives: Sequence[Path],
) -> tuple[list[Words], list[Alarms]]:
    """Return misses in scenes of a partition, and false alarms, over the threshold.

    Parameters
    ----------
    recogniser : Recogniser
    keys : ListenKeys
        Its threshold is not used.
    partition : "testing" or "validation"
    dataroot : Path, optional
        Where another data set lies; the one trained on if not given.
    negatives : sequence of Path
        Groups of recordings without keywords: files, folders, or patterns. The background
        recordings of the partition, at all `PEAKS`, are a further group.

    Raises
    ------
    InputError
        If there is no data set, no clip in the partition, a recording is unreadable, or the
        network cannot listen statefully.
    """
    limit_threads()
    spec, labels = spec_of(recogniser.config), recogniser.labels
    corpus = corpus_of(recogniser, partition, dataroot, "plain")
    every = [keys.model_copy(update={"threshold": each}) for each in THRESHOLDS]
    sounds = list(sounds_without_keywords(recogniser, keys, corpus, partition, negatives))
    words = []
    for snr in tqdm(SNRS, desc="scenes", leave=False, disable=None):
        scene = lay(corpus, partition, spec, snr=snr)
        heard = course(recogniser, keys, scene)
        points = [point(heard, scene.utterances, labels, some) for some in every]
        words.append(Words(snr, scene.duration / 60, points))
    return words, [_alarms(each.name, each.courses, labels, every) for each in sounds]


def _alarms(
    name: str, courses: Sequence[Course], labels: Sequence[str], every: Sequence[ListenKeys]
) -> Alarms:
    """Return the false alarms in several streams."""
    counts = []
    for keys in every:
        found = sum((alarms(heard, labels, keys) for heard in courses), start=Counter())
        counts.append(dict(sorted(found.items())))
    seconds = sum(heard.duration for heard in courses)
    spikes = sum(heard.spikes for heard in courses) / seconds
    return Alarms(name, seconds / 60, counts, spikes)


def _noises(corpus: Corpus, partition: str, sample_rate: int) -> Iterator[Tensor]:
    """Yield each background recording's stretch of a partition (n,), scaled to each peak."""
    for samples in background_of(corpus, partition, sample_rate):
        highest = float(samples.abs().max())
        for peak in PEAKS if highest > 0 else ():
            yield samples * (peak / highest)
