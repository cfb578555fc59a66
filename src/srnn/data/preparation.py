# SPDX-License-Identifier: MPL-2.0
"""From a task to its corpus: find or fetch the data set, pack it, label and partition its clips."""

from pathlib import Path

from srnn.data import negatives
from srnn.data.checks import (
    expect_words,
    require_trainable,
    warn_of_few_for_validation,
    warn_of_many_unknown,
)
from srnn.data.corpus import Corpus, read_corpus, with_synthetic, with_test_archive
from srnn.data.dataset import DataSet
from srnn.data.fetch.dataroot import CORPORA, SYNTHETIC_WORDS, corpus_name
from srnn.data.labels import BACKGROUND, choose_labels, keywords
from srnn.data.names import noise_of
from srnn.data.pack.file import Pack
from srnn.data.pack.opening import expect_readable, open_pack
from srnn.data.silence import where
from srnn.data.sources import registry
from srnn.data.sources.folder import source as folder
from srnn.data.sources.folder.archives import Origin, fetch, is_fetched
from srnn.data.sources.synthetic.corpus import UnknownWords
from srnn.data.sources.synthetic.sentences import Sentences
from srnn.data.task import Task
from srnn.errors import InputError


def make_training_corpus(task: Task, *, needs_noise: bool = False) -> Corpus:
    """Find, download or synthesise the data set of a task, pack and partition it.

    With ``data.test_url`` the testing partition is that of this archive. Unreadable recordings are
    skipped with a warning.

    Parameters
    ----------
    task : Task
    needs_noise : bool
        Whether background recordings are needed for ``augment.noise``.

    Raises
    ------
    InputError
        If the data set is missing, cannot be downloaded or packed, is unfit for training, or too
        many recordings are unreadable.
    """
    keys = task.keys
    data_set = registry.source_of(keys.gsc_url).get(task)
    expect_words(data_set, task.named_words, silence=keys.silence)
    if needs_noise and BACKGROUND not in data_set.words:
        raise InputError(no_noise(data_set.place))
    labels = choose_labels(data_set, keys.words, unknown=keys.unknown, silence=keys.silence)
    corpus = _labelled(task, data_set, labels)
    if keys.test_url:
        corpus = _tested_on(task, corpus, fetch(Path(keys.dataroot), _test_origin(task)))
    if keys.synthetic_unknown:
        corpus = _with_synthetic(task, corpus)
    if keys.negatives:
        corpus = _with_negatives(task, corpus)
    require_trainable(corpus)
    warn_of_few_for_validation(corpus)
    if keys.sampling == "natural":
        warn_of_many_unknown(corpus)
    return corpus


def make_evaluation_corpus(
    task: Task,
    labels: tuple[str, ...],
    dataroot: Path | None = None,
    partition: str = "testing",
) -> Corpus:
    """Label and partition the data set in ``dataroot``, or by default that of the training.

    By default and for the partition "testing" the test archive of ``data.test_url`` is used.
    Nothing is downloaded or synthesised: the configuration may come from others. Unreadable
    recordings are skipped with a warning.

    Parameters
    ----------
    task : Task
    labels : tuple of str
    dataroot : Path, optional
        A data root, or a manifest.
    partition : str

    Raises
    ------
    InputError
        If the data set is missing, cannot be packed, or too many recordings are unreadable.
    """
    keys = task.keys
    if dataroot is not None:
        return _labelled(task, registry.at(dataroot, keys.gsc_url), labels, cache="auto")
    corpus = _labelled(task, registry.source_of(keys.gsc_url).find(task), labels)
    if not keys.test_url or partition != "testing":
        return corpus
    archive = Path(keys.dataroot) / CORPORA / corpus_name(keys.test_url)
    if not archive.is_dir():
        raise InputError(
            f"data.test_url: expected the test archive that training unpacked in {archive}, found "
            "none; name it with --dataroot DIR"
        )
    return _tested_on(task, corpus, archive)


def expect_data_sets(task: Task, run: Path) -> None:
    """Check that the data sets of a run exist, so that resuming neither downloads nor makes them.

    The data root may have moved with the run.

    Raises
    ------
    InputError
        The data set or archive that is missing.
    """
    keys, dataroot = task.keys, Path(task.keys.dataroot)
    missing = registry.source_of(keys.gsc_url).missing(task)
    if not missing and keys.test_url and not is_fetched(dataroot, _test_origin(task)):
        missing = f"test archive {corpus_name(keys.test_url)}"
    synthetic = keys.synthetic_unknown or negatives.SYNTHETIC in keys.negatives
    if not missing and synthetic and not (dataroot / SYNTHETIC_WORDS).is_dir():
        missing = f"folder {SYNTHETIC_WORDS} of synthetic words"
    if missing:
        raise InputError(
            f"data.dataroot = {keys.dataroot!r}: expected the {missing} that the run in {run} "
            f"began with, found none in {dataroot.absolute()}: name its folder by "
            "--set data.dataroot=DIR"
        )


def no_noise(place: Path) -> str:
    """Return the error for a data set without noise for ``augment.noise``."""
    return (
        f"augment.noise: expected background recordings in {where(place)}, found none; add some or "
        "set augment.noise = 0"
    )


def _labelled(
    task: Task, data_set: DataSet, labels: tuple[str, ...], cache: str | None = None
) -> Corpus:
    return read_corpus(
        data_set,
        _packed(task, data_set, cache),
        labels,
        silence_clips=task.keys.silence_clips,
        silence_volume=task.keys.silence_volume,
        seed=task.seed,
        size=task.size,
        sample_rate=task.sample_rate,
        held_out=task.keys.held_out,
    )


def _packed(task: Task, data_set: DataSet, cache: str | None = None) -> Pack:
    pack = open_pack(data_set, cache or task.keys.cache, task.keys.workers)
    expect_readable(pack, task.keys.max_unreadable)
    return pack


def _test_origin(task: Task) -> Origin:
    return Origin(task.keys.test_url, task.keys.test_sha256, "data.test_url", "data.test_sha256")


def _tested_on(task: Task, corpus: Corpus, archive: Path) -> Corpus:
    """Return the corpus with the clips of a test archive for testing."""
    tested = _labelled(task, folder.read(archive, for_testing=True), corpus.labels)
    if not tested.partitions["testing"]:
        raise InputError(
            f"data.test_url: expected clips of {', '.join(corpus.labels)}, found none in {archive}"
        )
    return with_test_archive(corpus, tested)


def _unlike(corpus: Corpus) -> list[str]:
    """Return the words that no synthetic word may sound like: keywords and held-out words."""
    noises = {noise_of(stretch.name) for stretch in corpus.background("validation")}
    return [*keywords(corpus.labels), *sorted(corpus.held_out - noises)]


def _with_negatives(task: Task, corpus: Corpus) -> Corpus:
    """Return the corpus with parts of the recordings without keywords."""
    packs = []
    for named in task.keys.negatives:
        place = named
        if named == negatives.SYNTHETIC:
            sentences = Sentences(_unlike(corpus), task.sample_rate, task.seed)
            place = str(sentences.make(Path(task.keys.dataroot)))
        pack = _packed(task, negatives.read(place))
        if not pack.recordings:
            raise InputError(
                f"data.negatives: expected readable recordings in {pack.place}, found none"
            )
        packs.append(pack)
    count = task.keys.negative_clips
    return negatives.with_negatives(corpus, packs, count, task.size, task.sample_rate, task.seed)


def _with_synthetic(task: Task, corpus: Corpus) -> Corpus:
    """Return the corpus with the synthetic words of the task."""
    keys = task.keys
    words = UnknownWords(
        _unlike(corpus), keys.synthetic_unknown, task.sample_rate, task.size, task.seed
    )
    data_set = folder.read(words.make(Path(keys.dataroot)))
    return with_synthetic(corpus, data_set, _packed(task, data_set))
