# SPDX-License-Identifier: MPL-2.0
"""Several runs side by side: the keys that differ, and results with their mean over seeds."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from srnn.config import fixed_on_resume, toml_value
from srnn.instruments.report.collect import Run


class Group(NamedTuple):
    """Runs that differ in their seed only.

    Attributes
    ----------
    keys : dict of str
        The keys that differ between the groups, as ``table.key``, and their values in TOML.
    runs : list of Run
        By seed.
    """

    keys: dict[str, str]
    runs: list[Run]


class Column(NamedTuple):
    """A result of a run: its name, the format of its values, and where it is found."""

    name: str
    style: str
    of: Callable[[Run], float | None]


def _best(name: str) -> Callable[[Run], float | None]:
    def found(run: Run) -> float | None:
        lines = [line for line in run.metrics if line["epoch"] == run.checkpoint.epoch]
        return lines[0].get(name) if lines else None

    return found


def _test(name: str) -> Callable[[Run], float | None]:
    return lambda run: run.test.get(name) if run.test else None


def _minutes(run: Run) -> float | None:
    return sum(line["seconds"] for line in run.metrics) / 60 if run.metrics else None


COLUMNS = (
    Column("validation accuracy", ".2%", _best("valid_accuracy")),
    Column("validation balanced accuracy", ".2%", _best("valid_balanced_accuracy")),
    Column("testing accuracy", ".2%", _test("accuracy")),
    Column("testing balanced accuracy", ".2%", _test("balanced_accuracy")),
    Column("spikes an inference", ",.0f", _test("spikes")),
    Column("parameters", ",.0f", lambda run: run.parameters),
    Column("best epoch", ".4g", lambda run: run.checkpoint.epoch),
    Column("minutes", ".1f", _minutes),
)


def groups(runs: Sequence[Run]) -> list[Group]:
    """Return runs in groups that differ in their seed only, in the order of the first of each."""
    found: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in runs:
        found.setdefault(tuple(_keys(run).items()), []).append(run)
    differing = differing_keys(runs)
    return [
        Group(
            {key: value for key, value in keys if key in differing},
            sorted(some, key=lambda run: run.config.srnn.seed),
        )
        for keys, some in found.items()
    ]


def differing_keys(runs: Sequence[Run]) -> list[str]:
    """Return the keys, but the seed, whose values are not the same in all runs."""
    every = [_keys(run) for run in runs]
    return [key for key in every[0] if len({each.get(key) for each in every}) > 1]


def _keys(run: Run) -> dict[str, str]:
    """Return the keys that change what a run computes, but the seed."""
    every = fixed_on_resume(run.config) | {"srnn.epochs": run.config.srnn.epochs}
    return {name: toml_value(value) for name, value in every.items() if name != "srnn.seed"}
