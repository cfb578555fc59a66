# SPDX-License-Identifier: MPL-2.0
"""Selection of the best epoch by its figures on the validation partition."""

from collections.abc import Sequence
from typing import Literal

from srnn.settings import Keys, key
from srnn.training.progress import EpochMetrics

Selection = Literal["accuracy", "balanced_accuracy", "loss"]


class SelectionKeys(Keys):
    """How the best epoch is chosen."""

    selection: Selection = key(
        "accuracy",
        "validation figure that chooses the best epoch: the highest `accuracy`, the highest "
        "`balanced_accuracy` (every class counts equally), or the lowest `loss`",
    )


def score(metrics: EpochMetrics, selection: Selection) -> float:
    """Return the figure of an epoch that selects it: the highest is the best."""
    if selection == "loss":
        return -metrics.valid_loss
    if selection == "accuracy":
        return metrics.valid_accuracy
    assert metrics.valid_balanced_accuracy is not None  # older versions had no such key
    return metrics.valid_balanced_accuracy


def best_epoch(history: Sequence[EpochMetrics], selection: Selection) -> int:
    """Return the place of the best epoch in a history that is not empty, the first of equals."""
    scores = [score(metrics, selection) for metrics in history]
    return scores.index(max(scores))


def is_complete(
    history: Sequence[EpochMetrics], epochs: int, patience: int, selection: Selection
) -> bool:
    """Whether ``epochs`` are over, or ``patience`` (if not 0) of them without a new best."""
    done = len(history)
    if not done:
        return False
    return done >= epochs or 0 < patience <= done - 1 - best_epoch(history, selection)
