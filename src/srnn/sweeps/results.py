# SPDX-License-Identifier: MPL-2.0
"""The figures of a run by which settings are compared."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from srnn.config import Config
from srnn.runs.checkpoint import load_checkpoint
from srnn.runs.directory import RunDirectory
from srnn.runs.results import metrics_of, testing_of
from srnn.runs.seeds import spikes_per_inference
from srnn.sweeps.keys import Objective
from srnn.training.progress import EpochMetrics
from srnn.training.selection import best_epoch


@dataclass(frozen=True)
class RunResult:
    """The result of one run of a setting.

    Attributes
    ----------
    accuracy, balanced_accuracy : float, 0 to 1
        On the validation partition, of the best epoch.
    spikes : float
        Spikes of all hidden layers for one validation clip, in that epoch.
    testing_accuracy : float or None
        On the testing partition; None where it has no clips.
    epoch : int
        The best epoch.
    seconds : float
        Training time, validation included.
    """

    accuracy: float
    balanced_accuracy: float
    spikes: float
    testing_accuracy: float | None
    epoch: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return what a study stores."""
        return asdict(self)


def result_of(run: RunDirectory) -> RunResult:
    """Return the result of a finished run.

    Raises
    ------
    InputError
        If a file of it cannot be read.
    """
    best = load_checkpoint(run.best)
    lines = metrics_of(run)
    chosen = lines[best.epoch - 1]
    return RunResult(
        chosen["valid_accuracy"],
        chosen["valid_balanced_accuracy"],
        spikes_per_inference(best.parsed_config(), chosen["firing_rate"]),
        testing_of(run)["accuracy"],
        best.epoch,
        sum(line["seconds"] for line in lines),
    )


def figure_so_far(history: Sequence[EpochMetrics], config: Config, objective: Objective) -> float:
    """Return the objective of the best of the epochs so far."""
    chosen = history[best_epoch(history, config.data.selection)]
    if objective == "accuracy":
        return chosen.valid_accuracy
    assert chosen.valid_balanced_accuracy is not None
    return chosen.valid_balanced_accuracy
