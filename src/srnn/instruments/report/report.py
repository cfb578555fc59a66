# SPDX-License-Identifier: MPL-2.0
"""Reports: one HTML file, which needs nothing else, about one run or several."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from srnn.errors import InputError
from srnn.files import write_text
from srnn.instruments.listening.measure import Curves
from srnn.instruments.report import parts
from srnn.instruments.report.collect import Measured, Run, hear, measure, read_run
from srnn.instruments.report.folio import Folio
from srnn.instruments.report.page import Tab, render
from srnn.runs.evaluation import Partition
from srnn.version import VERSION

_WRONG = 12  # clips that are shown at most

_log = logging.getLogger(__name__)


def write_report(
    runs: Sequence[Path],
    file: Path,
    *,
    partition: Partition = "testing",
    dataroot: Path | None = None,
    clip: Path | None = None,
    streams: Curves | None = None,
) -> Path:
    """Write a report about some runs, and its figures into a folder beside it.

    The clips of the partition are evaluated if the data set is there; otherwise the report says
    that it is not, and has what the files of the run tell.

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
        The recording that is shown; by default a typical clip of the partition.
    streams : Curves, optional
        Misses and false alarms of the run on streams.

    Returns
    -------
    Path
        The folder of the figures.

    Raises
    ------
    InputError
        If a run or the recording cannot be read, or a file cannot be written.
    """
    found = [read_run(each) for each in runs]
    folder = file.with_name(f"{file.stem}-figures")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: expected a folder, found {error.strerror}") from error
    measured = [_measured(run, partition, dataroot) for run in found]
    if len(found) == 1:
        (run,), (of_run,) = found, measured
        tabs = _of_one(run, of_run, Folio(folder), clip, streams)
        title = run.name
    else:
        tabs = _of_several(found, measured, folder)
        title = f"{len(found)} runs"
    subtitle = (
        f"srnn {VERSION}, {time.strftime('%Y-%m-%d %H:%M')}: {', '.join(r.name for r in found)}"
    )
    data = {run.name: _data(run, each) for run, each in zip(found, measured, strict=True)}
    write_text(file, render(title, subtitle, tabs, data))
    return folder


def _of_one(
    run: Run, measured: Measured | None, folio: Folio, clip: Path | None, streams: Curves | None
) -> list[Tab]:
    heard = hear(run.recogniser, clip) if clip else measured.typical if measured else None
    tabs = [parts.overview(run, measured, folio)]
    if measured:
        tabs.append(parts.classes(run, measured, folio))
    if heard:
        tabs.append(parts.clip(run, heard, folio))
    tabs.append(parts.neurons(run, measured, folio))
    tabs += _energy(run, measured, folio)
    if streams:
        tabs.append(parts.streams(streams, folio))
    return [*tabs, parts.configuration(run)]


def _of_several(
    runs: Sequence[Run], measured: Sequence[Measured | None], folder: Path
) -> list[Tab]:
    """Return the comparison, and then a part for each run, without its clips."""
    tabs = [parts.comparison(runs, Folio(folder))]
    for number, (run, of_run) in enumerate(zip(runs, measured, strict=True), start=1):
        folio = Folio(folder, f"run-{number}-")
        some = [parts.overview(run, of_run, folio)]
        if of_run:
            some.append(parts.classes(run, replace(of_run, wrong=()), folio))
        some += [parts.neurons(run, of_run, folio), *_energy(run, of_run, folio)]
        some.append(parts.configuration(run))
        blocks = [block for tab in some for block in tab.blocks]
        tabs.append(Tab(f"run-{number}", run.name, blocks))
    return tabs


def _energy(run: Run, measured: Measured | None, folio: Folio) -> list[Tab]:
    """Return the part on energy: as measured now, or else as in test.json, if it has one."""
    result = measured.evaluation.to_json() if measured else run.test or {}
    found = result.get("energy")
    return [parts.energy(found, folio)] if isinstance(found, dict) else []


def _measured(run: Run, partition: Partition, dataroot: Path | None) -> Measured | None:
    """Measure a run; without its data set, which only the user may miss, return None."""
    try:
        return measure(run, partition, dataroot, _WRONG)
    except InputError as error:
        if dataroot:
            raise
        _log.warning("%s: no clips are shown: %s", run.name, error)
        return None


def _data(run: Run, measured: Measured | None) -> dict[str, object]:
    """Return what the page holds for programs."""
    return {
        "test": run.test,
        "measured": measured.evaluation.to_json() if measured else None,
        "metrics": run.metrics,
        "config": run.config.model_dump(mode="json"),
    }
