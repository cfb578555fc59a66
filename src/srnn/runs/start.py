# SPDX-License-Identifier: MPL-2.0
"""The start of a run: fresh weights, those of another run, or its own saved state."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from srnn.config import Config
from srnn.errors import InputError
from srnn.runs.checkpoint import Checkpoint, checkpoint_path, load_checkpoint
from srnn.runs.compatibility import (
    expect_same_configuration,
    expect_same_draws,
    same_weights,
)
from srnn.runs.directory import RunDirectory
from srnn.training.selection import is_complete


@dataclass(frozen=True)
class Start:
    """The start of a run.

    Attributes
    ----------
    state : Checkpoint, or None
        The run's own saved state.
    weights : Checkpoint, or None
        Of another run, only without a state; see `srnn.runs.compatibility.transfer`.
    is_missing : bool
        Whether the run was to be resumed, but there is no state yet.
    is_finished : bool
        Whether nothing is left to do.
    """

    state: Checkpoint | None = None
    weights: Checkpoint | None = None
    is_missing: bool = False
    is_finished: bool = False


@contextmanager
def prepared_run(
    config: Config, run: RunDirectory, *, resume: bool, init: str | Path | None
) -> Iterator[Start]:
    """Lock a run directory within the context, and find what its run starts from.

    Parameters
    ----------
    config : Config
    run : RunDirectory
    resume : bool
        Whether to go on with the run in it, or begin it if there is none yet.
    init : str or Path, optional
        A run or a checkpoint file whose weights it starts from.

    Raises
    ------
    InputError
        If the directory holds a run and is not to be resumed, or is in use; if its state is lost,
        damaged or of another configuration; or if it began from other weights than ``init``.
    """
    with run.prepared(resume=resume):
        state = _state_to_resume(config, run) if resume else None
        if state and _is_finished(config, run, state):
            yield Start(state, is_finished=True)
            return
        given = None if init is None else load_checkpoint(checkpoint_path(Path(init)))
        weights = _initial_weights(run, given, state)
        yield Start(state, weights, is_missing=resume and state is None)


def saved_progress(run: RunDirectory) -> str:
    """Return, on one line, the progress of the saved state of a run."""
    if not run.last.exists():
        return f"nothing is saved in {run.path} yet"
    try:
        last = load_checkpoint(run.last)
    except InputError as error:
        return str(error)
    assert last.training
    epoch, step = last.training.progress.epoch, last.training.progress.step
    done = f"after step {step:,} of epoch {epoch}" if step else f"after epoch {epoch - 1}"
    return f"saved in {run.last}: {done if epoch > 1 or step else 'before the first step'}"


def _state_to_resume(config: Config, run: RunDirectory) -> Checkpoint | None:
    """Return the state that a run is resumed from; None if it was stopped before it had one.

    Raises
    ------
    InputError
        If the state is lost or damaged, or ``config`` would make another run of it.
    """
    offer = f"{run.best}: the best weights so far: --init {run.best} starts a new run from them"
    offers = [offer] if run.best.exists() else []
    if not run.last.exists():
        if offers:
            raise InputError(f"{run.last}: expected a state to resume from, found none", *offers)
        return None
    try:
        last = load_checkpoint(run.last)
    except InputError as error:
        raise InputError(str(error), *offers) from error
    state = last.training
    if state is None or len(state.progress.history) != state.progress.epoch - 1:
        found = "weights only" if state is None else "metrics of another number of epochs"
        raise InputError(f"{run.last}: expected a state to resume from, found {found}", *offers)
    expect_same_configuration(config, last.parsed_config(), last.epoch, str(run.last))
    expect_same_draws(config, last.draws, str(run.last))
    if last.epoch:
        load_checkpoint(run.best)
    return last


def _initial_weights(
    run: RunDirectory, given: Checkpoint | None, last: Checkpoint | None
) -> Checkpoint | None:
    """Return the weights that a run starts from; None: fresh ones, or it has begun already.

    Parameters
    ----------
    run : RunDirectory
    given : Checkpoint, optional
        The checkpoint of ``--init``; optional on resume, as the run keeps a copy.
    last : Checkpoint, optional
        The state of ``run``, from `_state_to_resume`.

    Raises
    ------
    InputError
        If the run began from other weights than those given.
    """
    if last and not given:
        return None
    if not run.init.exists():
        if last:
            raise InputError(
                f"--init: expected none, as the run in {run.path} began without, found one"
            )
        return given
    kept = load_checkpoint(run.init)
    if given and not same_weights(given, kept):
        raise InputError(
            f"--init: expected the weights that the run in {run.path} began from, found others"
        )
    return None if last else kept


def _is_finished(config: Config, run: RunDirectory, last: Checkpoint) -> bool:
    """Return whether a run, whose state is ``last``, has nothing left to do."""
    assert last.training
    history, keys = last.training.progress.history, config.srnn
    complete = is_complete(history, keys.epochs, keys.patience, config.data.selection)
    return complete and run.test.exists()
