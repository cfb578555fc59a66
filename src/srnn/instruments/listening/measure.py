# SPDX-License-Identifier: MPL-2.0
"""Measures a network on streams: misses in scenes, false alarms in sounds without keywords."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from srnn.bars import progress_bar
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
    calibrated : Point or None
        At the thresholds that `srnn calibrate` has chosen.
    """

    name: str
    minutes: float
    points: list[Point]
    calibrated: Point | None = None


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
    calibrated : dict of str to int, or None
        Detections at the thresholds that `srnn calibrate` has chosen.
    """

    name: str
    minutes: float
    counts: list[dict[str, int]]
    spikes: float
    calibrated: dict[str, int] | None = None

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


class Measurer:
    """Measures a network.

    Parameters
    ----------
    recogniser : Recogniser
    keys : ListenKeys
        Its threshold is not used.
    thresholds : mapping of str to float, optional
        Of each keyword, as `srnn calibrate` has chosen them.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        keys: ListenKeys,
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        limit_threads()
        self._recogniser = recogniser
        self._labels = recogniser.labels
        self._keys = keys
        self._every = [keys.model_copy(update={"threshold": each}) for each in THRESHOLDS]
        self._thresholds = thresholds

    def scenes(
        self, partition: Partition, dataroot: Path | None, negatives: Sequence[Path]
    ) -> Curves:
        """Return misses in scenes of a partition, and false alarms, over the threshold.

        Parameters
        ----------
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
        spec = spec_of(self._recogniser.config)
        corpus = corpus_of(self._recogniser, partition, dataroot, "plain")
        sounds = [
            *background(self._recogniser, self._keys, corpus, partition),
            *without_keywords(self._recogniser, self._keys, negatives),
        ]
        misses = []
        for snr in progress_bar(SNRS, desc="scenes"):
            scene = lay(corpus, partition, spec, snr=snr)
            trace = trace_of(self._recogniser, self._keys, scene)
            misses.append(self._misses(_name(snr), trace, scene.utterances))
        return Curves(misses, [self._alarms(each) for each in sounds])

    def labelled(self, file: Path, labels: Path, negatives: Sequence[Path]) -> Curves:
        """Return misses and false alarms in a recording whose words are known, over the threshold.

        Parameters
        ----------
        file : Path
            The recording.
        labels : Path
            Its words, see `srnn.instruments.listening.labels.read`.
        negatives : sequence of Path
            As of `scenes`.

        Raises
        ------
        InputError
            If the labels do not fit, a recording is unreadable, or the network cannot listen
            statefully.
        """
        utterances = read_labels(labels, keywords(self._labels))
        rate = self._recogniser.config.srnn.sample_rate
        trace = trace_of(self._recogniser, self._keys, recording(file, rate))
        expect_within(utterances, labels, trace.duration)
        misses = self._misses(str(file), trace, utterances)
        own = Alarms(
            str(file),
            misses.minutes,
            [each.false_alarms for each in misses.points],
            trace.spikes / trace.duration,
            misses.calibrated.false_alarms if misses.calibrated else None,
        )
        sounds = without_keywords(self._recogniser, self._keys, negatives)
        return Curves([misses], [own, *map(self._alarms, sounds)])

    def _misses(self, name: str, trace: Trace, utterances: Sequence[Utterance]) -> Misses:
        held_out = self._recogniser.config.data.held_out
        points = [
            point(trace, utterances, self._labels, keys, held_out=held_out) for keys in self._every
        ]
        calibrated = self._thresholds and point(
            trace, utterances, self._labels, self._keys, self._thresholds, held_out
        )
        return Misses(name, trace.duration / 60, points, calibrated or None)

    def _alarms(self, sounds: Sounds) -> Alarms:
        """Return the false alarms in several streams."""
        seconds = sum(trace.duration for trace in sounds.traces)
        return Alarms(
            sounds.name,
            seconds / 60,
            [self._count(sounds, keys) for keys in self._every],
            sum(trace.spikes for trace in sounds.traces) / seconds,
            self._count(sounds, self._keys, self._thresholds) if self._thresholds else None,
        )

    def _count(
        self, sounds: Sounds, keys: ListenKeys, thresholds: Mapping[str, float] | None = None
    ) -> dict[str, int]:
        found = (alarms(trace, self._labels, keys, thresholds) for trace in sounds.traces)
        return dict(sorted(sum(found, start=Counter()).items()))


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
    with progress_bar(desc="sounds", total=total) as bar:
        for name, files in groups:
            traces = []
            for file in files:
                traces.append(trace_of(recogniser, keys, recording(file, rate)))
                bar.update()
            yield Sounds(name, traces)


def _name(snr: float | None) -> str:
    return "quiet" if snr is None else f"noise, {snr:g} dB"


def _noises(corpus: Corpus, partition: str, sample_rate: int) -> Iterator[Tensor]:
    """Yield each background recording's stretch of a partition (n,), scaled to each peak."""
    for samples in background_of(corpus, partition, sample_rate):
        highest = float(samples.abs().max())
        for peak in PEAKS if highest > 0 else ():
            yield samples * (peak / highest)
