# SPDX-License-Identifier: MPL-2.0
"""Training from Python, as the command line does.

Nothing here sets up logging: messages go to the logger ``srnn`` of the standard
library, such as ``logging.basicConfig(level="INFO")`` shows; there is no ``train.log``.
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import srnn.config as configuration
from srnn.config import Config
from srnn.errors import InputError
from srnn.runs.directory import RunDirectory
from srnn.runs.results import metrics_of, testing_of
from srnn.runs.start import prepared_run
from srnn.runs.train import train as run_training
from srnn.training.interrupt import Interrupted

Tables = Mapping[str, Mapping[str, Any]]
"""A configuration as TOML has it: values by table and key."""


@dataclass(frozen=True)
class TrainedRun:
    """The results of training.

    Attributes
    ----------
    path : Path
        The run directory; `load` and `evaluate` take it.
    metrics : list of dict
        Content of ``metrics.jsonl``: a dict an epoch, from the first one on.
    test : dict
        Content of ``test.json``: the result on the testing partition.
    """

    path: Path
    metrics: list[dict[str, Any]]
    test: dict[str, Any]


def train(
    config: str | Path | Tables | Config,
    run_dir: str | Path,
    *,
    resume: bool = False,
    init: str | Path | None = None,
) -> TrainedRun:
    """Train a network and test it once, as ``srnn CONFIG --run-dir RUN_DIR`` does.

    Ctrl-C (in the main thread) saves the state after the current step and is then a
    KeyboardInterrupt; SIGTERM and the like take their usual course after it, too. Torch's global
    random state on the CPU is the same after the call as before it.

    Parameters
    ----------
    config : str, Path, dict or Config
        A TOML file (a bare name is looked up here, then in configs/), or its tables, such as
        ``{"srnn": {"epochs": 5}}``. Keys that are not mentioned have their defaults.
    run_dir : str or Path
        Directory for the results, created where missing; it must not hold a run already.
    resume : bool
        Whether to go on with the run in ``run_dir``, or begin it where there is none yet.
    init : str or Path, optional
        Another run, or a checkpoint file, whose weights training starts from.

    Returns
    -------
    TrainedRun

    Raises
    ------
    InputError
        If the configuration, the data set, the run directory or ``init`` is wrong. Each line of its
        text names a key or file, what was expected and what was found.
    DivergenceError
        If training diverges, see `srnn.training.loss.LossLimits`.

    Examples
    --------
    >>> run = train({"srnn": {"epochs": 5}}, "runs/a")  # doctest: +SKIP
    >>> run.metrics[-1]["valid_accuracy"], run.test["accuracy"]  # doctest: +SKIP
    (0.87, 0.86)
    """
    settings = _settings(config)
    directory = RunDirectory(Path(run_dir))
    with prepared_run(settings, directory, resume=resume, init=init) as start:
        if not start.is_finished:
            try:
                with torch.random.fork_rng(devices=()):
                    run_training(settings, directory, start)
            except Interrupted as stopped:
                _pass_on(stopped, directory)
                raise
    return _trained(directory)


def _settings(config: str | Path | Tables | Config) -> Config:
    if isinstance(config, str | Path):
        return configuration.load(config)
    tables = config.model_dump() if isinstance(config, Config) else config
    if not isinstance(tables, Mapping) or not all(
        isinstance(keys, Mapping) and all(isinstance(key, str) for key in (name, *keys))
        for name, keys in tables.items()
    ):
        expected = "a TOML file, its tables (dicts of keys, by name) or a Config"
        raise InputError(f"config: expected {expected}, found {config!r:.200}")
    plain = {
        name: {key: str(value) if isinstance(value, Path) else value for key, value in keys.items()}
        for name, keys in tables.items()
    }
    return configuration.from_tables(plain, "config")


def _pass_on(stopped: Interrupted, directory: RunDirectory) -> None:
    """Raise the signal that stopped training again, for the handlers of the caller."""
    try:
        signal.raise_signal(stopped.signal)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"the state is saved in {directory.path}: resume=True continues from it")
        raise interrupt from None


def _trained(directory: RunDirectory) -> TrainedRun:
    return TrainedRun(directory.path, metrics_of(directory), testing_of(directory))
