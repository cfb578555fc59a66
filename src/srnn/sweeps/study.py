# SPDX-License-Identifier: MPL-2.0
"""The study of a sweep: its trials are handed out to workers, and their results are kept.

A trial that is handed out is RUNNING until its result is told, however often its worker is stopped
or killed, and keeps its number, its setting and its directory.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from srnn.errors import InputError
from srnn.files import write_text
from srnn.sweeps.reading import FILE, Params, Sweep
from srnn.sweeps.results import RunResult
from srnn.sweeps.storage import JOURNAL, Locks, open_storage, trial_directory

# What the study and its trials store beside settings and values.
DEFINITION, RESULTS, FAILURE, REPEATS, SECONDS = (
    "definition",
    "results",
    "failure",
    "repeats",
    "seconds",
)

_MOST_REPEATS = 100  # settings in a row that were tried already, after which no new one is expected

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claim:
    """A trial that a worker has and no other one.

    Attributes
    ----------
    trial : optuna.Trial
    lock : context manager
        Gives the trial back at its end.
    is_new : bool
        Whether no worker has had it before.
    reported : set of int
        The steps of which the pruner knows.
    """

    trial: Trial
    lock: AbstractContextManager[object]
    is_new: bool
    reported: set[int] = field(default_factory=set)

    @property
    def number(self) -> int:
        """The number of the trial, from 0."""
        return self.trial.number

    @property
    def params(self) -> Params:
        """The setting."""
        return self.trial.params

    @property
    def results(self) -> dict[int, RunResult]:
        """The results of the seeds that are finished."""
        return results_of(self.trial.user_attrs)


class SweepStudy:
    """The study of a sweep, joined by a worker; a context, which closes its connections.

    Parameters
    ----------
    sweep : Sweep
    study : optuna.Study
    locks : Locks
    """

    def __init__(self, sweep: Sweep, study: optuna.Study, locks: Locks) -> None:
        self.sweep = sweep
        self.study = study
        self.locks = locks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.locks.close()

    def trials(self) -> list[FrozenTrial]:
        """Return all trials so far, in the order of their numbers, but those that repeat others."""
        return [trial for trial in self._all() if REPEATS not in trial.user_attrs]

    def claim(self) -> Claim | None:
        """Return a trial to train: one whose worker is gone, or else a new one.

        None: the budget is spent, or the sampler draws nothing new, and all trials are finished or
        have a worker.
        """
        with self.locks.study():
            for frozen in self._all():
                if frozen.state == TrialState.RUNNING and (claim := self._adopted(frozen)):
                    return claim
            for _ in range(_MOST_REPEATS):
                if self._is_spent():
                    return None
                trial = self._new()
                earlier = [each for each in self.trials() if each.number < trial.number]
                same = [each.number for each in earlier if each.params == trial.params]
                if not same:
                    lock = self.locks.trial(trial.number)
                    assert lock, "nobody else knows of this trial yet"
                    return Claim(trial, lock, is_new=True)
                trial.set_user_attr(REPEATS, same[0])
                self.study.tell(trial, state=TrialState.FAIL)
        _log.warning(
            "%d settings in a row had been tried already: no further trial begins", _MOST_REPEATS
        )
        return None

    def running(self) -> list[int]:
        """Return the numbers of the trials that are not finished."""
        return [trial.number for trial in self._all() if trial.state == TrialState.RUNNING]

    def add_result(self, claim: Claim, seed: int, result: RunResult) -> None:
        """Keep the result of one seed."""
        results = {**claim.results, seed: result}
        stored = {str(each): results[each].to_json() for each in results}
        claim.trial.set_user_attr(RESULTS, stored)

    def tell(self, claim: Claim, seconds: float, values: Sequence[float] | None) -> None:
        """Finish a trial: with its values, or, if there are none, as pruned."""
        claim.trial.set_user_attr(SECONDS, seconds)
        state = TrialState.PRUNED if values is None else TrialState.COMPLETE
        self.study.tell(claim.trial, values, state)

    def fail(self, claim: Claim, seconds: float, reason: str) -> None:
        """Finish a trial that has no result, and keep the reason."""
        claim.trial.set_user_attr(SECONDS, seconds)
        claim.trial.set_user_attr(FAILURE, reason)
        self.study.tell(claim.trial, state=TrialState.FAIL)

    def _all(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _adopted(self, frozen: FrozenTrial) -> Claim | None:
        """Return a trial whose worker is gone, or None if it is not."""
        lock = self.locks.trial(frozen.number)
        if lock is None:
            return None
        if self._all()[frozen.number].state != TrialState.RUNNING:  # finished in the meantime
            with lock:
                return None
        trial = Trial(self.study, frozen._trial_id)
        self._draw(trial)  # what its worker had not drawn yet
        return Claim(trial, lock, is_new=False, reported=set(frozen.intermediate_values))

    def _is_spent(self) -> bool:
        trials, planned = self.trials(), self.sweep.planned
        if any(trial.state == TrialState.WAITING for trial in trials):
            return False
        if planned is not None and len(trials) >= planned:
            return True
        spent = sum(trial.user_attrs.get(SECONDS, 0.0) for trial in trials)
        return bool(0 < 3600 * self.sweep.keys.hours <= spent)

    def _new(self) -> Trial:
        trials = self._all()
        waits = any(trial.state == TrialState.WAITING for trial in trials)
        if self.sweep.keys.sampler == "grid" and not waits:
            self.study.enqueue_trial(self.sweep.grid[len(trials)])
        trial = self.study.ask()
        self._draw(trial)
        return trial

    def _draw(self, trial: Trial) -> None:
        """Draw the setting of a trial; the draws depend on its number, not on the worker."""
        self.study.sampler = _sampler(self.sweep, trial.number)
        for name, varied in self.sweep.space.items():
            varied.draw(trial, name)


def join(sweep: Sweep, *, create: bool = True) -> SweepStudy:
    """Join the study of a sweep.

    Parameters
    ----------
    sweep : Sweep
    create : bool
        Whether it is created if there is none yet, with a copy of the sweep's file in its
        directory.

    Raises
    ------
    InputError
        If the storage cannot be used, or the study began from another sweep.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if not (create or sweep.server or sweep.directory.is_dir()):
        raise InputError(f"{sweep.directory}: expected the directory of a sweep, found none yet")
    if not (create or sweep.server or (sweep.directory / JOURNAL).exists()):
        raise InputError(f"{sweep.file}: expected a study {sweep.name}, found none yet")
    storage, locks = open_storage(sweep)
    with ExitStack() as on_error, locks.study():
        on_error.callback(locks.close)
        known = sweep.name in optuna.get_all_study_names(storage)
        if not (known or create):
            raise InputError(f"{sweep.file}: expected a study {sweep.name}, found none yet")
        if not known:
            optuna.create_study(
                storage=storage, study_name=sweep.name, directions=_directions(sweep)
            )
        study = optuna.load_study(
            storage=storage,
            study_name=sweep.name,
            sampler=_sampler(sweep, 0),
            pruner=_pruner(sweep),
        )
        definition = sweep.definition()
        if begun := study.user_attrs.get(DEFINITION):
            _expect_same(sweep, begun, definition)
        else:
            study.set_user_attr(DEFINITION, definition)
        _warn_of_unknown_trials(sweep, len(study.get_trials(deepcopy=False)))
        if create:
            sweep.directory.mkdir(parents=True, exist_ok=True)
            if sweep.file.parent.absolute() != sweep.directory.absolute():
                write_text(sweep.directory / FILE, sweep.to_toml())
        on_error.pop_all()
    return SweepStudy(sweep, study, locks)


def _warn_of_unknown_trials(sweep: Sweep, count: int) -> None:
    """Warn of directories of trials beyond the first ``count``, which the study has."""
    known = {trial_directory(sweep, number).name for number in range(count)}
    others = sorted({path.name for path in sweep.directory.glob("trial-*")} - known)
    if others:
        _log.warning(
            "%s: the study has %d trials, and not those of %s: was it cut off, or begun anew?",
            sweep.directory,
            count,
            ", ".join(others[:3]) + (" and others" if len(others) > 3 else ""),
        )


def results_of(attributes: Mapping[str, Any]) -> dict[int, RunResult]:
    """Return the results of the finished seeds of a trial from what it stores."""
    stored = attributes.get(RESULTS, {})
    return {int(seed): RunResult(**result) for seed, result in stored.items()}


def _expect_same(sweep: Sweep, begun: dict[str, str], found: dict[str, str]) -> None:
    problems = [
        f"{sweep.file}: {name}: expected {begun.get(name, 'none')} as in the study "
        f"{sweep.name}, found {found.get(name, 'none')}"
        for name in [*begun, *(name for name in found if name not in begun)]
        if begun.get(name) != found.get(name)
    ]
    if problems:
        remedy = "to begin another study, change sweep.name (and sweep.directory)"
        raise InputError(*problems, f"{sweep.file}: {remedy}")


def _directions(sweep: Sweep) -> list[StudyDirection]:
    spikes = [StudyDirection.MINIMIZE] if sweep.keys.spikes else []
    return [StudyDirection.MAXIMIZE, *spikes]


def _sampler(sweep: Sweep, number: int) -> optuna.samplers.BaseSampler:
    seed = int(np.random.SeedSequence((sweep.keys.seed, number)).generate_state(1)[0])
    if sweep.keys.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)  # a grid's settings are not drawn


def _pruner(sweep: Sweep) -> optuna.pruners.BasePruner:
    keys = sweep.pruning
    if keys.method == "asha":
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=keys.min_epochs, reduction_factor=keys.reduction
        )
    if keys.method == "hyperband":
        return optuna.pruners.HyperbandPruner(
            min_resource=keys.min_epochs,
            max_resource=max(keys.min_epochs, sweep.base.srnn.epochs * sweep.keys.seeds),
            reduction_factor=keys.reduction,
        )
    return optuna.pruners.NopPruner()
