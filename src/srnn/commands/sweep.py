# SPDX-License-Identifier: MPL-2.0
"""``srnn sweep``: many runs that differ in some keys."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from loguru import logger

from srnn.commands import options
from srnn.errors import InputError
from srnn.log import set_up_logging
from srnn.training.interrupt import Interrupted

if TYPE_CHECKING:
    from srnn.config import Config
    from srnn.runs.directory import RunDirectory


@click.command()
@click.argument("sweep", type=click.Path(path_type=Path), metavar="SWEEP")
@click.option(
    "--jobs",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="Workers on this machine; they share its cores.",
)
@click.option("--status", is_flag=True, help="Print the table of the trials; train nothing.")
@click.option("--worker", is_flag=True, hidden=True)  # one of --jobs: it prints no table
@options.as_json
@options.debug
def sweep(sweep: Path, jobs: int, status: bool, worker: bool, as_json: bool) -> int:
    """Train many runs that differ in some keys, by the TOML file SWEEP.

    It names a configuration, the keys that are varied, and a budget. Any number of these commands,
    on any machines, work on the same sweep; after an interruption it goes on where it was.
    """
    from srnn.packages import expect_packages
    from srnn.sweeps.reading import read_sweep

    expect_packages("srnn sweep", "sweep", "optuna")
    plan = read_sweep(sweep)
    from srnn.sweeps.study import join
    from srnn.sweeps.table import rows
    from srnn.sweeps.table import status as table
    from srnn.sweeps.worker import work

    code = 0
    with join(plan, create=not status) as study:
        if not status:
            try:
                if jobs > 1:
                    code = _run_workers(sweep, jobs)
                else:
                    work(study, _log_to)
            except Interrupted:
                if not worker:
                    place = plan.directory
                    logger.info("the study is in {}: the same command goes on with it", place)
                raise
        if not worker:
            found = [row.to_json() for row in rows(study)]
            click.echo(json.dumps(found, indent=2) if as_json else table(study))
    return code


def _run_workers(sweep: Path, jobs: int) -> int:
    """Run several workers; return 0 if one of them found all trials finished."""
    from srnn.sweeps.jobs import run_workers

    codes = run_workers(sweep, jobs)
    for number, code in enumerate(codes, start=1):
        if code:
            logger.warning("worker {} of {} ended with exit code {}", number, jobs, code)
    if 0 in codes:
        return 0
    raise InputError(f"{sweep}: no worker came to the end; the same command goes on")


def _log_to(run: "RunDirectory | None", config: "Config | None") -> None:
    """Log a run to its directory, and only warnings to the terminal."""
    if run and config:
        set_up_logging(config.logger.level, run.log, terminal="WARNING")
    else:
        set_up_logging("INFO")
