# SPDX-License-Identifier: MPL-2.0
"""Measures a network on streams: misses in scenes, false alarms in sounds without keywords."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor
from tqdm import tqdm

from srnn.data.corpus import Corpus
from srnn.data.labels import keywords
from srnn.data.selection import select_recordings
from srnn.detection import ListenKeys
from srnn.instruments.listening.labels import expect_within
from srnn.instruments.listening.labels import read as read_labels
from srnn.instruments.listening.scenes import Utterance, background_of, lay
from srnn.instruments.listening.sounds import recording
from srnn.instruments.listening.tradeoff import THRESHOLDS, Point, Trace, alarms, point, trace_of
from srnn.runs.evaluation import Partition, corpus_of
from srnn.runs.parts import spec_of
from srnn.runs.recogniser import Recogniser
from srnn.runs.resources import limit_threads

SNRS = (None, 10.0, 0.0)
"""Signal-to-noise ratios of the scenes of a partition (dB); None: quiet."""

BACKGROUND = "background"
"""Name of the group of background recordings."""

PEAKS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 1.0)
"""Peaks that background recordings are scaled to (fraction of full scale)."""


class Misses(NamedTuple):
    """Keywords that are missed in a scene.

    Attributes
    ----------
    name : str
        Of the scene.
    minutes : float
        Its length.
    points : list of Point
        At each of `THRESHOLDS`.
    """

    name: str
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
    traces : list of Trace
        One for each recording.
    """

    name: str
    traces: list[Trace]


class Curves(NamedTuple):
    """The two kinds of error over the threshold.

    Attributes
    ----------
    misses : list of Misses
    alarms : list of Alarms
    """

    misses: list[Misses]
    alarms: list[Alarms]


def measure(
    recogniser: Recogniser,
    keys: ListenKeys,
    partition: Partition,
    dataroot: Path | None,
    negatives: Sequence[Path],
) -> Curves:
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
    spec = spec_of(recogniser.config)
    corpus = corpus_of(recogniser, partition, dataroot, "plain")
    sounds = [
        *background(recogniser, keys, corpus, partition),
        *without_keywords(recogniser, keys, negatives),
    ]
    misses = []
    for snr in tqdm(SNRS, desc="scenes", leave=False, disable=None):
        scene = lay(corpus, partition, spec, snr=snr)
        trace = trace_of(recogniser, keys, scene)
        points = _points(trace, scene.utterances, recogniser.labels, keys)
        misses.append(Misses(_name(snr), scene.duration / 60, points))
    return Curves(misses, [_alarms(each, recogniser.labels, keys) for each in sounds])


def measure_labelled(
    recogniser: Recogniser,
    keys: ListenKeys,
    file: Path,
    labels: Path,
    negatives: Sequence[Path],
) -> Curves:
    """Return misses and false alarms in a recording whose words are known, over the threshold.

    Parameters
    ----------
    recogniser, keys, negatives
        As of `measure`.
    file : Path
        The recording.
    labels : Path
        Its words, see `srnn.instruments.listening.labels.read`.

    Raises
    ------
    InputError
        If the labels do not fit, a recording is unreadable, or the network cannot listen
        statefully.
    """
    limit_threads()
    utterances = read_labels(labels, keywords(recogniser.labels))
    trace = trace_of(recogniser, keys, recording(file, recogniser.config.srnn.sample_rate))
    expect_within(utterances, labels, trace.duration)
    points = _points(trace, utterances, recogniser.labels, keys)
    minutes = trace.duration / 60
    counts = [each.false_alarms for each in points]
    own = Alarms(str(file), minutes, counts, trace.spikes / trace.duration)
    sounds = without_keywords(recogniser, keys, negatives)
    others = [_alarms(each, recogniser.labels, keys) for each in sounds]
    return Curves([Misses(str(file), minutes, points)], [own, *others])


def background(
    recogniser: Recogniser, keys: ListenKeys, corpus: Corpus, partition: Partition
) -> Iterator[Sounds]:
    """Yield the background recordings of a partition, at all `PEAKS`, if there are any."""
    rate = recogniser.config.srnn.sample_rate
    noises = [trace_of(recogniser, keys, [each]) for each in _noises(corpus, partition, rate)]
    if noises:
        yield Sounds(BACKGROUND, noises)


def without_keywords(
    recogniser: Recogniser, keys: ListenKeys, negatives: Sequence[Path]
) -> Iterator[Sounds]:
    """Yield groups of recordings without keywords: files, folders, or patterns."""
    rate = recogniser.config.srnn.sample_rate
    groups = [(str(name), select_recordings(name)) for name in negatives]
    total = sum(len(files) for _, files in groups)
    with tqdm(desc="sounds", total=total, leave=False, disable=None) as bar:
        for name, files in groups:
            traces = []
            for file in files:
                traces.append(trace_of(recogniser, keys, recording(file, rate)))
                bar.update()
            yield Sounds(name, traces)


def _every(keys: ListenKeys) -> list[ListenKeys]:
    """Return the keys with each of `THRESHOLDS`."""
    return [keys.model_copy(update={"threshold": each}) for each in THRESHOLDS]


def _points(
    trace: Trace, utterances: Sequence[Utterance], labels: Sequence[str], keys: ListenKeys
) -> list[Point]:
    return [point(trace, utterances, labels, some) for some in _every(keys)]


def _alarms(sounds: Sounds, labels: Sequence[str], keys: ListenKeys) -> Alarms:
    """Return the false alarms in several streams."""
    counts = []
    for some in _every(keys):
        found = sum((alarms(trace, labels, some) for trace in sounds.traces), start=Counter())
        counts.append(dict(sorted(found.items())))
    seconds = sum(trace.duration for trace in sounds.traces)
    spikes = sum(trace.spikes for trace in sounds.traces) / seconds
    return Alarms(sounds.name, seconds / 60, counts, spikes)


def _name(snr: float | None) -> str:
    return "quiet" if snr is None else f"noise, {snr:g} dB"


def _noises(corpus: Corpus, partition: str, sample_rate: int) -> Iterator[Tensor]:
    """Yield each background recording's stretch of a partition (n,), scaled to each peak."""
    for samples in background_of(corpus, partition, sample_rate):
        highest = float(samples.abs().max())
        for peak in PEAKS if highest > 0 else ():
            yield samples * (peak / highest)
