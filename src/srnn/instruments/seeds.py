# SPDX-License-Identifier: MPL-2.0
"""Several runs that differ in their seed only, side by side."""

import json
import statistics
from collections.abc import Sequence

from srnn.training.checkpoint import load_checkpoint
from srnn.training.run import RunDirectory
from srnn.training.spotter import restore_spotter


def summary(runs: Sequence[RunDirectory]) -> str:
    """Return a table with a line for each finished run, their mean, and their deviation.

    Accuracies are in per cent; the deviation is that of a sample. Spikes per inference are those of
    all hidden layers for one validation clip; training time is in minutes.

    Raises
    ------
    InputError
        If a run has no ``best.pt`` that can be read.
    """
    rows = [_row(run) for run in runs]
    names = [run.path.name for run in runs]
    columns = list(zip(*rows, strict=True))
    names += ["mean", "deviation"]
    rows += [
        tuple(map(_mean, columns)),
        tuple(map(_deviation, columns)),
    ]
    width = max(map(len, names))
    lines = [" " * width + "".join(f"{title:>12}" for title in _COLUMNS)]
    lines += [
        f"{name:{width}}" + "".join(map(_cell, row, _COLUMNS.values()))
        for name, row in zip(names, rows, strict=True)
    ]
    return "\n".join(lines)


# Title of each column, and its decimal places.
_COLUMNS = {
    "validation": 2,
    "testing": 2,
    "firing": 4,
    "spikes": 0,
    "parameters": 0,
    "best epoch": 0,
    "minutes": 1,
}

_Row = tuple[float | None, ...]


def _row(run: RunDirectory) -> _Row:
    best = load_checkpoint(run.best)
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    chosen = lines[best.epoch - 1]
    testing = json.loads(run.test.read_text())["accuracy"]
    config = best.parsed_config()
    sizes = config.srnn.layer_sizes
    per_step = sum(size * rate for size, rate in zip(sizes, chosen["firing_rate"], strict=True))
    network = restore_spotter(best, str(run.best)).network
    return (
        100 * chosen["valid_accuracy"],
        None if testing is None else 100 * testing,
        per_step / sum(sizes),
        per_step * config.frames,
        sum(parameter.numel() for parameter in network.parameters()),
        best.epoch,
        sum(line["seconds"] for line in lines) / 60,
    )


def _mean(column: _Row) -> float | None:
    values = [value for value in column if value is not None]
    return statistics.fmean(values) if values else None


def _deviation(column: _Row) -> float | None:
    values = [value for value in column if value is not None]
    return statistics.stdev(values) if len(values) > 1 else None


def _cell(value: float | None, places: int) -> str:
    return f"{'-':>12}" if value is None else f"{value:>12,.{places}f}"
