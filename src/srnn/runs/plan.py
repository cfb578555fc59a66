# SPDX-License-Identifier: MPL-2.0
"""The runs of a command line, and the command line that resumes them."""

from dataclasses import dataclass
from pathlib import Path

from srnn.config import Config, load
from srnn.errors import InputError
from srnn.runs.directory import RunDirectory, first_of_seeds, new_run_path


@dataclass(frozen=True)
class Request:
    """The arguments of a command line that trains.

    Attributes
    ----------
    config : Path, or None
        CONFIG; None only when a run is resumed.
    overrides : sequence of str
        ``table.key=value`` of each ``--set``.
    run_dir : Path, or None
    resume : bool
    init : Path, or None
    seeds : int, or None
    """

    config: Path | None
    overrides: tuple[str, ...]
    run_dir: Path | None
    resume: bool
    init: Path | None
    seeds: int | None


@dataclass(frozen=True)
class Plan:
    """Runs to train or to resume.

    Attributes
    ----------
    path : Path
        The run directory, or with several seeds the one around theirs.
    runs : dict
        Run directory -> its configuration.
    """

    path: Path
    runs: dict[RunDirectory, Config]


def make_plan(request: Request) -> Plan:
    """Return the runs to train.

    What ``--set`` named when a run began need not be named again when it is resumed.

    Raises
    ------
    InputError
        If there is nothing to resume, or the configuration is wrong.
    """
    path, begun = request.run_dir, None
    if request.resume and path:
        begun = first_of_seeds(path) if request.seeds else RunDirectory(path)
    file = request.config
    if not file:
        assert path
        if not (begun and begun.config.exists()):
            several = not request.seeds and first_of_seeds(path)
            found = "runs of several seeds: add --seeds N" if several else "none: name CONFIG"
            raise InputError(f"--run-dir {path}: expected a run to go on with, found {found}")
        file = begun.config
    overrides = [*(begun.earlier_overrides() if begun else ()), *request.overrides]
    config = load(file, overrides)
    path = path or new_run_path(file.stem)
    if not request.seeds:
        return Plan(path, {RunDirectory(path, overrides): config})
    runs = {}
    for seed in range(config.srnn.seed, config.srnn.seed + request.seeds):
        its_overrides = [*overrides, f"srnn.seed={seed}"]
        run = RunDirectory(path / f"seed-{seed}", its_overrides)
        runs[run] = load(file, its_overrides)
    return Plan(path, runs)


def resuming_arguments(request: Request, plan: Plan, stopped: RunDirectory) -> list[str | Path]:
    """Return the arguments of the command line that resumes runs of which one was stopped."""
    begun = first_of_seeds(plan.path) if request.seeds else RunDirectory(plan.path)
    is_recorded = begun is not None and begun.config.exists()
    arguments: list[str | Path] = [] if is_recorded or not request.config else [request.config]
    if request.seeds or not (is_recorded and load(stopped.config) == plan.runs[stopped]):
        arguments += [word for override in request.overrides for word in ("--set", override)]
    if request.init and (request.seeds or not is_recorded):
        arguments += ["--init", request.init]
    arguments += ["--run-dir", plan.path]
    arguments += ["--seeds", str(request.seeds)] if request.seeds else []
    return [*arguments, "--resume"]
