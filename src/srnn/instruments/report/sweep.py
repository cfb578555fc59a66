# SPDX-License-Identifier: MPL-2.0
"""The report of a sweep. It needs Optuna: `srnn.packages.expect_packages` comes first."""

from pathlib import Path

from srnn.files import write_text
from srnn.instruments.report import sweep_parts
from srnn.instruments.report.folio import Folio, figures_folder
from srnn.instruments.report.page import render, subtitle
from srnn.sweeps.importance import Importance, importance
from srnn.sweeps.reading import read_sweep
from srnn.sweeps.study import join
from srnn.sweeps.table import headline, rows


def write_sweep_report(directory: Path, file: Path) -> Path:
    """Write a report about a sweep, which may still go on, and its figures beside it.

    Parameters
    ----------
    directory : Path
        That of the sweep.
    file : Path
        The HTML file; its figures go into the folder ``<stem>-figures`` beside it.

    Returns
    -------
    Path
        The folder of the figures.

    Raises
    ------
    InputError
        If the sweep or its study cannot be read, or a file cannot be written.
    """
    sweep = read_sweep(directory)
    with join(sweep, create=False) as study:
        found = rows(study)
        importances = {
            figure: importance(study, found, figure) for figure in (sweep.keys.objective, "spikes")
        }
        head = headline(study, found)
    folder = figures_folder(file)
    folio = Folio(folder)
    tabs = [
        sweep_parts.overview(sweep, found, file, folio),
        sweep_parts.keys(sweep, found, importances, folio),
        sweep_parts.progress(sweep, found, folio),
        sweep_parts.trials(sweep, found, file),
        sweep_parts.configuration(sweep),
    ]
    data = {
        "study": sweep.name,
        "objective": sweep.keys.objective,
        "trials": [row.to_json() for row in found],
        "importance": {
            name: each._asdict() if isinstance(each, Importance) else None
            for name, each in importances.items()
        },
    }
    write_text(file, render(f"sweep {sweep.name}", subtitle(head), tabs, data))
    return folder
