# SPDX-License-Identifier: MPL-2.0
"""Log lines of training: a line an epoch, with the time left."""

import logging
from collections.abc import Sequence

from srnn.training.evaluation import Evaluation
from srnn.training.progress import EpochMetrics

_LINES_A_HEADER = 20

# Time and level of the log in front, these fit into 80 columns.
_HEADER = (
    f"{'':7} {'training':>11}  {'validation':>11} {'bal.':>5}  {'*: best':<11} "
    f"{'clips':>5} {'time':>5}",
    f"{'epoch':>7} {'loss':>5} {'acc.':>5}  {'loss':>5} {'acc.':>5} {'acc.':>5}  {'firing':>11} "
    f"{'per s':>5} {'left':>5}",
)

_log = logging.getLogger(__name__)


class EpochTable:
    """Logs a line an epoch, with a header before the first and before every twentieth after it.

    Parameters
    ----------
    epochs : int >= 1
        Of the whole run.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._lines = 0

    def log_start(self, validation: Evaluation) -> None:
        """Log the validation of the initial weights."""
        assert validation.loss is not None
        found = _measures(validation.loss, validation.accuracy, validation.balanced_accuracy)
        self._log(0, ("", ""), found, "", validation.firing_rate or ())

    def log(self, line: EpochMetrics, *, is_best: bool, left: float | None) -> None:
        """Log a finished epoch.

        Parameters
        ----------
        line : EpochMetrics
        is_best : bool
            Whether it is better than all epochs before it.
        left : float, or None
            Estimated time left for the run (s); None: unknown.
        """
        self._log(
            line.epoch,
            (loss_text(line.train_loss), percent(line.train_accuracy)),
            _measures(line.valid_loss, line.valid_accuracy, line.valid_balanced_accuracy),
            "*" if is_best else "",
            line.firing_rate,
            f"{line.samples_per_second:.0f}",
            duration(left),
        )

    def _log(
        self,
        epoch: int,
        training: tuple[str, str],
        validation: tuple[str, str, str],
        mark: str,
        firing_rate: Sequence[float],
        clips: str = "",
        left: str = "",
    ) -> None:
        if self._lines % _LINES_A_HEADER == 0:
            for text in _HEADER:
                _log.info("%s", text)
        self._lines += 1
        loss, accuracy = training
        valid_loss, valid_accuracy, balanced = validation
        line = (
            f"{epoch_of(epoch, self._epochs):>7} {loss:>5} {accuracy:>5}  {valid_loss:>5} "
            f"{valid_accuracy:>5} {balanced:>5}{mark:1} {_firing(firing_rate):>11} "
            f"{clips:>5} {left:>5}"
        )
        _log.info("%s", line.rstrip())


class Pace:
    """Estimates the time left for a run from the steps of this process.

    Parameters
    ----------
    epochs : int >= 1
        Of the whole run.
    steps : int >= 1
        Of an epoch.

    Attributes
    ----------
    validation : float
        Time that the last validation took (s).
    """

    def __init__(self, epochs: int, steps: int) -> None:
        self._epochs = epochs
        self._steps = steps
        self._taken = 0
        self._seconds = 0.0
        self.validation = 0.0

    def add_step(self, seconds: float) -> None:
        """Add a step of training and its duration (s)."""
        self._taken += 1
        self._seconds += seconds

    def left(self, epoch: int, step: int) -> float | None:
        """Return the time left (s) after ``step`` steps of an epoch; None before the first."""
        if not self._taken:
            return None
        epochs = self._epochs - epoch + 1
        steps = epochs * self._steps - step
        return steps * self._seconds / self._taken + epochs * self.validation


def epoch_of(epoch: int, epochs: int) -> str:
    """Return the number of the epoch, in at most seven characters."""
    width = len(str(epochs))
    return f"{epoch:{width}}/{epochs}" if width <= 3 else str(epoch)


def duration(seconds: float | None) -> str:
    """Return a duration in at most five characters: ``45s``, ``12min``, ``1h40``, ``30h``, ``9d``.

    None, for unknown, is empty.
    """
    if seconds is None:
        return ""
    minutes = round(seconds / 60)
    hours = round(seconds / 3600)
    if seconds < 99.5:
        return f"{seconds:.0f}s"
    if minutes < 100:
        return f"{minutes}min"
    if minutes < 600:
        return f"{minutes // 60}h{minutes % 60:02}"
    return f"{hours}h" if hours < 100 else f"{round(seconds / 86_400)}d"


def _measures(loss: float, accuracy: float | None, balanced: float | None) -> tuple[str, str, str]:
    return loss_text(loss), percent(accuracy), percent(balanced)


def loss_text(value: float) -> str:
    """Return a loss in at most five characters."""
    return f"{value:.3f}"[:5]


def percent(fraction: float | None) -> str:
    """Return a fraction in percent, in at most five characters; None, for unknown, is empty."""
    return "" if fraction is None else f"{fraction:.1%}".replace("100.0%", "100%")


def _firing(rates: Sequence[float]) -> str:
    """Return the rate of each layer; of more than two the lowest and the highest."""
    if len(rates) > 2:
        return f"{min(rates):.3f}-{max(rates):.3f}"
    return " ".join(f"{rate:.3f}" for rate in rates)
