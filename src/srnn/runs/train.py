# SPDX-License-Identifier: MPL-2.0
"""A whole run: prepare, train, test, and leave a run directory behind."""

import json
import logging
import platform
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor
from tqdm import tqdm

import srnn
from srnn.config import Config, changes, doubtful_keys, idle_keys, is_named, to_toml
from srnn.data.corpus import Corpus, describe
from srnn.data.preparation import expect_data_sets, make_training_corpus
from srnn.errors import InputError
from srnn.features.normaliser import Normaliser, moments
from srnn.files import write_text
from srnn.network.scaling import scale_to_firing_rate
from srnn.runs.checkpoint import Checkpoint, load_checkpoint
from srnn.runs.compatibility import (
    expect_same_clips,
    expect_same_configuration,
    expect_transferable,
    same_weights,
    transfer,
)
from srnn.runs.directory import RunDirectory
from srnn.training.assemble import (
    make_augmenter,
    make_device,
    make_network,
    make_spec,
    make_task,
    make_variations,
)
from srnn.training.evaluation import evaluate
from srnn.training.examples import Batch, Examples, make_examples, room_for_examples
from srnn.training.interrupt import stop_on_signals
from srnn.training.loop import Trainer
from srnn.training.resources import limit_threads, resources
from srnn.training.spotter import Spotter, restore_spotter

_TO_FILE = {"file_only": True}  # of a record: it goes to the log file, and not to the terminal
_CLIPS_AT_START = 128  # by which `srnn.firing_start` scales the input weights

_log = logging.getLogger(__name__)


def train(
    config: Config,
    run: RunDirectory,
    *,
    last: Checkpoint | None = None,
    init: Checkpoint | None = None,
    room: int | None = None,
    first: bool = True,
) -> None:
    """Train as ``config`` says, test once with the best weights, and fill ``run``.

    Parameters
    ----------
    config : Config
    run : RunDirectory
        Prepared.
    last : Checkpoint, optional
        What `state_to_resume` found in ``run``: training goes on there.
    init : Checkpoint, optional
        What `start_of` found, none beside ``last``: weights to start from instead of fresh ones,
        see `srnn.runs.compatibility.transfer`; they are kept in ``run``.
    room : int, optional
        Memory that examples may take (bytes), instead of what `room_for_examples` says.
    first : bool
        Whether it is the first of several runs that differ in their seed only: what has been logged
        for the first goes to the log file alone for the others.

    Raises
    ------
    InputError
        If the data set, the run directory or ``init`` do not fit the configuration.
    Interrupted
        After Ctrl-C, SIGTERM or their like, with the state saved.
    DivergenceError
        If numbers are no longer finite.
    """
    limit_threads()
    device = make_device(config, named=is_named(config, "cuda", "cuda"))
    where = {} if first else _TO_FILE
    _log_header(config, device, where)
    if init:
        expect_transferable(init, config)
    task = make_task(config)
    if last or run.config.exists():  # written once the data sets were there
        expect_data_sets(task, run.path)
    corpus = make_training_corpus(task, needs_noise=config.augment.noise > 0)
    _log.info("clips in %s:\n%s", corpus.place, describe(corpus), extra=where)
    if not corpus.partitions["testing"]:
        _log.warning("%s holds no clips for testing: the run will not be tested", corpus.place)
    if last:
        expect_same_clips(corpus, last.clips, str(run.last))
    else:
        if init:
            init.save(run.init)
        run.write_config(config)
    with resources(config, device):
        room = room_for_examples(device) if room is None else room
        examples = _make_examples(config, corpus, device, room)
        _train(config, corpus, examples, run, device, last, init)


def state_to_resume(config: Config, run: RunDirectory) -> Checkpoint | None:
    """Return the state that a run goes on from; None where it was stopped before it had one.

    Raises
    ------
    InputError
        If the state is lost or damaged, or ``config`` would make another run of it.
    """
    offer = f"{run.best}: the best weights so far: --init {run.best} starts a new run from them"
    offers = [offer] if run.best.exists() else []
    if not run.last.exists():
        if offers:
            raise InputError(f"{run.last}: expected a state to resume from, found none", *offers)
        return None
    try:
        last = load_checkpoint(run.last)
    except InputError as error:
        raise InputError(str(error), *offers) from error
    state = last.training
    if state is None or len(state.progress.history) != state.progress.epoch - 1:
        found = "weights only" if state is None else "another number of epochs than it says"
        raise InputError(f"{run.last}: expected a state to resume from, found {found}", *offers)
    expect_same_configuration(config, last.parsed_config(), last.epoch, str(run.last))
    if last.epoch:
        load_checkpoint(run.best)
    return last


def what_is_saved(run: RunDirectory) -> str:
    """Say, on one line, how far the state has come that a run can go on from."""
    if not run.last.exists():
        return f"nothing is saved in {run.path} yet"
    try:
        last = load_checkpoint(run.last)
    except InputError as error:
        return str(error)
    assert last.training
    epoch, step = last.training.progress.epoch, last.training.progress.step
    done = f"after step {step:,} of epoch {epoch}" if step else f"after epoch {epoch - 1}"
    return f"saved in {run.last}: {done if epoch > 1 or step else 'before the first step'}"


def start_of(
    run: RunDirectory, given: Checkpoint | None, last: Checkpoint | None
) -> Checkpoint | None:
    """Return the weights that a run starts from; None: fresh ones, or it has started already.

    Parameters
    ----------
    run : RunDirectory
    given : Checkpoint, optional
        What ``--init`` names; not needed again where the run has kept it.
    last : Checkpoint, optional
        What `state_to_resume` found in ``run``.

    Raises
    ------
    InputError
        If the run began from other weights than those given.
    """
    if last and not given:
        return None
    if not run.init.exists():
        if last:
            raise InputError(
                f"--init: expected none, as the run in {run.path} began without, found one"
            )
        return given
    kept = load_checkpoint(run.init)
    if given and not same_weights(given, kept):
        raise InputError(
            f"--init: expected the weights that the run in {run.path} began from, found others"
        )
    return None if last else kept


def is_finished(config: Config, run: RunDirectory, last: Checkpoint) -> bool:
    """Whether a run, whose state is ``last``, has nothing left to do."""
    assert last.training
    settings, progress = config.srnn, last.training.progress
    return progress.is_complete(settings.epochs, settings.patience) and run.test.exists()


def _train(
    config: Config,
    corpus: Corpus,
    examples: tuple[Examples, Examples, Examples],
    run: RunDirectory,
    device: torch.device,
    last: Checkpoint | None,
    init: Checkpoint | None,
) -> None:
    torch.manual_seed(config.srnn.seed)
    network = make_network(config, len(corpus.labels))
    training, validation, testing = examples
    normaliser = _normaliser(config, training, device, last or init)
    spotter = Spotter(normaliser, network).to(device)
    if init:
        transfer(init, spotter, config, corpus.labels)
    elif config.srnn.firing_start and not last:
        _scale_to_firing_rate(spotter, training, config.srnn.firing_start, device)
    training = replace(training, variations=make_variations(config, normaliser, device))
    trainer = Trainer(config, spotter, corpus, training, validation, run, device)
    _log_network(spotter, corpus.labels)
    if last:
        trainer.restore(last)
        done = trainer.progress
        _log.info("resuming in epoch %d after %d steps", done.epoch, done.step)
        run.test.unlink(missing_ok=True)  # of fewer epochs, if the run is being extended
        run.write_config(config)
    else:
        trainer.log_start()
        trainer.save()
    with stop_on_signals() as stop:
        trainer.fit(stop)
    _test(testing, run, device)


def _make_examples(
    config: Config, corpus: Corpus, device: torch.device, room: int
) -> tuple[Examples, Examples, Examples]:
    """Return the examples of the three partitions; testing, heard once, takes no memory."""
    spec = make_spec(config)
    augmenter = make_augmenter(config, corpus, device)
    readouts = config.srnn.unknown_readouts
    made = make_examples(
        corpus, ["training", "validation"], spec, device, room, augmenter, readouts
    )
    made |= make_examples(corpus, ["testing"], spec, device, room=0)
    return made["training"], made["validation"], made["testing"]


def _scale_to_firing_rate(
    spotter: Spotter, training: Examples, rate: float, device: torch.device
) -> None:
    """Scale the input weights by what the layers do with clips from all over the partition."""
    count = len(training.labels)
    clips = torch.linspace(0, count - 1, min(count, _CLIPS_AT_START)).long()
    (batch,) = training.batches(clips, len(clips), device)
    rates = scale_to_firing_rate(spotter.network, spotter.normaliser(batch.features), rate)
    _log.info("input weights are scaled: firing %s", " ".join(f"{each:.3f}" for each in rates))


def _normaliser(
    config: Config, training: Examples, device: torch.device, earlier: Checkpoint | None
) -> Normaliser:
    """Return the normaliser of earlier weights, or one measured on the training partition."""
    normalisation = config.data.normalisation
    if earlier:
        weights = earlier.weights
        return Normaliser(weights.get("normaliser.scale"), weights.get("normaliser.mean"))
    if normalisation == "batch":
        return Normaliser(None)
    bar = tqdm(
        desc="mean and deviation of the features",
        total=len(training.labels),
        unit="clip",
        leave=False,
        delay=1,
        disable=None,
    )
    with bar:
        mean, scale = moments(_counted(training.chunks(device), bar))
    return Normaliser(scale.cpu(), mean.cpu() if normalisation == "standardise" else None)


def _counted(batches: Iterator[Batch], bar: tqdm) -> Iterator[Tensor]:
    """Yield the features of batches, and count their clips in a progress bar."""
    for batch in batches:
        yield batch.features
        bar.update(len(batch.labels))


def _test(testing: Examples, run: RunDirectory, device: torch.device) -> None:
    best = load_checkpoint(run.best)
    spotter = restore_spotter(best, str(run.best)).to(device).eval()
    config = best.parsed_config()
    size, unheard = config.srnn.batch_size, config.data.held_out
    result = evaluate(spotter, testing, best.labels, "testing", size, device, unheard)
    write_text(run.test, json.dumps(result.to_json(), indent=2, allow_nan=False) + "\n")
    _log.info("best epoch: %d of %d, by its validation accuracy", best.epoch, config.srnn.epochs)
    for line in result.summary():
        _log.info("%s", line)


def _log_header(config: Config, device: torch.device, where: dict[str, bool]) -> None:
    """Log what the run is made with: to the file all keys, elsewhere those that were changed."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    _log.info("configuration:\n%s", to_toml(config).rstrip(), extra=_TO_FILE)
    changed = "".join(f"\n  {line}" for line in changes(config))
    _log.info("keys that differ from the defaults:%s", changed or " none", extra=where)
    for sentence in (*idle_keys(config), *doubtful_keys(config)):
        _log.warning("%s", sentence, extra=where)
    _log.info("device: %s (%s), %d threads", device, name, torch.get_num_threads(), extra=where)
    _log.info(
        "versions: srnn %s, Python %s, torch %s",
        srnn.__version__,
        platform.python_version(),
        torch.__version__,
        extra=where,
    )


def _log_network(spotter: Spotter, labels: tuple[str, ...]) -> None:
    count = sum(parameter.numel() for parameter in spotter.network.parameters())
    numbered = ", ".join(f"{index} {name}" for index, name in enumerate(labels))
    _log.info("labels: %s", numbered, extra=_TO_FILE)
    _log.info("parameters: %s", f"{count:,}")
