# SPDX-License-Identifier: MPL-2.0
"""A whole run: prepare, train, test, and leave a run directory behind."""

import json
import logging
import platform

import torch
from tqdm import tqdm

import srnn
from srnn.config import Config, to_toml
from srnn.data.corpus import PARTITIONS, Corpus, describe
from srnn.features.normaliser import Normaliser, spread
from srnn.training.assemble import (
    make_device,
    make_network,
    make_spec,
    make_training_corpus,
    open_packs,
)
from srnn.training.checkpoint import Checkpoint, load_checkpoint
from srnn.training.compatibility import (
    expect_same_clips,
    expect_same_configuration,
    transfer,
)
from srnn.training.evaluate import evaluate
from srnn.training.examples import Examples, make_examples, room_for_examples
from srnn.training.interrupt import stop_on_signals
from srnn.training.loop import Trainer
from srnn.training.recogniser import restore_spotter
from srnn.training.resources import resources
from srnn.training.run import RunDirectory, write_text
from srnn.training.spotter import Spotter

_log = logging.getLogger(__name__)


def train(
    config: Config, run: RunDirectory, *, init: Checkpoint | None = None, room: int | None = None
) -> None:
    """Train as ``config`` says, test once with the best weights, and fill ``run``.

    A run that was interrupted goes on where its ``last.pt`` was saved; a finished one is left as
    it is.

    Parameters
    ----------
    config : Config
    run : RunDirectory
        Prepared.
    init : Checkpoint, optional
        Weights to start from instead of fresh ones; see `srnn.training.compatibility.transfer`.
    room : int, optional
        Memory that examples may take (bytes), instead of what `room_for_examples` says.

    Raises
    ------
    InputError
        If the data set, the run directory or ``init`` do not fit the configuration.
    Interrupted
        After Ctrl-C or SIGTERM, with the state saved.
    """
    last = load_checkpoint(run.last) if run.last.exists() else None
    if last:
        expect_same_configuration(config, last.parsed_config(), last.epoch, str(run.last))
        if run.test.exists() and last.epoch == config.srnn.epochs:
            _log.info("%s: this run is finished, nothing is left to do", run.path)
            return
    device = make_device(config)
    _log_header(config, device)
    corpus = make_training_corpus(config)
    _log.info("data set %s, clips by partition:\n%s", corpus.folder, describe(corpus))
    if not corpus.partitions["testing"]:
        _log.warning("%s holds no clips for testing: the run will not be tested", corpus.folder)
    if last:
        expect_same_clips(corpus, last.clips, str(run.last))
    run.test.unlink(missing_ok=True)  # of fewer epochs, if the run is being extended
    write_text(run.config, to_toml(config))
    with resources(config, device):
        room = room_for_examples(device) if room is None else room
        examples = _make_examples(config, corpus, device, room)
        _train(config, corpus, examples, run, device, last, init)


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
    spotter = Spotter(_make_normaliser(config, training, device), network)
    if init:
        transfer(init, spotter, config, corpus.labels)
    trainer = Trainer(config, spotter.to(device), corpus, training, validation, run, device)
    _log_network(spotter, corpus.labels)
    if last:
        trainer.restore(last)
        done = trainer.progress
        _log.info("resuming in epoch %d after %d steps", done.epoch, done.step)
    else:
        _log.info("before training: %s", trainer.validate())
    with stop_on_signals() as stop:
        trainer.fit(stop)
    _test(load_checkpoint(run.best), testing, run, device)


def _make_examples(
    config: Config, corpus: Corpus, device: torch.device, room: int
) -> tuple[Examples, Examples, Examples]:
    """Return the examples of the three partitions; testing, heard once, takes no memory."""
    packs = open_packs(config, corpus, PARTITIONS)
    clips, spec = dict(corpus.partitions), make_spec(config)
    testing = make_examples({"testing": clips.pop("testing")}, packs, spec, device, room=0)
    made = make_examples(clips, packs, spec, device, room) | testing
    return made["training"], made["validation"], made["testing"]


def _make_normaliser(config: Config, training: Examples, device: torch.device) -> Normaliser:
    if config.data.normalisation == "batch":
        return Normaliser(None)
    bar = tqdm(
        training.chunks(device),
        "deviation of the features",
        unit="chunk",
        leave=False,
        disable=None,
    )
    return Normaliser(spread(batch.features for batch in bar).cpu())


def _test(best: Checkpoint, testing: Examples, run: RunDirectory, device: torch.device) -> None:
    spotter = restore_spotter(best).to(device).eval()
    batch_size = best.parsed_config().srnn.batch_size
    result = evaluate(spotter, testing, best.labels, "testing", batch_size, device)
    write_text(run.test, json.dumps(result.to_json(), indent=2, allow_nan=False) + "\n")
    _log.info("best epoch %d; %s", best.epoch, result)


def _log_header(config: Config, device: torch.device) -> None:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    _log.info("configuration:\n%s", to_toml(config).rstrip())
    _log.info("device: %s (%s), %d threads", device, name, torch.get_num_threads())
    _log.info(
        "versions: srnn %s, Python %s, torch %s",
        srnn.__version__,
        platform.python_version(),
        torch.__version__,
    )


def _log_network(spotter: Spotter, labels: tuple[str, ...]) -> None:
    count = sum(parameter.numel() for parameter in spotter.network.parameters())
    _log.info("labels: %s", ", ".join(f"{index} {name}" for index, name in enumerate(labels)))
    _log.info("parameters: %s", f"{count:,}")
