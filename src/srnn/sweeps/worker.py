# SPDX-License-Identifier: MPL-2.0
"""A worker of a sweep: it trains trials until none is left."""

import logging
import statistics
import time
from collections.abc import Callable, Sequence

import optuna

from srnn.config import Config
from srnn.errors import DivergenceError, InputError
from srnn.runs.directory import RunDirectory
from srnn.runs.start import prepared_run
from srnn.runs.train import train
from srnn.sweeps.results import RunResult, figure_so_far, result_of
from srnn.sweeps.storage import run_directory, trial_directory
from srnn.sweeps.study import Claim, SweepStudy
from srnn.training.interrupt import stop_on_signals
from srnn.training.progress import EpochMetrics

_POLL = 2.0  # seconds between two looks at the trials of other workers

LogTo = Callable[[RunDirectory | None, Config | None], None]
"""Is called with a run before it begins, for its log to go to its directory, and None after it."""

_log = logging.getLogger(__name__)


class _LostError(Exception):
    """The worker was cut off from the storage: another one may have the trial."""


def work(study: SweepStudy, log_to: LogTo = lambda _run, _config: None) -> None:
    """Train trials until all are finished, those of other workers included.

    A worker with nothing to begin waits for the trials of the others: should one of them be killed,
    it goes on with its trial.

    Parameters
    ----------
    study : SweepStudy
    log_to : callable, optional

    Raises
    ------
    Interrupted
        After Ctrl-C, SIGTERM or their like, with the state saved: the trial waits for a worker.
    InputError
        If training finds that the data set or the disk is not as it should be. The trial waits for
        a worker, too.
    """
    waits = False
    while True:
        with stop_on_signals():  # what is written to the storage is written whole
            claim = study.claim()
        if claim:
            waits = False
            with claim.lock:
                _train(study, claim, log_to)
        elif running := study.running():
            if not waits:
                _log.info(
                    "trials of other workers: %s; waiting for them", ", ".join(map(str, running))
                )
            waits = True
            time.sleep(_POLL)
        else:
            return


def _train(study: SweepStudy, claim: Claim, log_to: LogTo) -> None:
    """Train all seeds of a trial, and tell the study."""
    setting = ", ".join(
        f"{name} = {value}" for name, value in study.sweep.values(claim.params).items()
    )
    begun = "begins" if claim.is_new else "goes on, as its worker is gone"
    _log.info("trial %d %s: %s", claim.number, begun, setting)
    trial = _TrialRuns(study, claim, log_to)
    try:
        results = [trial.result(seed) for seed in study.sweep.seeds]
    except optuna.TrialPruned:
        with stop_on_signals():
            study.tell(claim, trial.seconds, None)
        _log.info("trial %d is pruned: %s", claim.number, trial.so_far)
    except (DivergenceError, _InvalidError) as error:
        with stop_on_signals():
            study.fail(claim, trial.seconds, str(error))
        _log.warning("trial %d failed: %s", claim.number, error)
    except _LostError:
        _log.warning(
            "trial %d: the connection to the storage was lost; whoever is free goes on with it",
            claim.number,
        )
    else:
        objective = study.sweep.keys.objective
        values = [statistics.fmean(getattr(each, objective) for each in results)]
        spikes = statistics.fmean(each.spikes for each in results)
        with stop_on_signals():
            study.tell(
                claim, trial.seconds, [*values, *([spikes] if study.sweep.keys.spikes else [])]
            )
        _log.info(
            "trial %d is finished: %s %.2f%%, %s spikes an inference",
            claim.number,
            objective.replace("_", " "),
            100 * values[0],
            f"{spikes:,.0f}",
        )


class _InvalidError(Exception):
    """The values of a setting do not go together."""


class _TrialRuns:
    """The runs of a trial, one seed after the other.

    Attributes
    ----------
    seconds : float
        Training time so far.
    so_far : str
        How far the current run has come.
    """

    def __init__(self, study: SweepStudy, claim: Claim, log_to: LogTo) -> None:
        self.study = study
        self.claim = claim
        self.log_to = log_to
        self._done: list[RunResult] = []
        self._running = 0.0
        self.so_far = "before its first epoch"

    @property
    def seconds(self) -> float:
        return sum(result.seconds for result in self._done) + self._running

    def result(self, seed: int) -> RunResult:
        """Return the result of a seed, trained now unless it was before.

        Raises
        ------
        _InvalidError
            If the setting is none.
        optuna.TrialPruned
            If the trial is not to go on.
        """
        result = self.claim.results.get(seed) or self._trained(seed)
        self._done.append(result)
        self._running = 0.0
        return result

    def _trained(self, seed: int) -> RunResult:
        sweep = self.study.sweep
        try:
            config = sweep.config(self.claim.params, seed)
        except InputError as error:
            raise _InvalidError(str(error)) from error
        path = run_directory(trial_directory(sweep, self.claim.number), seed)
        run = RunDirectory(path, sweep.overrides(self.claim.params, seed))
        with prepared_run(config, run, resume=path.exists(), init=None) as start:
            if not start.is_finished:
                self.log_to(run, config)
                try:
                    train(config, run, start, watch=lambda history: self._watch(history, config))
                finally:
                    self.log_to(None, None)
        result = result_of(run)
        with stop_on_signals():
            self.study.add_result(self.claim, seed, result)
        return result

    def _watch(self, history: Sequence[EpochMetrics], config: Config) -> None:
        """Report an epoch to the study; end the trial if it is to be pruned."""
        self._running = sum(metrics.seconds for metrics in history)
        if not self.study.locks.still_held(self.claim.number):
            raise _LostError
        sweep = self.study.sweep
        if sweep.pruning.method == "none":
            return
        objective = sweep.keys.objective
        figures = [getattr(result, objective) for result in self._done]
        figures.append(figure_so_far(history, config, objective))
        step = len(self._done) * config.srnn.epochs + len(history)
        trial = self.claim.trial
        with stop_on_signals():
            if step not in self.claim.reported:  # as one may be after its worker was killed
                trial.report(statistics.fmean(figures), step)
                self.claim.reported.add(step)
            self.so_far = f"{statistics.fmean(figures):.2%} after {step} epochs"
            prune = trial.should_prune()
        if prune:
            raise optuna.TrialPruned
