# SPDX-License-Identifier: MPL-2.0
"""``srnn CONFIG.toml``: training."""

import os
import shlex
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click
from loguru import logger

from srnn.commands import options
from srnn.errors import DivergenceError, InputError, LostProcessError
from srnn.log import set_up_logging
from srnn.training.interrupt import Interrupted

if TYPE_CHECKING:
    from srnn.config import Config
    from srnn.parallel import Group
    from srnn.runs.directory import RunDirectory
    from srnn.runs.plan import Plan, Request


@click.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@options.overrides
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for the results.  [default: runs/CONFIG-TIME]",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the run in --run-dir, for which CONFIG is not needed; with CONFIG, begin it "
    "where there is none yet.",
)
@click.option(
    "--init",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Start from the weights of another run.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Train N runs, with seeds from srnn.seed on, and print a table of them.",
)
@options.debug
def train(
    config: Path | None,
    overrides: tuple[str, ...],
    run_dir: Path | None,
    resume: bool,
    init: Path | None,
    seeds: int | None,
) -> int:
    """Train a network by the configuration CONFIG (the default command).

    CONFIG is a TOML file; a bare name is looked up here, in configs/, then in the package.
    """
    from srnn import config as configuration
    from srnn.parallel import job
    from srnn.runs.plan import Request

    if config:
        configuration.find(config)
    if resume and run_dir is None:
        raise InputError("--resume: expected --run-dir DIR with it, found none")
    if not (config or resume):
        raise click.UsageError(
            "Missing argument 'CONFIG' (only --run-dir DIR --resume does without)",
            click.get_current_context(),
        )
    request = Request(config, overrides, run_dir, resume, init, seeds)
    with job() as group:
        return _train_all(request, group) if group.is_first else _follow(request, group)


def _follow(request: "Request", group: "Group") -> int:
    """Train beside the first process, which reports for all, and return the exit code.

    Warnings of another machine are shown, as its processor or packages may be others.
    """
    set_up_logging("WARNING" if group.number == 0 else "CRITICAL")
    os.environ["TQDM_DISABLE"] = "1"
    try:
        return _train_all(request, group)
    except InputError as error:
        raise InputError(*(f"{group}: {line}" for line in str(error).split("\n"))) from error
    except Interrupted as error:
        return 128 + error.signal
    except (DivergenceError, LostProcessError):
        return 1


def _plan(request: "Request") -> "Plan":
    from srnn.runs.plan import make_plan

    plan = make_plan(request)
    if not request.resume:
        for run in plan.runs:
            run.expect_unused()
    return plan


def _train_all(request: "Request", group: "Group") -> int:
    """Train the runs of a command line, and return the exit code."""
    from srnn.runs.plan import resuming_arguments
    from srnn.runs.start import saved_progress

    plan = group.broadcast_object(_plan(request) if group.is_first else None)
    seeds, resume = request.seeds, request.resume
    diverged = []
    for number, (run, settings) in enumerate(plan.runs.items(), start=1):
        title = f"run {number} of {seeds}, seed {settings.srnn.seed}" if seeds else ""
        try:
            _train_one(settings, run, request, title, group, first=number == 1 or resume)
        except DivergenceError as error:
            if not seeds:
                raise
            diverged.append(run)
            logger.error("{}: {}; the other seeds go on", run.path, error)
        except Interrupted:
            if group.is_first:
                logger.info("{}", saved_progress(run))
                logger.info("go on with: {}", _shell(*resuming_arguments(request, plan, run)))
            raise
    if not group.is_first:
        return 1 if diverged else 0
    if seeds:
        from srnn.runs.seeds import summary

        if finished := [run for run in plan.runs if run not in diverged]:
            click.echo(summary(finished))
    else:
        _log_next_steps(settings, plan.path)
    return 1 if diverged else 0


def _train_one(
    settings: "Config",
    run: "RunDirectory",
    request: "Request",
    title: str,
    group: "Group",
    *,
    first: bool,
) -> None:
    """Train or resume one run, with its log in its directory.

    ``title`` names it among several, and ``first`` is whether it is the first of them.
    """
    from srnn.runs.start import Start, prepared_run
    from srnn.runs.train import train as train_run

    with ExitStack() as stack:
        start: Start | None = None
        if group.is_first:
            resume, init = request.resume, request.init
            start = stack.enter_context(prepared_run(settings, run, resume=resume, init=init))
        start = group.broadcast_object(start)
        if group.is_first:
            set_up_logging(settings.logger.level, None if start.is_finished else run.log)
        if start.is_finished:
            logger.info("{}: this run is finished, nothing is left to do", run.path)
            return
        if title:
            logger.info("{}", title)
        train_run(settings, run, start, first=first, group=group)
        logger.info("the run is in {}", run.path)


def _log_next_steps(settings: "Config", run: Path) -> None:
    from srnn.data.sources.synthetic.keys import NAME

    logger.info("next, your own recording: {}", _shell("predict", run, "YOUR.wav"))
    if settings.data.gsc_url == NAME:
        real = _shell("config-v1-cuda.toml")
        logger.info("or real voices instead of synthetic ones: {} (downloads 1.5 GB)", real)


def _shell(*arguments: str | Path) -> str:
    """Return a command line that starts this program as it was started."""
    if "PDM_PROJECT_ROOT" in os.environ:
        program = ["pdm", "run", "srnn"]
    elif Path(sys.argv[0]).name == "__main__.py":  # python -m srnn
        program = [sys.executable, "-m", "srnn"]
    else:
        program = ["srnn" if shutil.which("srnn") else sys.argv[0]]
    return shlex.join([*program, *map(str, arguments)])
