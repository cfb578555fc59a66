# SPDX-License-Identifier: MPL-2.0
"""Reports: one HTML file, which needs nothing else, about one run or several."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from srnn.errors import InputError, printable
from srnn.files import write_text
from srnn.instruments.listening.measure import Curves
from srnn.instruments.report import parts
from srnn.instruments.report.collect import (
    ClassifiedClip,
    Measured,
    Run,
    classify_file,
    measure,
    read_run,
)
from srnn.instruments.report.folio import Folio, figures_folder
from srnn.instruments.report.page import Tab, render, subtitle
from srnn.runs.evaluation import Partition
from srnn.runs.recogniser import Recogniser
from srnn.runs.results import Json

_WRONG = 12  # clips that are shown at most

_log = logging.getLogger(__name__)


def write_report(
    runs: Sequence[Path],
    file: Path,
    *,
    partition: Partition = "testing",
    dataroot: Path | None = None,
    clip: Path | None = None,
    streams: Callable[[Recogniser], Curves] | None = None,
) -> Path:
    """Write a report about some runs, and its figures into a folder beside it.

    The clips of the partition are evaluated if the data set is there; otherwise the report says
    that it is not, and shows the results in the files of the run.

    Parameters
    ----------
    runs : sequence of Path
        Run directories, checkpoint files or names of networks of the package.
    file : Path
        The HTML file; its figures go into the folder ``<stem>-figures`` beside it.
    partition : "testing" or "validation"
    dataroot : Path, optional
        Another data set, or a test archive.
    clip : Path, optional
        The recording that is shown; by default a typical clip of the partition. Of one run only.
    streams : callable, optional
        Measures misses and false alarms on streams. Of one run only.

    Returns
    -------
    Path
        The folder of the figures.

    Raises
    ------
    InputError
        If a run or the recording cannot be read, or a file cannot be written.
    """
    found = _with_unique_names([read_run(each) for each in runs], runs)
    shown = classify_file(found[0].recogniser, clip) if clip else None
    folder = figures_folder(file)
    one = len(found) == 1
    measured = [_measured(run, partition, dataroot, _WRONG if one else 0) for run in found]
    if one:
        (run,), (of_run,) = found, measured
        curves = streams(run.recogniser) if streams else None
        tabs = _of_one(run, of_run, Folio(folder), shown, curves)
        title = run.name
    else:
        tabs = _of_several(found, measured, folder)
        title = f"{len(found)} runs"
    names = ", ".join(run.name for run in found)
    data = {run.name: _data(run, each) for run, each in zip(found, measured, strict=True)}
    write_text(file, render(title, subtitle(names), tabs, data))
    return folder


def _with_unique_names(runs: Sequence[Run], paths: Sequence[Path]) -> list[Run]:
    """Return runs whose names differ, as far as need be by their parent folder and a number."""
    counts = Counter(run.name for run in runs)
    names = [
        printable(run.name if counts[run.name] == 1 else f"{path.resolve().parent.name}/{run.name}")
        for run, path in zip(runs, paths, strict=True)
    ]
    counts = Counter(names)
    return [
        replace(run, name=name if counts[name] == 1 else f"{name} ({number})")
        for number, (run, name) in enumerate(zip(runs, names, strict=True), start=1)
    ]


def _of_one(
    run: Run,
    measured: Measured | str,
    folio: Folio,
    clip: ClassifiedClip | None,
    streams: Curves | None,
) -> list[Tab]:
    results, found = _results(run, measured), _only(measured)
    clip = clip or (found.typical if found else None)
    tabs = [parts.overview(run, results, measured, folio)]
    if results:
        tabs.append(parts.classes(run, results, found, folio))
    if clip:
        tabs.append(parts.clip(run, clip, folio))
    tabs.append(parts.neurons(run, found, folio))
    if results and results.get("energy"):
        tabs.append(parts.energy(results["energy"], folio))
    if streams:
        tabs.append(parts.streams(streams, folio))
    return [*tabs, parts.configuration(run)]


def _of_several(runs: Sequence[Run], measured: Sequence[Measured | str], folder: Path) -> list[Tab]:
    """Return the comparison, and then a part for each run, without its clips."""
    tabs = [parts.comparison(runs, Folio(folder))]
    for number, (run, of_run) in enumerate(zip(runs, measured, strict=True), start=1):
        found = _only(of_run)
        without_clips = replace(found, typical=None) if found else of_run
        some = _of_one(run, without_clips, Folio(folder, f"run-{number}-"), None, None)
        blocks = [block for tab in some for block in tab.blocks]
        tabs.append(Tab(f"run-{number}", run.name, blocks))
    return tabs


def _measured(
    run: Run, partition: Partition, dataroot: Path | None, max_wrong: int
) -> Measured | str:
    """Measure a run; without its data set, which only the user may miss, return why it is not."""
    try:
        return measure(run, partition, dataroot, max_wrong)
    except InputError as error:
        if dataroot:
            raise
        _log.warning("%s: not measured: %s", run.name, error)
        return str(error)


def _only(measured: Measured | str) -> Measured | None:
    return None if isinstance(measured, str) else measured


def _results(run: Run, measured: Measured | str) -> Json | None:
    """Return the JSON of the evaluation of now, or else of test.json, if there is one."""
    return run.test if isinstance(measured, str) else measured.evaluation.to_json()


def _data(run: Run, measured: Measured | str) -> Json:
    """Return what the page holds for programs."""
    return {
        "test": run.test,
        "measured": None if isinstance(measured, str) else measured.evaluation.to_json(),
        "metrics": run.metrics,
        "config": run.config.model_dump(mode="json"),
    }
