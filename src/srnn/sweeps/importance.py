# SPDX-License-Identifier: MPL-2.0
"""How much the keys of a sweep matter: PED-ANOVA, which unlike fANOVA needs no other package.

S. Watanabe, A. Bansal, F. Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
Arbitrary Subspaces", IJCAI 2023, https://arxiv.org/abs/2304.10255.
"""

import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from srnn.sweeps.study import SweepStudy
from srnn.sweeps.table import TrialRow

NEEDED = 20
"""The fewest finished trials from which importances are computed."""

SHUFFLES = 100
# The fraction of the trials that counts as good. Optuna's 0.1 is for many more trials. In simulated
# studies, 20 of 20 and 20 of 40 random trials, a numeric and a categorical key that matter exceeded
# chance in 28 and 7 of 40 cases with 0.1, in 39 and 17 with 0.25, in 40 and 34 with 0.5. Keys that
# do not matter exceeded it in 14 of 160 cases with 0.5; in 27 of 160 with TPE, whose draws depend
# on earlier results, so that shuffled ones are not quite what chance is.
_GOOD = 0.5
_LEVEL = 0.95  # quantile of the importances by chance
_SEED = 0


class Importance(NamedTuple):
    """How much keys matter for a result.

    Attributes
    ----------
    importances : dict of str to float, 0 to 1
        By ``table.key``, the greatest first; their sum is 1.
    chance : dict of str to float >= 0
        The 95 % quantile of the importances in `SHUFFLES` shuffles of the results among the trials.
        An importance that does not exceed it is not distinguishable from chance. It may exceed 1.
    """

    importances: dict[str, float]
    chance: dict[str, float]


def importance(study: SweepStudy, rows: Sequence[TrialRow], figure: str) -> Importance | str:
    """Return how much the keys matter for a figure of `RunResult`, or why that is unknown.

    Importance is how far the distribution of a key among the better half of the finished trials
    (the fewest spikes, or the highest of another figure) departs from that among all of them.

    Parameters
    ----------
    study : SweepStudy
    rows : sequence of TrialRow
        Its trials, as they were read. The study may have more by now.
    figure : str
    """
    values = {
        row.number: mean
        for row in rows
        if row.state == "finished" and (mean := row.mean(figure)) is not None
    }
    if len(values) < NEEDED:
        return f"{NEEDED} finished trials or more are needed, and there are {len(values)}"
    settings = [row.setting for row in rows if row.number in values]
    keys = [
        name
        for name in study.sweep.space
        if any(s.get(name) != settings[0].get(name) for s in settings)
    ]
    if len(keys) < 2:
        return "two keys or more that differ between finished trials are needed"
    if len(set(values.values())) == 1:
        return "it is the same in all finished trials"
    fixed = _copy_of(study, values)
    # The evaluator takes low results for good ones.
    results = (1.0 if figure == "spikes" else -1.0) * np.array([*values.values()])
    found = _divergences(fixed, keys, results.tolist())
    total = sum(found.values())
    if not total:
        return "the better half of the trials has the same keys as all of them"
    rng = np.random.default_rng(_SEED)
    shuffled = [
        _divergences(fixed, keys, rng.permutation(results).tolist()) for _ in range(SHUFFLES)
    ]
    by_chance = {key: float(np.quantile([s[key] for s in shuffled], _LEVEL)) for key in keys}
    return Importance(
        {key: divergence / total for key, divergence in found.items()},
        {key: divergence / total for key, divergence in by_chance.items()},
    )


def _copy_of(study: SweepStudy, numbers: Iterable[int]) -> optuna.Study:
    """Return a study in memory with some of the trials, in the order of ``numbers``.

    Optuna queries the study in each evaluation. Trials that finish meanwhile would have no result,
    and a server would be asked hundreds of times.
    """
    trials = {trial.number: trial for trial in study.trials()}
    copy = optuna.create_study()
    for number in numbers:
        params, distributions = trials[number].params, trials[number].distributions
        copy.add_trial(create_trial(params=params, distributions=distributions, value=0.0))
    return copy


def _divergences(
    study: optuna.Study, keys: Sequence[str], results: Sequence[float]
) -> dict[str, float]:
    """Return the Pearson divergence between the good trials and all of them, for each key.

    ``results`` are in the order of the trials of the study; low ones are good.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it reminds of that, and that `normalize` is experimental
        return get_param_importances(
            study,
            evaluator=PedAnovaImportanceEvaluator(target_quantile=_GOOD),
            params=list(keys),
            normalize=False,  # a sum of 1 would make one of the keys important by chance, too
            target=lambda trial: results[trial.number],
        )
