# SPDX-License-Identifier: MPL-2.0
"""From a packed data set to labelled clips in three partitions."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from srnn.data.dataset import DataSet, Entry
from srnn.data.labels import BACKGROUND, SILENCE, UNKNOWN, keywords, label_of
from srnn.data.names import composed, noise_of
from srnn.data.pack.file import Pack, Recording
from srnn.data.partitions import PARTITIONS
from srnn.data.silence import (
    AS_RECORDED,
    Background,
    Cut,
    Noise,
    SilenceVolume,
    cut,
    peaks_of,
    stretches,
)
from srnn.errors import InputError, printable
from srnn.randomness import Purpose, generator

_TOLERANCE = 0.01  # seconds by which a stated end may exceed the recording, from rounding
_PROBLEMS = 20  # listed in an error


class Clip(NamedTuple):
    """A labelled recording, or a labelled part of one."""

    folder: Path  # of the data set
    name: str  # of the recording in its pack
    label: int  # index into Corpus.labels
    word: str  # see `Entry.word`
    start: int = 0  # first frame, at the file's own rate
    frames: int = -1  # at the file's own rate; -1: to the end of the file
    speaker: str = ""  # of silence: its background recording
    peak: float = AS_RECORDED  # that it is scaled to, as of `srnn.data.silence.peaks_of`

    @property
    def path(self) -> Path:
        """The recording."""
        return self.folder / self.name


@dataclass(frozen=True)
class Corpus:
    """The clips of a data set.

    Attributes
    ----------
    packs : dict of Pack
        By partition; testing may have a data set of its own.
    labels : tuple of str
    partitions : dict of tuple of Clip
        The clips in the order of the data set, then the cuts of silence, then those from
        elsewhere (see `with_clips`).
    noises : tuple of Noise
        Background recordings.
    skipped : dict of int
        Word without a label -> number of its clips.
    held_out : frozenset of str
        Words and background recordings that training does not use.
    added : tuple of Pack
        Training clips of `_unknown_` from elsewhere: synthetic words, negatives.
    """

    packs: dict[str, Pack]
    labels: tuple[str, ...]
    partitions: dict[str, tuple[Clip, ...]]
    noises: tuple[Noise, ...]
    skipped: dict[str, int]
    held_out: frozenset[str] = frozenset()
    added: tuple[Pack, ...] = ()

    def packs_of(self, partition: str) -> tuple[Pack, ...]:
        """Return the packs that hold the clips of a partition."""
        first = self.packs[partition]
        return (first, *self.added) if partition == "training" else (first,)

    def is_added(self, clip: Clip) -> bool:
        """Whether a clip is from elsewhere than the data set."""
        return any(clip.folder == pack.folder for pack in self.added)

    def background(self, partition: str) -> list[Noise]:
        """Return a partition's stretches of the background recordings."""
        return stretches(self.noises, partition, self.held_out)

    def training_background(self, size: int, sample_rate: int, device: torch.device) -> Background:
        """Return the training stretches of the background recordings, in memory."""
        pack = self.packs["training"]
        stretches = [(pack, each) for each in self.background("training")]
        return Background(stretches, size, sample_rate, device)

    @property
    def place(self) -> Path:
        """The folder or manifest of the data set that is trained on, for messages."""
        return self.packs["training"].place

    def counts(self, partition: str) -> dict[str, int]:
        """Return the number of clips of every label, in the order of the labels."""
        found = Counter(clip.label for clip in self.partitions[partition])
        return {name: found[label] for label, name in enumerate(self.labels)}


def read_corpus(
    data_set: DataSet,
    pack: Pack,
    labels: Sequence[str],
    *,
    silence_clips: Sequence[int],
    seed: int,
    size: int,
    sample_rate: int,
    held_out: Sequence[str] = (),
    silence_volume: SilenceVolume = "recorded",
) -> Corpus:
    """Label and partition the clips of a data set, and cut silence from background recordings.

    A word without a label of its own counts as `_unknown_`, or is skipped and counted where there
    is no such label. A label without clips is no error here: any data set can be evaluated.

    Parameters
    ----------
    data_set : DataSet
    pack : Pack
        Its recordings.
    labels : sequence of str
        As `choose_labels` returns them or a model has stored them.
    silence_clips : three ints >= 0
        Maximum number of silence clips of each partition; the mean number of clips of a keyword
        there is a further maximum.
    seed : int >= 0
        Of the positions and volumes of silence clips.
    size : int > 0
        Length of a clip of silence in samples at ``sample_rate`` (Hz).
    held_out : sequence of str
        Words that are no keywords, and background recordings without their suffix, which the
        training partition does not use.
    silence_volume
        See `srnn.data.silence.SilenceKeys`.

    Raises
    ------
    InputError
        A clip lies outside its recording: a line each.
    """
    labels = tuple(labels)
    composed_labels = tuple(map(composed, labels))
    excluded = frozenset(map(composed, held_out))
    partitions: dict[str, list[Clip]] = {partition: [] for partition in PARTITIONS}
    noises: list[Noise] = []
    skipped: Counter[str] = Counter()
    for entry, start, frames in _readable(data_set, pack):
        label = label_of(entry.word, composed_labels)
        if entry.word == BACKGROUND:
            recording = pack.recordings[entry.name]
            length = recording.frames - start if frames < 0 else frames
            noises.append(Noise(entry.name, start, length, recording.sample_rate, entry.partition))
        elif label is None:
            skipped[entry.word] += 1
        elif entry.partition != "training" or entry.word not in excluded:
            assert entry.partition
            clip = Clip(pack.folder, entry.name, label, entry.word, start, frames, entry.speaker)
            partitions[entry.partition].append(clip)
    if SILENCE in labels and not data_set.for_testing:
        for index, partition in enumerate(PARTITIONS):
            count = min(silence_clips[index], _mean_keyword(partitions[partition], labels))
            places = stretches(noises, partition, excluded)
            rng = generator(Purpose.SILENCE, seed, index)
            cuts = cut(places, count, size, sample_rate, rng)
            peaks = peaks_of(silence_volume, rng.random((len(cuts), 2)))
            partitions[partition] += silence_clips_of(pack, labels, cuts, peaks)
    return Corpus(
        dict.fromkeys(PARTITIONS, pack),
        labels,
        {partition: tuple(clips) for partition, clips in partitions.items()},
        tuple(noises),
        dict(skipped),
        excluded,
    )


def silence_clips_of(
    pack: Pack, labels: Sequence[str], cuts: Sequence[Cut], peaks: NDArray[np.float64]
) -> list[Clip]:
    """Return clips of silence: cuts of background recordings, with the given peaks."""
    label = labels.index(SILENCE)
    return [
        Clip(pack.folder, name, label, BACKGROUND, start, frames, noise_of(name), peak)
        for (name, start, frames), peak in zip(cuts, peaks.tolist(), strict=True)
    ]


def _readable(data_set: DataSet, pack: Pack) -> Iterator[tuple[Entry, int, int]]:
    """Yield the readable entries, each with its first frame and number of frames."""
    problems = []
    for entry in data_set.entries:
        recording = pack.recordings.get(entry.name)
        if recording is None:
            continue
        if not entry.start and entry.end is None:
            yield entry, 0, -1
        elif problem := _misplaced(entry, recording):
            problems.append(f"{entry.origin}: {problem}")
        else:
            rate = recording.sample_rate
            start = round(entry.start * rate)
            last = recording.frames if entry.end is None else round(entry.end * rate)
            yield entry, start, min(last, recording.frames) - start
    if problems:
        raise InputError(*listed(problems))


def _misplaced(entry: Entry, recording: Recording) -> str:
    """Return the error in the start or end of a clip; empty if there is none."""
    seconds = recording.frames / recording.sample_rate
    if entry.end is not None and entry.end > seconds + _TOLERANCE:
        return f"end: expected at most the {seconds:.3f} s of {entry.name}, found {entry.end:g}"
    end = seconds if entry.end is None else min(entry.end, seconds)
    if round((end - entry.start) * recording.sample_rate) < 1:
        return f"start: expected less than the end, {end:.3f} s, found {entry.start:g}"
    return ""


def listed(problems: Sequence[str]) -> list[str]:
    """Return the first problems, and a line that counts the others."""
    more = len(problems) - _PROBLEMS
    return [*problems[:_PROBLEMS], *([f"and {more:,} more problems"] if more > 0 else [])]


def with_synthetic(corpus: Corpus, data_set: DataSet, pack: Pack) -> Corpus:
    """Return a corpus with the words of another data set as `_unknown_` training clips.

    Parameters
    ----------
    corpus : Corpus
        With `_unknown_` among its labels.
    data_set : DataSet
        Synthetic words.
    pack : Pack
        Its recordings.
    """
    label = corpus.labels.index(UNKNOWN)
    clips = [
        Clip(pack.folder, entry.name, label, entry.word) for entry, *_ in _readable(data_set, pack)
    ]
    return with_clips(corpus, clips, [pack])


def with_clips(corpus: Corpus, clips: Sequence[Clip], packs: Sequence[Pack]) -> Corpus:
    """Return a corpus with training clips of `_unknown_` from other packs."""
    training = (*corpus.partitions["training"], *clips)
    partitions = corpus.partitions | {"training": training}
    return replace(corpus, partitions=partitions, added=(*corpus.added, *packs))


def with_test_archive(corpus: Corpus, archive: Corpus) -> Corpus:
    """Return a corpus whose testing partition is that of another one with the same labels."""
    return replace(
        corpus,
        packs=corpus.packs | {"testing": archive.packs["testing"]},
        partitions=corpus.partitions | {"testing": archive.partitions["testing"]},
    )


def targets_of(corpus: Corpus, unknown_readouts: int) -> list[int]:
    """Return the target of each training clip: the index of a readout.

    A label has one readout. `_unknown_`, the last label, may have several: one for each of its
    words with the most clips, and the first for its other words, synthetic words included.
    """
    clips = corpus.partitions["training"]
    last = len(corpus.labels) - 1
    counts = Counter(
        clip.word
        for clip in clips
        if corpus.labels[clip.label] == UNKNOWN and not corpus.is_added(clip)
    )
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[: unknown_readouts - 1]
    own = {word: last + place for place, word in enumerate(ranked, start=1)}
    return [own.get(clip.word, clip.label) if clip.label == last else clip.label for clip in clips]


def describe(corpus: Corpus) -> str:
    """Return a table of the number of clips of each label in each partition, lines for a log."""
    counts = [corpus.counts(partition) for partition in PARTITIONS]
    rows = {name: [count[name] for count in counts] for name in corpus.labels}
    rows["total"] = [sum(count.values()) for count in counts]
    width = max(map(len, rows))
    lines = [" " * width + "".join(f"{partition:>12}" for partition in PARTITIONS)]
    lines += [f"{name:<{width}}" + "".join(f"{n:>12,}" for n in row) for name, row in rows.items()]
    if corpus.skipped:
        skipped = ", ".join(f"{printable(w)} {count:,}" for w, count in corpus.skipped.items())
        lines.append(f"skipped (words without a label): {skipped}")
    return "\n".join(lines)


def _mean_keyword(clips: Iterable[Clip], labels: tuple[str, ...]) -> int:
    """Return the mean number of clips of a keyword, rounded; 0 where no label is one."""
    words = keywords(labels)
    if not words:
        return 0
    return round(sum(labels[clip.label] in words for clip in clips) / len(words))
