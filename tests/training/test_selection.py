# SPDX-License-Identifier: MPL-2.0
"""Which epoch is the best, and when training is over."""

from srnn.training.progress import EpochMetrics
from srnn.training.selection import Selection, best_epoch, is_complete


def metrics(accuracy: float, balanced: float, loss: float) -> EpochMetrics:
    return EpochMetrics(
        epoch=1,
        lr=0.1,
        train_loss=1.0,
        train_accuracy=0.5,
        valid_loss=loss,
        valid_accuracy=accuracy,
        valid_balanced_accuracy=balanced,
        firing_rate=[0.1],
        seconds=1.0,
        samples_per_second=1.0,
    )


HISTORY = [metrics(0.9, 0.7, 0.5), metrics(0.8, 0.8, 0.4), metrics(0.9, 0.8, 0.3)]


def test_each_figure_chooses_its_own_epoch_and_the_first_of_equals() -> None:
    chosen: dict[Selection, int] = {"accuracy": 0, "balanced_accuracy": 1, "loss": 2}
    for selection, epoch in chosen.items():
        assert best_epoch(HISTORY, selection) == epoch


def test_training_ends_with_the_last_epoch_or_without_a_new_best_one() -> None:
    assert not is_complete([], 0, 1, "accuracy")
    assert is_complete(HISTORY, 3, 0, "accuracy")
    assert not is_complete(HISTORY, 4, 0, "accuracy")
    assert is_complete(HISTORY, 9, 2, "accuracy")
    assert not is_complete(HISTORY, 9, 2, "balanced_accuracy")
    assert is_complete(HISTORY, 9, 1, "balanced_accuracy")
    assert not is_complete(HISTORY, 9, 1, "loss")
