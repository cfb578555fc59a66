# SPDX-License-Identifier: MPL-2.0
"""A whole run: preparation, training, test, and the files of the run directory."""

import json
import logging
import platform
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from srnn.augment.augmentation import FeatureContext, WaveformAugmentation, WaveformContext
from srnn.augment.registry import augmented, feature_augmentations, waveform_augmentations
from srnn.bars import progress_bar
from srnn.config import Config, changes, doubtful_keys, idle_keys, is_named, to_toml
from srnn.data import negatives
from srnn.data.corpus import Corpus, describe
from srnn.data.labels import BACKGROUND, UNKNOWN
from srnn.data.preparation import expect_data_sets, make_training_corpus, no_noise
from srnn.data.sampling import Pool, epoch_order
from srnn.data.silence import Background, peaks_of
from srnn.errors import InputError
from srnn.features.normaliser import Normaliser, moments
from srnn.features.reference import MelSpec
from srnn.files import write_text
from srnn.network.scaling import scale_to_firing_rate
from srnn.parallel import ALONE, Group
from srnn.runs.checkpoint import Checkpoint, load_checkpoint
from srnn.runs.compatibility import (
    clips_digest,
    expect_same_clips,
    expect_transferable,
    transfer,
)
from srnn.runs.directory import RunDirectory
from srnn.runs.parts import network_of, spec_of, task_of
from srnn.runs.recorder import RunRecorder
from srnn.runs.resources import limit_threads, resources
from srnn.runs.restore import restore_spotter
from srnn.runs.start import Start
from srnn.runs.tensorboard import expect_tensorboard, make_board
from srnn.training.batch import Batch
from srnn.training.device import make_device
from srnn.training.evaluation import Evaluation, evaluate
from srnn.training.examples import Examples, make_examples, memory_budget_of
from srnn.training.interrupt import stop_on_signals
from srnn.training.loop import Recorder, Trainer, TrainingData, Watch
from srnn.training.spotter import Spotter
from srnn.version import VERSION

_TO_FILE = {"file_only": True}  # of a record: it goes to the log file, and not to the terminal
_CLIPS_AT_START = 128  # by which `srnn.firing_start` scales the input weights

_log = logging.getLogger(__name__)


def train(
    config: Config,
    run: RunDirectory,
    start: Start,
    *,
    memory_budget: int | None = None,
    first: bool = True,
    watch: Watch | None = None,
    group: Group = ALONE,
) -> None:
    """Train by a configuration, test once with the best weights, and fill ``run``.

    Parameters
    ----------
    config : Config
    run : RunDirectory
    start : Start
        What `prepared_run` yields for ``run``.
    memory_budget : int, optional
        Memory budget of examples (bytes); by default that of `memory_budget_of`.
    first : bool
        Whether this is the first of several runs that differ in their seed only. Common
        messages are logged on the terminal for the first run only.
    watch : callable, optional
        See `srnn.training.loop.Watch`.
    group : Group
        The processes that train it together. All have the same configuration and start; the first
        alone writes into the run directory, and tests.

    Raises
    ------
    InputError
        If the data set, the run directory or the initial weights do not fit the configuration, or
        there are more processes than clips of a batch.
    LostProcessError
        If another process of ``group`` has ended.
    Interrupted
        After Ctrl-C, SIGTERM or their like, with the state saved.
    DivergenceError
        If training diverges, see `srnn.training.loss.LossLimits`.
    """
    last, init = start.state, start.weights
    if config.logger.tensorboard:
        expect_tensorboard()
    if start.is_missing:
        _log.warning("%s is missing: starting from the beginning", run.last)
    if group.is_first and config.srnn.batch_size < group.size:
        raise InputError(
            f"srnn.batch_size: expected at least {group.size}, the number of processes, found "
            f"{config.srnn.batch_size}"
        )
    limit_threads()
    device = make_device(config.cuda, named=is_named(config, "cuda", "cuda"))
    if device.type == "cuda" and group.size > 1:
        group.choose_gpu()
    where = {} if first else _TO_FILE
    _log_header(config, device, group, where)
    if init:
        expect_transferable(init, config)
    with group.first_alone():  # downloads, and packs recordings, where the others find them
        corpus = _corpus(config, run, begun=last is not None or run.config.exists())
    _expect_same_as_first(corpus, device, group)
    _log.info("clips in %s:\n%s", corpus.place, describe(corpus), extra=where)
    if not corpus.partitions["testing"]:
        _log.warning("%s holds no clips for testing: the run will not be tested", corpus.place)
    if last:
        expect_same_clips(corpus, last.clips, str(run.last))
    elif group.is_first:
        if init:
            init.save(run.init)
        run.write_config(config)
    with resources(config, device, group):
        budget = memory_budget_of(device) if memory_budget is None else memory_budget
        if device.type == "cpu":
            budget //= group.on_machine
        examples = _make_examples(config, corpus, device, group.broadcast_object(budget), group)
        _train(config, corpus, examples, run, device, start, watch, group)


def _corpus(config: Config, run: RunDirectory, *, begun: bool) -> Corpus:
    """Return the corpus; of a run that has begun, the data sets must be there."""
    task = task_of(config)
    if begun:  # its configuration was written once they were
        expect_data_sets(task, run.path)
    return make_training_corpus(task, needs_noise=config.augment.noise > 0)


def _expect_same_as_first(corpus: Corpus, device: torch.device, group: Group) -> None:
    """Check that all processes have the same clips, and the same kind of device."""
    if group.size == 1:
        return
    own = clips_digest(corpus), device.type
    clips, kind = group.broadcast_object(own)
    if clips != own[0]:
        raise InputError(f"{corpus.place}: expected the clips of the first process, found others")
    if kind != device.type:
        raise InputError(
            f"cuda.cuda: expected {kind}, the device of the first process, found {device.type}"
        )


def _train(
    config: Config,
    corpus: Corpus,
    examples: tuple[Examples, Examples, Examples],
    run: RunDirectory,
    device: torch.device,
    start: Start,
    watch: Watch | None,
    group: Group,
) -> None:
    last, init = start.state, start.weights
    torch.manual_seed(config.srnn.seed)
    network = network_of(config, len(corpus.labels))
    training, validation, testing = examples
    normaliser = _normaliser(config, training, device, last or init, group)
    spotter = Spotter(normaliser, network).to(device)
    if init:
        transfer(init, spotter, config, corpus.labels)
    elif config.srnn.firing_start and not last:
        _scale_to_firing_rate(spotter, training, config.srnn.firing_start, device)
    channels, _, bands = training.shape
    masked = torch.zeros(channels, bands) if normaliser.mean is None else normaliser.mean
    augmentations = feature_augmentations(config.augment, FeatureContext(masked.to(device)))
    training = replace(training, augmentations=augmentations, seed=config.srnn.seed)
    board, recorder = None, Recorder()
    if group.is_first:
        history = last.training.progress.history if last and last.training else []
        board = make_board(config, run.tensorboard, history, validation, device)
        recorder = RunRecorder(run, config, corpus.labels, clips_digest(corpus), board)
    data = TrainingData(corpus, training, validation, _order(config, corpus))
    trainer = Trainer(
        config.srnn,
        spotter,
        data,
        recorder,
        device,
        selection=config.data.selection,
        graphs=config.cuda.graphs,
        watch=watch,
        group=group,
    )
    _log_network(spotter, corpus.labels)
    if last:
        assert last.training
        trainer.restore(last.weights, last.training, str(run.last))
        done = trainer.progress
        _log.info("resuming in epoch %d after %d steps", done.epoch, done.step)
        if group.is_first:
            run.test.unlink(missing_ok=True)  # of fewer epochs, if the run is being extended
            run.write_config(config)
    else:
        trainer.log_start()
        trainer.save()
    with board or nullcontext():
        if board and not last:
            board.add_start(trainer.validated)
        with stop_on_signals() as stop:
            trainer.fit(stop)
        if not group.is_first:
            return
        best, result = _test(testing, run, device, config.srnn.epochs)
        if board:
            board.add_result(trainer.progress.history[best - 1], result)


def _order(config: Config, corpus: Corpus) -> Callable[[int], NDArray[np.int64]]:
    """Return the function from an epoch to the order of its training clips."""
    data, seed = config.data, config.srnn.seed
    pool = Pool.of(corpus)
    shares = data.synthetic_share, data.unknown_share
    return lambda epoch: epoch_order(pool, data.sampling, seed, epoch, *shares)


def _make_examples(
    config: Config, corpus: Corpus, device: torch.device, memory_budget: int, group: Group
) -> tuple[Examples, Examples, Examples]:
    """Return the examples of the three partitions; testing, evaluated once, takes no memory."""
    spec, seed = spec_of(config), config.srnn.seed
    augmentations = _waveform_augmentations(config, corpus, spec, device)
    partitions, targets = ["training", "validation"], config.srnn.unknown_readouts
    made = make_examples(
        corpus, partitions, spec, device, memory_budget, augmentations, seed, targets, group
    )
    made |= make_examples(corpus, ["testing"], spec, device, 0)
    return made["training"], made["validation"], made["testing"]


def _waveform_augmentations(
    config: Config, corpus: Corpus, spec: MelSpec, device: torch.device
) -> list[WaveformAugmentation]:
    if not augmented(config.augment):
        return []
    background = corpus.training_background(spec.size, spec.sample_rate, device)
    if config.augment.noise and not background.names:
        raise InputError(no_noise(corpus.place))
    silence = _silence(corpus, background).to(device)
    volume = config.data.silence_volume
    peaks = None if volume == "recorded" else partial(peaks_of, volume)
    labels = None
    if UNKNOWN in corpus.labels:
        labels = torch.tensor([clip.label for clip in corpus.partitions["training"]], device=device)
    parts = None
    if config.augment.fresh_negatives:
        parts = negatives.in_memory(corpus, spec.size, spec.sample_rate, device)
    context = WaveformContext(
        spec.size, spec.sample_rate, background, silence, device, peaks, labels, parts
    )
    return waveform_augmentations(config.augment, context)


def _silence(corpus: Corpus, background: Background) -> Tensor:
    """Return the background recording that each training clip is cut from; -1: it is a word."""
    places = {name: place for place, name in enumerate(background.names)}
    clips = corpus.partitions["training"]
    return torch.tensor([places[c.name] if c.word == BACKGROUND else -1 for c in clips])


def _scale_to_firing_rate(
    spotter: Spotter, training: Examples, rate: float, device: torch.device
) -> None:
    """Scale the input weights to a firing rate on clips from the whole partition."""
    count = len(training.labels)
    clips = torch.linspace(0, count - 1, min(count, _CLIPS_AT_START)).long()
    (batch,) = training.batches(clips, len(clips), device)
    rates = scale_to_firing_rate(spotter.network, spotter.normaliser(batch.features), rate)
    _log.info(
        "input weights are scaled: firing rates %s", " ".join(f"{each:.3f}" for each in rates)
    )


def _normaliser(
    config: Config,
    training: Examples,
    device: torch.device,
    earlier: Checkpoint | None,
    group: Group,
) -> Normaliser:
    """Return the normaliser of earlier weights, or one measured on the training partition."""
    normalisation = config.data.normalisation
    if earlier:
        weights = earlier.weights
        return Normaliser(weights.get("normaliser.scale"), weights.get("normaliser.mean"))
    if normalisation == "batch":
        return Normaliser(None)
    bar = progress_bar(
        desc="mean and std of the features",
        total=len(training.labels),
        unit="clip",
        delay=1,
    )
    with bar:
        mean, scale = moments(_counted(training.chunks(device, group), bar), group)
    return Normaliser(scale.cpu(), mean.cpu() if normalisation == "standardise" else None)


def _counted(batches: Iterator[Batch], bar: tqdm) -> Iterator[Tensor]:
    """Yield the features of batches, and count their clips in a progress bar."""
    for batch in batches:
        yield batch.features
        bar.update(batch.share.total)


def _test(
    testing: Examples, run: RunDirectory, device: torch.device, epochs: int
) -> tuple[int, Evaluation]:
    """Evaluate the best weights on the testing partition; return their epoch and the result."""
    best = load_checkpoint(run.best)
    spotter = restore_spotter(best, str(run.best)).to(device).eval()
    config = best.parsed_config()
    size, held_out = config.srnn.batch_size, config.data.held_out
    result = evaluate(
        spotter, testing, best.labels, "testing", size, device, held_out, config.energy
    )
    write_text(run.test, json.dumps(result.to_json(), indent=2, allow_nan=False) + "\n")
    figure = config.data.selection.replace("_", " ")
    _log.info("best epoch: %d of %d, by its validation %s", best.epoch, epochs, figure)
    for line in (*result.summary(), *(result.energy.lines() if result.energy else ())):
        _log.info("%s", line)
    return best.epoch, result


def _log_header(config: Config, device: torch.device, group: Group, where: dict[str, bool]) -> None:
    """Log configuration, device and versions; all keys only to the file."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    _log.info("configuration:\n%s", to_toml(config).rstrip(), extra=_TO_FILE)
    changed = "".join(f"\n  {line}" for line in changes(config))
    _log.info("keys that differ from the defaults:%s", changed or " none", extra=where)
    for sentence in (*idle_keys(config), *doubtful_keys(config)):
        _log.warning("%s", sentence, extra=where)
    count = torch.get_num_threads()
    threads = "1 thread" if count == 1 else f"{count} threads"
    if group.size > 1:
        threads += f" in each of {group.size} processes"
    _log.info("device: %s (%s), %s", device, name, threads, extra=where)
    _log.info(
        "versions: srnn %s, Python %s, torch %s",
        VERSION,
        platform.python_version(),
        torch.__version__,
        extra=where,
    )


def _log_network(spotter: Spotter, labels: tuple[str, ...]) -> None:
    count = sum(parameter.numel() for parameter in spotter.network.parameters())
    numbered = ", ".join(f"{index} {name}" for index, name in enumerate(labels))
    _log.info("labels: %s", numbered, extra=_TO_FILE)
    _log.info("parameters: %s", f"{count:,}")
