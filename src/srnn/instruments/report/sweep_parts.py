# SPDX-License-Identifier: MPL-2.0
"""The parts of the report of a sweep, as blocks of text, tables and figures."""

import logging
import math
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from srnn import plot
from srnn.errors import InputError
from srnn.instruments.report import figures
from srnn.instruments.report.folio import Folio
from srnn.instruments.report.page import Block, Cell, Drawn, Link, Tab, Table
from srnn.instruments.report.parts import versions
from srnn.plot.coordinates import Value
from srnn.plot.curves import Metrics
from srnn.runs.directory import RunDirectory
from srnn.runs.results import metrics_of
from srnn.sweeps.importance import SHUFFLES, Importance
from srnn.sweeps.reading import Sweep
from srnn.sweeps.space import Choices, Range
from srnn.sweeps.storage import run_directory
from srnn.sweeps.table import (
    STATES,
    State,
    TrialRow,
    cells,
    failures,
    heads,
    legend,
    name,
    short,
    with_std,
)

_PARETO = (
    "Points are settings: mean and, as bars, standard deviation over seeds. The line is the "
    "highest accuracy that is reached with at most so many spikes; numbers are those of trials."
)
_NO_FRONT = "No trial is finished yet, so there is no Pareto front."
_IMPORTANCE = (
    "PED-ANOVA: how far the values of a key in the better half of the finished trials (those of "
    "higher accuracy, or of fewer spikes) differ from its values in all of them, as a part of the "
    "sum over keys. Faint bars do not exceed chance: they are no longer than 95 % of those in "
    f"{SHUFFLES} random shuffles of the results among the trials."
)
_TPE = (
    "The sampler tpe draws settings near good ones, and keys without influence are less often "
    "faint then: in simulations one of six was not, and one of eleven with the sampler random."
)

_BREAK = "\u200b"  # of no width, where a long head may be broken
# A report is handed on; the address of a server, USER:PASSWORD@HOST or ?password=, is in the file.
_PASSWORD = re.compile(r"(://[^:/\s\"']*:)[^\s\"']*(?=@)|(password=)[^&\s\"']*")
_WITHOUT_RESULT: tuple[State, State] = ("pruned", "failed")
_HALF = (5.7, 3.8)  # inches: two fit beside each other

_log = logging.getLogger(__name__)


def overview(sweep: Sweep, found: Sequence[TrialRow], file: Path, folio: Folio) -> Tab:
    """Return how far the sweep has come, and accuracy against spikes."""
    blocks = [Block(tiles=[*_tiles(sweep, found)])]
    finished = _in_state(found, "finished")
    title = "Accuracy against spikes"
    if not finished:
        return Tab("overview", "Overview", [*blocks, Block(title, [_NO_FRONT])])
    on_front = _on_front(sweep, finished)
    texts = [] if sweep.keys.spikes else ["Accuracy was the only objective of this sweep."]
    blocks += [
        Block(title, texts, figures=[*_pareto(sweep, finished, on_front, folio)]),
        Block("The Pareto front", tables=[_table(sweep, on_front, file)]),
    ]
    return Tab("overview", "Overview", blocks)


def keys(
    sweep: Sweep,
    found: Sequence[TrialRow],
    importances: Mapping[str, Importance | str],
    folio: Folio,
) -> Tab:
    """Return what keys matter, and settings as parallel coordinates."""
    known = {name: each for name, each in importances.items() if isinstance(each, Importance)}
    texts = [
        f"Importance for {_words(figure)} is not known: {reason}."
        for figure, reason in importances.items()
        if isinstance(reason, str)
    ]
    if known:
        texts += [_IMPORTANCE, *([_TPE] if sweep.keys.sampler == "tpe" else [])]
        blocks = [Block("Importance of keys", texts, figures=[_importance(known, folio)])]
    else:
        blocks = [Block("Importance of keys", texts)]
    ended = [row for row in found if row.state != "running"]
    if ended:
        blocks.append(Block("Keys and results", figures=[_parallel(sweep, ended, folio)]))
    else:
        blocks.append(Block("Keys and results", ["No trial has ended yet."]))
    return Tab("keys", "Keys", blocks)


def progress(sweep: Sweep, found: Sequence[TrialRow], folio: Folio) -> Tab:
    """Return the results in the order of trials, and the learning curves of all runs."""
    texts, drawn = [], []
    finished = _in_state(found, "finished")
    if finished:
        drawn.append(_history(sweep, finished, folio))
    else:
        texts.append("No trial is finished yet.")
    curves, pruned = _curves(sweep, found)
    if curves:
        drawn.append(_learning(sweep, curves, pruned, folio))
    else:
        texts.append("No run on this machine has an epoch yet.")
    return Tab("progress", "Progress", [Block(texts=texts, figures=drawn)])


def trials(sweep: Sweep, found: Sequence[TrialRow], file: Path) -> Tab:
    """Return the table of the trials, best first, and why some failed."""
    if not found:
        return Tab("trials", "Trials", [Block(texts=["No trial has begun yet."])])
    blocks = [Block(texts=legend(sweep), tables=[_table(sweep, found, file)])]
    reasons = [[f"{number}", line] for number, line in failures(found)]
    if reasons:
        blocks.append(Block("Why trials failed", tables=[Table(["trial", "reason"], reasons)]))
    return Tab("trials", "Trials", blocks)


def configuration(sweep: Sweep) -> Tab:
    """Return the file of the sweep, and the versions."""
    text = _PASSWORD.sub(r"\1\2...", sweep.file.read_text("utf-8"))
    return Tab("configuration", "Configuration", [Block(sweep.file.name, code=text), versions()])


def _tiles(sweep: Sweep, found: Sequence[TrialRow]) -> Iterator[tuple[str, str]]:
    planned = "" if sweep.planned is None else f" of {sweep.planned}"
    yield "trials", f"{len(found)}{planned}"
    for state in STATES:
        yield state, f"{len(_in_state(found, state))}"
    yield "training time of ended trials", f"{sum(row.seconds for row in found) / 3600:.2f} h"
    finished = _in_state(found, "finished")
    if finished:
        best = max(finished, key=partial(_figure, name=sweep.keys.objective))
        text = with_std(best, sweep.keys.objective, ".2%")
        yield f"best {_words(sweep.keys.objective)} (validation)", text


def _pareto(
    sweep: Sweep,
    finished: Sequence[TrialRow],
    on_front: Sequence[TrialRow],
    folio: Folio,
) -> Iterator[Drawn]:
    """Yield accuracy against spikes; the front once more, if others leave little space for it."""
    objective = sweep.keys.objective
    draw = partial(
        figures.panel,
        plot.pareto,
        [row.mean(objective) for row in finished],
        [row.mean("spikes") for row in finished],
        [f"{row.number}" for row in finished],
        accuracy_std=[_or_nan(row.std(objective)) for row in finished],
        spikes_std=[_or_nan(row.std("spikes")) for row in finished],
        label=f"{_words(objective)} on validation",
        size=_HALF,
    )
    tips = {f"point-{index}": _tip(sweep, row) for index, row in enumerate(finished)}
    yield folio.draw("pareto", draw, _PARETO, tips=tips)
    all_accuracies, of_front = (
        [_figure(row, objective) for row in rows] for rows in (finished, on_front)
    )
    if np.ptp(of_front) < np.ptp(all_accuracies) / 2:
        caption = "The surroundings of the front."
        yield folio.draw("pareto-front", partial(draw, focus=True), caption, tips=tips)


def _tip(sweep: Sweep, row: TrialRow) -> str:
    setting = [f"{key} = {short(value)}" for key, value in row.setting.items()]
    objective = sweep.keys.objective
    results = [
        f"{_words(objective)} {with_std(row, objective, '.2%')}",
        f"{with_std(row, 'spikes', ',.0f')} spikes",
    ]
    return "\n".join([f"trial {row.number}", *results, *setting])


def _on_front(sweep: Sweep, finished: Sequence[TrialRow]) -> list[TrialRow]:
    """Return the trials of the Pareto front, fewest spikes first."""
    accuracies, spikes = (
        [_figure(row, each) for row in finished] for each in (sweep.keys.objective, "spikes")
    )
    mask = plot.pareto_front(accuracies, spikes)
    found = [row for row, is_best in zip(finished, mask, strict=True) if is_best]
    return sorted(found, key=partial(_figure, name="spikes"))


def _importance(known: Mapping[str, Importance], folio: Folio) -> Drawn:
    first, *_ = known.values()
    names = [*first.importances]
    draw = partial(
        figures.panel,
        plot.importance,
        names,
        {
            _words(figure): [each.importances[key] for key in names]
            for figure, each in known.items()
        },
        chance={
            _words(figure): [each.chance[key] for key in names] for figure, each in known.items()
        },
        size=(7.0, 1.2 + 0.4 * len(names)),
    )
    return folio.draw("importance", draw)


def _parallel(sweep: Sweep, ended: Sequence[TrialRow], folio: Folio) -> Drawn:
    coordinates: dict[str, list[Value]] = {}
    log, categories = [], {}
    for key, varied in sweep.space.items():
        head = key.replace(".", ".\n", 1)
        values = [row.setting.get(key) for row in ended]
        if isinstance(varied, Choices):
            coordinates[head] = [None if value is None else short(value) for value in values]
            categories[head] = [*dict.fromkeys(map(short, varied.values.values()))]
        else:
            coordinates[head] = values
        if isinstance(varied, Range) and varied.log:
            log.append(head)
    is_finished = [row.state == "finished" for row in ended]
    for figure, factor, head in (
        ("spikes", 1.0, "spikes an\ninference"),
        (sweep.keys.objective, 100.0, f"{_words(sweep.keys.objective)}\n(%)"),
    ):
        coordinates[head] = [
            factor * _figure(row, figure) if shown else None
            for row, shown in zip(ended, is_finished, strict=True)
        ]
    draw = partial(
        figures.panel,
        plot.parallel,
        coordinates,
        log=log,
        categories=categories,
        best=[index for index, row in enumerate(ended) if row.is_best],
        size=(1.2 + 1.45 * len(coordinates), 4.2),
    )
    best = "the Pareto front" if sweep.keys.spikes else "the best trial"
    caption = f"A line is a trial: the stronger the more accurate; in orange, {best}."
    pruned, failed = (len(_in_state(ended, state)) for state in _WITHOUT_RESULT)
    if pruned or failed:
        caption += f" Grey and dotted: {pruned} pruned and {failed} failed trials."
    return folio.draw("parallel", draw, caption, wide=True)


def _history(sweep: Sweep, finished: Sequence[TrialRow], folio: Folio) -> Drawn:
    objective = sweep.keys.objective
    draw = partial(
        figures.panel,
        plot.history,
        [row.number for row in finished],
        [row.mean(objective) for row in finished],
        label=_words(objective),
        size=_HALF,
    )
    return folio.draw("history", draw, "Finished trials in the order in which they began.")


def _learning(
    sweep: Sweep, curves: Sequence[Metrics], pruned: Collection[int], folio: Folio
) -> Drawn:
    objective = sweep.keys.objective
    draw = partial(
        figures.panel,
        plot.trial_curves,
        curves,
        f"valid_{objective}",
        label=_words(objective),
        pruned=pruned,
        size=_HALF,
    )
    caption = (
        f"Learning curves, on validation, of the {len(curves)} runs with an epoch on this machine; "
        "the stronger the higher their end."
    )
    return folio.draw("curves", draw, caption)


def _curves(sweep: Sweep, found: Sequence[TrialRow]) -> tuple[list[Metrics], set[int]]:
    """Return the metrics of all runs with an epoch, and which of them ended early."""
    curves: list[Metrics] = []
    pruned = set()
    for row in found:
        for seed in sweep.seeds:
            run = RunDirectory(run_directory(row.path, seed))
            metrics = _metrics(run) if run.metrics.exists() else []
            if metrics:
                if row.state == "pruned" and seed not in row.results:
                    pruned.add(len(curves))
                curves.append(metrics)
    return curves, pruned


def _metrics(run: RunDirectory) -> Metrics:
    """Return the metrics of a run; none if the file is damaged."""
    try:
        return metrics_of(run)
    except InputError as error:
        _log.warning("its learning curve is left out: %s", error)
        return []


def _table(sweep: Sweep, found: Sequence[TrialRow], file: Path) -> Table:
    """Return trials with links to their runs, relative to the report."""
    names = [(_BREAK if pair[0].endswith(".") else " ").join(pair) for pair in heads(sweep)]
    rows: list[list[Cell]] = [
        [_linked(name(row), row.path, file), *cells(sweep, row), [*_runs(sweep, row, file)]]
        for row in found
    ]
    return Table(["trial", *names, "runs"], rows)


def _runs(sweep: Sweep, row: TrialRow, file: Path) -> Iterator[Link]:
    """Yield links to the runs of a trial on this machine: to their reports where there are some."""
    for seed in sweep.seeds:
        run = run_directory(row.path, seed)
        report = run / "report.html"
        if report.exists():
            yield _link(f"seed {seed} (report)", report, file)
        elif run.exists():
            yield _link(f"seed {seed}", run, file)


def _linked(text: str, path: Path, file: Path) -> Cell:
    return [_link(text, path, file)] if path.exists() else text


def _link(text: str, path: Path, file: Path) -> Link:
    return Link(text, Path(os.path.relpath(path, file.parent)).as_posix())


def _in_state(found: Sequence[TrialRow], state: State) -> list[TrialRow]:
    return [row for row in found if row.state == state]


def _figure(row: TrialRow, name: str) -> float:
    """Return the mean of a figure of a finished trial, which has one."""
    value = row.mean(name)
    assert value is not None, f"trial {row.number} is finished without {name}"
    return value


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _words(name: str) -> str:
    return name.replace("_", " ")
