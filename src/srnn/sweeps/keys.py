# SPDX-License-Identifier: MPL-2.0
"""The tables ``[sweep]`` and ``[pruning]`` of a sweep's file."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from srnn.settings import MANY, Keys, TextLine, key, noun

Objective = Literal["accuracy", "balanced_accuracy"]

POSTGRESQL = "postgresql://"
"""Begins the address of a server."""

_Storage = Annotated[
    str,
    StringConstraints(pattern=rf"^({POSTGRESQL}.+)?$"),
    noun(f'server "{POSTGRESQL}USER@HOST/DATABASE", or "" for a file'),
]

_Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$"), noun("line of text")]

_Name = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x1f\x7f/\\]*$"),
    noun("line of text without slashes"),
]


class SweepKeys(Keys):
    """What is trained, how settings are chosen and compared, and where results are kept."""

    base: TextLine = key(
        ..., "configuration that is varied: a TOML file, found as `srnn CONFIG` finds it"
    )
    name: _Name = key("", 'name of the study; "": that of the file')
    directory: _Text = key("", 'directory of the trials; "": `sweeps/NAME`')
    storage: _Storage = key(
        "",
        'where the study is kept: "", the file `study.journal` in `directory`, or a PostgreSQL '
        "server, for workers on several machines",
    )
    sampler: Literal["grid", "random", "tpe"] = key(
        "tpe",
        "how settings are chosen: all combinations, independent draws, or the tree-structured "
        "Parzen estimator (TPE), which draws near settings that were good",
    )
    seed: int = key(0, "seed of the sampler", ge=0, le=2**32 - 1)
    seeds: int = key(
        1, "runs of each setting, with seeds from `srnn.seed` on", "runs", ge=1, le=1000
    )
    trials: int = key(0, "budget: settings to try; 0: no limit", "trials", ge=0, le=MANY)
    hours: float = key(
        0.0,
        "budget: training time, that of all workers together, after which no further trial "
        "begins; 0: no limit",
        "hours",
        ge=0,
    )
    objective: Objective = key(
        "accuracy",
        "figure to maximise: validation accuracy or balanced accuracy of the best epoch (see "
        "`data.selection`), the mean over the seeds",
    )
    spikes: bool = key(
        False,
        "whether few spikes per inference are an objective, too: the result is a Pareto front",
    )


class PruningKeys(Keys):
    """Trials that are behind the others end early."""

    method: Literal["none", "asha", "hyperband"] = key(
        "none",
        "`asha`: asynchronous successive halving: after `min_epochs`, and whenever a trial has "
        "come `reduction` times as far, it goes on if it is among the best of its like; "
        "`hyperband`: the same with several values of `min_epochs`",
    )
    min_epochs: int = key(1, "epochs that every trial trains", "epochs", ge=1, le=MANY)
    reduction: int = key(3, "one of so many trials goes on", ge=2, le=100)
