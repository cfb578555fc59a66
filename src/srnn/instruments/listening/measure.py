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
from srnn.features.reference import MelSpec
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
    groups = [(str(name), select_recordings(name)) for name in negatives]
    steps = len(SNRS) + 1 + sum(len(files) for _, files in groups)
    every = [keys.model_copy(update={"threshold": each}) for each in THRESHOLDS]
    words, false = [], []
    with tqdm(desc="streams", total=steps, leave=False, disable=None) as bar:
        for snr in SNRS:
            scene = lay(corpus, partition, spec, snr=snr)
            heard = course(recogniser, keys, scene)
            points = [point(heard, scene.utterances, labels, some) for some in every]
            words.append(Words(snr, scene.duration / 60, points))
            bar.update()
        noises = [course(recogniser, keys, [each]) for each in _noises(corpus, partition, spec)]
        if noises:
            false.append(_alarms(BACKGROUND, noises, labels, every))
        bar.update()
        for name, files in groups:
            courses = []
            for file in files:
                courses.append(course(recogniser, keys, recording(file, spec.sample_rate)))
                bar.update()
            false.append(_alarms(name, courses, labels, every))
    return words, false


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


def _noises(corpus: Corpus, partition: str, spec: MelSpec) -> Iterator[Tensor]:
    """Yield each background recording's stretch of a partition (n,), scaled to each peak."""
    for samples in background_of(corpus, partition, spec.sample_rate):
        highest = float(samples.abs().max())
        for peak in PEAKS if highest > 0 else ():
            yield samples * (peak / highest)
