# SPDX-License-Identifier: MPL-2.0
"""From packed recordings to labelled clips in three partitions.

A corpus has the layout of Speech Commands (Warden 2018, https://arxiv.org/abs/1804.03209): a folder
a word with its recordings, there or in a folder a speaker; `_background_noise_` with long
recordings from which silence is cut; `validation_list.txt` and `testing_list.txt`, which name the
clips of two partitions. Every other clip is for training. Where a list is missing, a hash of the
speaker takes its place, the rule by which the official lists were made.

A folder that holds `_silence_` or `_unknown_` beside the words and has no lists is a test archive:
all of it is for testing.
"""

import difflib
import hashlib
import itertools
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from srnn.data.layout import composed, is_recording, words_in
from srnn.data.lists import LISTS, read_lists
from srnn.data.pack import Pack
from srnn.errors import InputError, printable
from srnn.randomness import Purpose, generator

PARTITIONS = ("training", "validation", "testing")
SILENCE = "_silence_"
UNKNOWN = "_unknown_"
BACKGROUND = "_background_noise_"
"""The folder of long recordings without words."""

# Where each partition's stretch of a background recording begins and ends, in tenths of its time.
_STRETCHES = {"training": (0, 8), "validation": (8, 9), "testing": (9, 10)}

_LISTED = 40  # words in a message
_NAMED = 12  # classes in a warning
_FEW = 10  # clips of a class for validation, fewer of which are warned of
_MOST = 0.7  # of the training clips, the share of `_unknown_` beyond which it is warned of

_log = logging.getLogger(__name__)


class Clip(NamedTuple):
    """A labelled recording, or a labelled part of one."""

    folder: Path  # the data set
    name: str  # of the recording in its pack, `word/file.wav`
    label: int  # index into Corpus.labels
    word: str  # the folder in the data set, see `Recording.word`
    start: int = 0  # first frame, at the file's own rate
    frames: int = -1  # number of frames at the file's own rate; -1: to the end of the file

    @property
    def path(self) -> Path:
        """The recording."""
        return self.folder / self.name


@dataclass(frozen=True)
class Corpus:
    """The clips of a data set: partition -> clips sorted by folder and file, then silence cuts.

    Behind those of the training partition there may be synthetic words, see `with_synthetic`.
    """

    packs: dict[str, Pack]  # partition -> what holds its clips; testing may have one of its own
    labels: tuple[str, ...]
    partitions: dict[str, tuple[Clip, ...]]
    skipped: dict[str, int]  # word folder that belongs to no label -> number of its clips
    held_out: frozenset[str] = frozenset()  # words and background recordings not trained on
    synthetic: Pack | None = None  # what holds the synthetic words

    def packs_of(self, partition: str) -> tuple[Pack, ...]:
        """Return what holds the clips of a partition."""
        first = self.packs[partition]
        return (first, self.synthetic) if self.synthetic and partition == "training" else (first,)

    def is_synthetic(self, clip: Clip) -> bool:
        """Whether a clip is one of the synthetic words."""
        return self.synthetic is not None and clip.folder == self.synthetic.folder

    def background(self, partition: str) -> list["Stretch"]:
        """Return the stretches of background recordings that a partition hears."""
        return _background(self.packs[partition], partition, self.held_out)

    @property
    def folder(self) -> Path:
        """The data set; that of training, where testing has one of its own."""
        return self.packs["training"].folder

    def counts(self, partition: str) -> dict[str, int]:
        """Return the number of clips of every label, in the order of the labels."""
        found = Counter(clip.label for clip in self.partitions[partition])
        return {name: found[label] for label, name in enumerate(self.labels)}


def label_names(words: Sequence[str], *, unknown: bool, silence: bool) -> tuple[str, ...]:
    """Return the labels in their fixed order: the words as written, `_silence_`, `_unknown_`."""
    return (*words, *([SILENCE] if silence else []), *([UNKNOWN] if unknown else []))


def choose_labels(
    pack: Pack, words: Sequence[str] | Literal["all"], *, unknown: bool, silence: bool
) -> tuple[str, ...]:
    """Return the labels of a task on `pack`; for "all" its word folders sorted, unknown off.

    Raises
    ------
    InputError
        All words are asked for and there is none.
    """
    if words != "all":
        return label_names(words, unknown=unknown, silence=silence)
    found = keywords(_words(pack))
    if not found:
        raise InputError(
            f"data.words: expected word folders with recordings in {pack.folder}, found none"
        )
    return label_names(found, unknown=False, silence=silence)


def read_corpus(
    pack: Pack,
    labels: Sequence[str],
    *,
    silence_clips: Sequence[int],
    seed: int,
    size: int,
    sample_rate: int,
    all_testing: bool = False,
    held_out: Sequence[str] = (),
) -> Corpus:
    """Label and partition the clips of `pack`, and cut silence from its background recordings.

    A word that is no label counts as `_unknown_`, or is skipped and counted where there is no such
    label. Labels without clips are no error here, so that any folder can be evaluated; training
    asks `require_trainable`.

    Parameters
    ----------
    pack
        A data set; the lists are read in its folder.
    labels
        As `choose_labels` returns them or a model has stored them.
    silence_clips : three ints >= 0
        Clips of `_silence_` in each of `PARTITIONS`, at most the mean number of clips of a keyword
        there.
    seed : int >= 0
        Decides where silence is cut.
    size : int > 0
        Length of a clip of silence in samples at `sample_rate` (Hz).
    all_testing
        Whether the data set is a test archive even if it does not look like one.
    held_out
        Words that are no keywords, and background recordings without their suffix, of which the
        training partition has nothing.
    """
    labels = tuple(labels)
    composed_labels = tuple(map(composed, labels))
    words = _words(pack)
    lists = read_lists(pack.folder, itertools.chain(pack.recordings, pack.unreadable))
    unheard = frozenset(map(composed, held_out))
    is_test_archive = all_testing or (not lists and (SILENCE in words or UNKNOWN in words))
    if is_test_archive and not all_testing:
        _log.info(
            "%s has a folder %s and no lists: a test archive, all of it is for testing",
            pack.folder,
            SILENCE if SILENCE in words else UNKNOWN,
        )
    partitions: dict[str, list[Clip]] = {partition: [] for partition in PARTITIONS}
    skipped = {}
    for word, names in words.items():
        label = _label_of(word, composed_labels)
        if label is None:
            skipped[word] = len(names)
            continue
        for name in names:
            partition = "testing" if is_test_archive else _partition_of(name, lists)
            if partition != "training" or word not in unheard:
                partitions[partition].append(Clip(pack.folder, name, label, word))
    if not is_test_archive:
        if len(lists) < len(LISTS):
            _warn_of_shared_speakers(pack.folder, itertools.chain(*partitions.values()))
        if SILENCE in labels:
            for index, partition in enumerate(PARTITIONS):
                count = min(silence_clips[index], _mean_keyword(partitions[partition], labels))
                rng = generator(Purpose.SILENCE, seed, index)
                stretches = _background(pack, partition, unheard)
                cuts = _cut(stretches, count, size, sample_rate, rng)
                partitions[partition] += [
                    Clip(pack.folder, name, labels.index(SILENCE), BACKGROUND, start, frames)
                    for name, start, frames in cuts
                ]
    clips = {partition: tuple(some) for partition, some in partitions.items()}
    return Corpus(dict.fromkeys(PARTITIONS, pack), labels, clips, skipped, held_out=unheard)


def with_synthetic(corpus: Corpus, pack: Pack) -> Corpus:
    """Return a corpus whose `_unknown_` has the words of another data set, too: all for training.

    Parameters
    ----------
    corpus : Corpus
        With `_unknown_` among its labels.
    pack : Pack
    """
    label = corpus.labels.index(UNKNOWN)
    clips = [
        Clip(pack.folder, name, label, word)
        for word, names in _words(pack).items()
        for name in names
    ]
    training = (*corpus.partitions["training"], *clips)
    return replace(corpus, partitions=corpus.partitions | {"training": training}, synthetic=pack)


def readouts_of(corpus: Corpus, unknown_readouts: int) -> list[int]:
    """Return which readout each training clip belongs to: that of its label, if it is a keyword.

    `_unknown_`, the last label, may have several: the one at its place, and those behind it, which
    go to the words with most clips. Synthetic words have no readout of their own.
    """
    clips = corpus.partitions["training"]
    last = len(corpus.labels) - 1
    counts = Counter(
        clip.word
        for clip in clips
        if corpus.labels[clip.label] == UNKNOWN and not corpus.is_synthetic(clip)
    )
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[: unknown_readouts - 1]
    own = {word: last + place for place, word in enumerate(ranked, start=1)}
    return [own.get(clip.word, clip.label) if clip.label == last else clip.label for clip in clips]


def has_background(folder: Path) -> bool:
    """Whether a data set has recordings, unopened, in its folder of background noise."""
    files = (files for _, _, files in os.walk(folder / BACKGROUND, followlinks=True))
    return any(map(is_recording, itertools.chain.from_iterable(files)))


def expect_folders(folder: Path, words: Iterable[str], *, silence: bool) -> None:
    """Check, before anything is decoded, that a data set has the folders that training needs.

    Raises
    ------
    InputError
        A keyword has no folder, or silence has neither background recordings nor clips of its own:
        a line each, as of `require_trainable`.
    """
    there = [composed(place.name) for place in words_in(folder)]
    missing = [word for word in map(composed, words) if word not in there]
    problems = [_no_folders(folder, missing, there)] if missing else []
    if silence and not has_background(folder) and not (folder / SILENCE).is_dir():
        problems.append(_no_background(folder))
    if problems:
        raise InputError(*problems)


def require_trainable(corpus: Corpus) -> None:
    """Check that every label asked for can be learnt and the best epoch chosen.

    Raises
    ------
    InputError
        A keyword has no folder or no training clips, silence has no background recordings, no clip
        is left for validation, or what is to be held out is not there or is all there is of
        background: a line each.
    """
    clips = [clip for partition in PARTITIONS for clip in corpus.partitions[partition]]
    folders = sorted({clip.word for clip in clips} | set(corpus.skipped))
    counts = {composed(label): n for label, n in corpus.counts("training").items()}
    words = [composed(word) for word in keywords(corpus.labels)]
    missing = [word for word in words if word not in folders]
    untrained = [word for word in words if word in folders and not counts[word]]
    problems = []
    background = {noise_of(stretch.name) for stretch in corpus.background("validation")}
    unknown = {clip.word for clip in clips if corpus.labels[clip.label] == UNKNOWN}
    nowhere = corpus.held_out - background - unknown
    if nowhere:
        problems.append(
            f"data.held_out: expected background recordings of {corpus.folder}, or words in it "
            f"that are in {UNKNOWN}, found none named {', '.join(map(repr, sorted(nowhere)))}"
        )
    if background and not corpus.background("training"):
        problems.append(
            f"data.held_out: expected background recordings left to train on, found all of "
            f"{corpus.folder / BACKGROUND} held out"
        )
    if missing:
        problems.append(_no_folders(corpus.folder, missing, folders))
    if untrained:
        problems.append(
            f"data.words: expected training clips of each word in {corpus.folder}, "
            f"found none for {', '.join(map(repr, untrained))}"
        )
    if SILENCE in counts and not counts[SILENCE] and not background:
        problems.append(_no_background(corpus.folder))
    if not problems and not corpus.partitions["validation"]:
        problems.append(
            f"{corpus.folder}: expected clips for validation, found none; add recordings, or name "
            f"some of them as word/file.wav in {LISTS['validation']}"
        )
    if problems:
        raise InputError(*problems)
    if UNKNOWN in counts and not counts[UNKNOWN]:
        _log.warning(
            "data.unknown: no training clips in %s are left for %s, which cannot be learnt",
            corpus.folder,
            UNKNOWN,
        )


def warn_of_many_unknown(corpus: Corpus) -> None:
    """Warn where nearly all training clips are `_unknown_`, if each is presented as often."""
    clips = corpus.counts("training")
    unknown, total = clips.get(UNKNOWN, 0), sum(clips.values())
    if unknown > _MOST * total:
        _log.warning(
            "%s has %s of %s training clips, and always answering it is right as often: "
            'data.sampling = "balanced" presents every class equally often',
            UNKNOWN,
            f"{unknown:,}",
            f"{total:,}",
        )


def warn_of_few_for_validation(corpus: Corpus) -> None:
    """Warn of words with next to no clips for validation; silence is cut as the keys ask."""
    counts = corpus.counts("validation")
    few = {label: n for label, n in counts.items() if n < _FEW and label != SILENCE}
    if few:
        listed = [f"{printable(label)} {n}" for label, n in few.items()]
        more = f" and {len(few) - _NAMED} more" if len(few) > _NAMED else ""
        _log.warning(
            "fewer than %d clips for validation of %s%s: its accuracy, by which the best epoch is "
            "chosen, says little; add recordings, or name more of them in %s",
            _FEW,
            ", ".join(listed[:_NAMED]),
            more,
            LISTS["validation"],
        )


def _no_folders(folder: Path, missing: Iterable[str], there: Sequence[str]) -> str:
    words = [word for word in there if not word.startswith("_")]
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return (
        f"data.words: expected a folder of recordings for each word in {folder}, "
        f"found none for {', '.join(_with_suggestion(word, words) for word in missing)}; "
        f"the words there are {', '.join(words[:_LISTED]) or 'none'}{more}"
    )


def _no_background(folder: Path) -> str:
    return (
        f"data.silence: expected recordings to cut silence from in {folder / BACKGROUND}, "
        "found none; add some or set data.silence = false"
    )


def _with_suggestion(word: str, folders: Sequence[str]) -> str:
    spelt = {folder.lower(): folder for folder in folders}
    near = difflib.get_close_matches(word.lower(), spelt, n=1, cutoff=0.7)
    return f"{word!r} (did you mean {spelt[near[0]]!r}?)" if near else repr(word)


def speaker_of(name: str) -> str:
    """Return the speaker of a recording by its name in the word's folder.

    `SPEAKER_nohash_N.wav` states one, and so does `SPEAKER/file.wav`; else it is the name's stem.
    """
    folder, _, file = name.partition("/") if "/" in name else ("", "", name)
    stem, states_speaker, _ = file.rpartition("/")[2].rpartition(".")[0].partition("_nohash_")
    return composed(folder if folder and not states_speaker else stem)


def noise_of(name: str) -> str:
    """Return what a background recording is called: its file's stem."""
    return composed(name.rpartition("/")[2].rpartition(".")[0])


def partition_of_speaker(speaker: str) -> str:
    """Return the partition in which a hash puts all clips of a speaker.

    The rule of the data set's README and of TensorFlow's speech commands example, by which the
    official lists were made.
    """
    digest = hashlib.sha1(os.fsencode(speaker), usedforsecurity=False).hexdigest()
    percent = int(digest, 16) % 2**27 * (100 / (2**27 - 1))
    if percent < 10:
        return "validation"
    return "testing" if percent < 20 else "training"


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
        lines.append(f"skipped, as they belong to no label: {skipped}")
    return "\n".join(lines)


def _words(pack: Pack) -> dict[str, list[str]]:
    """Return the words, sorted, and the names of the recordings of each, sorted."""
    found: dict[str, list[str]] = {}
    for recording in pack.recordings.values():
        if recording.word != BACKGROUND:
            found.setdefault(recording.word, []).append(recording.name)
    return found


def _label_of(word: str, labels: tuple[str, ...]) -> int | None:
    if word in labels:
        return labels.index(word)
    return labels.index(UNKNOWN) if UNKNOWN in labels and word != SILENCE else None


def keywords(labels: Iterable[str]) -> list[str]:
    """Return the labels that are words, in their order."""
    return [name for name in labels if name not in (SILENCE, UNKNOWN)]


def _partition_of(name: str, lists: dict[str, frozenset[str]]) -> str:
    """Return the partition of a clip: that of the list it is in; by speaker for lists missing."""
    for partition, listed in lists.items():
        if name in listed:
            return partition
    if len(lists) == len(LISTS):
        return "training"
    partition = partition_of_speaker(speaker_of(name.partition("/")[2]))
    return "training" if partition in lists else partition


def _warn_of_shared_speakers(folder: Path, clips: Iterable[Clip]) -> None:
    unnamed = [c.name for c in clips if "_nohash_" not in c.name and c.name.count("/") == 1]
    if unnamed:
        _log.warning(
            "%s: %d recordings do not name their speaker (SPEAKER_nohash_N.wav), such as %s: "
            "the same voices may be in several partitions",
            printable(folder),
            len(unnamed),
            printable(unnamed[0]),
        )


class Stretch(NamedTuple):
    """A part of a background recording, at its own rate."""

    name: str  # `folder/file.wav`
    start: int  # first frame
    frames: int
    sample_rate: int  # Hz


def _background(pack: Pack, partition: str, held_out: Collection[str]) -> list[Stretch]:
    """Return a partition's stretch of each recording it hears that can be cut into tenths."""
    unheard = held_out if partition == "training" else ()
    first, last = _STRETCHES[partition]
    return [
        Stretch(name, frames * first // 10, frames * last // 10 - frames * first // 10, rate)
        for name, _, frames, rate, *_ in pack.recordings.values()
        if name.startswith(f"{BACKGROUND}/") and frames >= 10 and noise_of(name) not in unheard
    ]


def _mean_keyword(clips: Iterable[Clip], labels: tuple[str, ...]) -> int:
    """Return the mean number of clips of a keyword, rounded; 0 where no label is one."""
    words = keywords(labels)
    if not words:
        return 0
    return round(sum(labels[clip.label] in words for clip in clips) / len(words))


def _cut(
    stretches: list[Stretch],
    count: int,
    size: int,
    sample_rate: int,
    rng: np.random.Generator,
) -> list[tuple[str, int, int]]:
    """Cut `count` clips at random, equally many from each stretch: name, first frame, frames."""
    cuts = []
    for place, (name, begin, length, rate) in enumerate(stretches):
        frames = min(round(size * rate / sample_rate), length)
        share = count // len(stretches) + (place < count % len(stretches))
        starts = np.sort(rng.integers(begin, begin + length - frames, share, endpoint=True))
        cuts += [(name, int(start), frames) for start in starts]
    return cuts
