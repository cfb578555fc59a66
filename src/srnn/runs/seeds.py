# SPDX-License-Identifier: MPL-2.0
"""Several runs that differ in their seed only, side by side."""

from collections.abc import Sequence
from typing import NamedTuple

from srnn.config import Config
from srnn.runs.checkpoint import load_checkpoint
from srnn.runs.directory import RunDirectory
from srnn.runs.parts import spec_of
from srnn.runs.restore import parameters_of
from srnn.runs.results import mean, metrics_of, std, testing_of
from srnn.runs.tables import cell, text_table


def summary(runs: Sequence[RunDirectory]) -> str:
    """Return a table with a line for each finished run, their mean and standard deviation.

    Accuracies are those of the best epoch; the standard deviation is that of a sample. The firing
    rate is in spikes per neuron and time step; spikes per inference are those of all hidden layers
    for one validation clip; training time is in minutes.

    Raises
    ------
    InputError
        If a run has no ``best.safetensors`` that can be read.
    """
    rows = [_row(run) for run in runs]
    names = [run.path.name for run in runs]
    columns = list(zip(*rows, strict=True))
    names += ["mean", "std"]
    rows += [
        tuple(map(mean, columns)),
        tuple(map(std, columns)),
    ]
    lines = [["", *upper] for upper in zip(*(column.heads for column in _COLUMNS), strict=True)]
    lines += [
        [name, *map(cell, row, (column.style for column in _COLUMNS))]
        for name, row in zip(names, rows, strict=True)
    ]
    first = runs[0].best
    parameters = parameters_of(load_checkpoint(first), str(first))  # equal for all seeds
    return f"{text_table(lines, keys=1)}\n\nparameters: {parameters:,}"


class _Column(NamedTuple):
    heads: tuple[str, str]  # one below the other
    style: str  # the format of its values


_COLUMNS = (
    _Column(("validation", "accuracy"), ".2%"),
    _Column(("", "balanced"), ".2%"),
    _Column(("testing", "accuracy"), ".2%"),
    _Column(("", "balanced"), ".2%"),
    _Column(("", "firing"), ".4f"),
    _Column(("", "spikes"), ",.0f"),
    _Column(("best", "epoch"), ".3g"),
    _Column(("", "min"), ".1f"),
)

_Row = tuple[float | None, ...]


def _row(run: RunDirectory) -> _Row:
    best = load_checkpoint(run.best)
    lines = metrics_of(run)
    chosen = lines[best.epoch - 1]
    testing = testing_of(run)
    config = best.parsed_config()
    spikes = spikes_per_inference(config, chosen["firing_rate"])
    frames = spec_of(config).frames
    return (
        chosen["valid_accuracy"],
        chosen["valid_balanced_accuracy"],
        testing["accuracy"],
        testing.get("balanced_accuracy"),
        spikes / frames / sum(config.srnn.layer_sizes),
        spikes,
        best.epoch,
        sum(line["seconds"] for line in lines) / 60,
    )


def spikes_per_inference(config: Config, firing_rate: Sequence[float]) -> float:
    """Return the spikes of all hidden layers for one clip.

    Parameters
    ----------
    config : Config
    firing_rate : sequence of float, 0 to 1
        Spikes per neuron and time step of each layer.
    """
    layers = zip(config.srnn.layer_sizes, firing_rate, strict=True)
    return sum(size * rate for size, rate in layers) * spec_of(config).frames
