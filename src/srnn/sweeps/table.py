# SPDX-License-Identifier: MPL-2.0
"""The trials of a sweep as rows, and the table of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from srnn.config import toml_value
from srnn.runs.results import mean, std
from srnn.runs.tables import cell, text_table
from srnn.sweeps.reading import Sweep
from srnn.sweeps.results import RunResult
from srnn.sweeps.storage import trial_directory
from srnn.sweeps.study import FAILURE, SECONDS, SweepStudy, results_of

State = Literal["finished", "pruned", "failed", "running"]

_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}
STATES: list[State] = list(_STATES.values())
"""In the order of the table."""

_WIDEST = 24  # characters of a value


@dataclass(frozen=True)
class TrialRow:
    """A trial.

    Attributes
    ----------
    number : int
    state : str
        ``finished``, ``pruned``, ``failed`` or ``running`` (in hand, or waiting for a worker).
    setting : dict
        The values of the varied keys, by ``table.key``.
    results : dict of int to RunResult
        By seed; those that are finished.
    is_best : bool
        Whether it is the best trial, or, with two objectives, on the Pareto front.
    last : float or None
        The last figure that the pruner was given: the objective so far.
    seconds : float
        Training time; 0 while it is running.
    failure : str or None
        Why it failed.
    path : Path
        Its directory, which on another machine may be missing.
    """

    number: int
    state: State
    setting: dict[str, Any]
    results: dict[int, RunResult]
    is_best: bool
    last: float | None
    seconds: float
    failure: str | None
    path: Path

    def figures(self, name: str) -> list[float | None]:
        """Return a figure of `RunResult` for each finished seed."""
        return [getattr(result, name) for result in self.results.values()]

    def mean(self, name: str) -> float | None:
        """Return the mean of a figure over the finished seeds, or None without any."""
        return mean(self.figures(name))

    def std(self, name: str) -> float | None:
        """Return the standard deviation (of a sample), or None with fewer than two seeds."""
        return std(self.figures(name))

    def to_json(self) -> dict[str, Any]:
        """Return it as an object of JSON."""
        return {
            "trial": self.number,
            "state": self.state,
            "best": self.is_best,
            "setting": self.setting,
            "results": {str(seed): each.to_json() for seed, each in self.results.items()},
            "last": self.last,
            "seconds": self.seconds,
            "failure": self.failure,
            "path": str(self.path),
        }


def rows(study: SweepStudy) -> list[TrialRow]:
    """Return the trials that have begun, best first.

    With two objectives those of the Pareto front come first, in the order of their accuracy.
    Finished trials come before pruned, failed and running ones.
    """
    best = {trial.number for trial in _best(study)}
    found = [_row(study, trial, trial.number in best) for trial in study.trials() if trial.params]
    objective = study.sweep.keys.objective

    def order(row: TrialRow) -> tuple[int, bool, float, int]:
        figure = row.mean(objective) if row.state == "finished" else row.last
        return STATES.index(row.state), not row.is_best, -(figure or 0.0), row.number

    return sorted(found, key=order)


def status(study: SweepStudy) -> str:
    """Return the table of the trials, best first, and how far the sweep has come."""
    found = rows(study)
    if not found:
        return headline(study, found)
    lines = [["", *line] for line in zip(*heads(study.sweep), strict=True)]
    lines += [[name(row), *cells(study.sweep, row)] for row in found]
    notes = [
        *legend(study.sweep),
        *(f"trial {number} failed: {line}" for number, line in failures(found)),
    ]
    return "\n".join([headline(study, found), "", text_table(lines, keys=1), "", *notes])


def headline(study: SweepStudy, found: Sequence[TrialRow]) -> str:
    """Return the name of a study and the number of its trials in each state."""
    counts = [(state, sum(row.state == state for row in found)) for state in STATES]
    planned = "" if study.sweep.planned is None else f" of {study.sweep.planned}"
    listed = ", ".join(f"{count} {state}" for state, count in counts if count)
    return f"study {study.sweep.name}: {len(found)}{planned} trials{': ' if listed else ''}{listed}"


def legend(sweep: Sweep) -> list[str]:
    """Return what the cells of the table mean."""
    best = "the Pareto front" if sweep.keys.spikes else "the best trial"
    chosen_by = sweep.base.data.selection.replace("_", " ")
    return [
        f"*: {best}; validation: {chosen_by} chose the epoch",
        "mean ± standard deviation over the seeds; in brackets: of a trial that is not finished",
    ]


def failures(found: Sequence[TrialRow]) -> list[tuple[int, str]]:
    """Return why trials failed: their numbers, and the lines of the reasons."""
    return [(row.number, line) for row in found for line in (row.failure or "").splitlines()]


def _best(study: SweepStudy) -> Sequence[FrozenTrial]:
    """Return the best trial, or those of the Pareto front; none if no trial is finished."""
    finished = [trial for trial in study.trials() if trial.state == TrialState.COMPLETE]
    if not finished:
        return []
    return study.study.best_trials


def _row(study: SweepStudy, trial: FrozenTrial, is_best: bool) -> TrialRow:
    steps = trial.intermediate_values
    known = {name: trial.params[name] for name in study.sweep.space if name in trial.params}
    return TrialRow(
        trial.number,
        _STATES[trial.state],
        {name: study.sweep.space[name].decoded(drawn) for name, drawn in known.items()},
        results_of(trial.user_attrs),
        is_best,
        steps[max(steps)] if steps else None,
        trial.user_attrs.get(SECONDS, 0.0),
        trial.user_attrs.get(FAILURE),
        trial_directory(study.sweep, trial.number),
    )


def _columns(sweep: Sweep) -> dict[str, tuple[str, str, str]]:
    """Return the figures that are shown: heads, one below the other, and the format of values."""
    objective = sweep.keys.objective
    return {
        objective: ("validation", objective.removesuffix("_accuracy"), ".2%"),
        "spikes": ("", "spikes", ",.0f"),
        "testing_accuracy": ("testing", "accuracy", ".2%"),
    }


def heads(sweep: Sweep) -> list[tuple[str, str]]:
    """Return the heads of `cells`: each in two parts, one below the other."""
    keys = [key.partition(".") for key in sweep.space]
    figures = [(above, below) for above, below, _ in _columns(sweep).values()]
    return [
        ("", "state"),
        *((f"{table}.", key) for table, _, key in keys),
        *figures,
        ("", "seeds"),
        ("", "min"),
    ]


def name(row: TrialRow) -> str:
    """Return the number of a trial, with an asterisk if it is the best or on the Pareto front."""
    return f"{row.number}{'*' * row.is_best}"


def cells(sweep: Sweep, row: TrialRow) -> list[str]:
    """Return what the table has of a trial: state, keys, results, finished seeds and minutes."""
    values = (row.setting.get(key) for key in sweep.space)
    setting = ["-" if value is None else short(value) for value in values]
    figures = []
    for figure, (_, _, style) in _columns(sweep).items():
        text = with_std(row, figure, style)
        if row.mean(figure) is None and figure == sweep.keys.objective and row.last is not None:
            text = f"({row.last:{style}})"
        figures.append(text)
    minutes = f"{row.seconds / 60:.1f}" if row.seconds else "-"
    return [row.state, *setting, *figures, f"{len(row.results)}", minutes]


def with_std(row: TrialRow, figure: str, style: str) -> str:
    """Return the mean of a figure of `RunResult`, and its standard deviation if there is one."""
    text, spread = cell(row.mean(figure), style), row.std(figure)
    return text if spread is None else f"{text} ± {spread:{style}}"


def short(value: Any) -> str:
    """Return the value of a key, not too wide for a table; of a number four digits."""
    if isinstance(value, float):
        text = f"{value:.4g}"
    else:
        text = value if isinstance(value, str) else toml_value(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."
