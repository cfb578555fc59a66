# SPDX-License-Identifier: MPL-2.0
"""The training loop: epochs of steps, validation, and the state to go on from at any step."""

import logging
import math
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from tqdm import tqdm

from srnn.config import Config
from srnn.data.corpus import Corpus
from srnn.data.sampling import epoch_order
from srnn.errors import DivergenceError, InputError
from srnn.training.checkpoint import Checkpoint
from srnn.training.compatibility import clips_digest
from srnn.training.evaluate import Evaluation, evaluate
from srnn.training.examples import Examples
from srnn.training.interrupt import StopRequest
from srnn.training.optimizer import (
    make_optimizer,
    restore_optimizer,
    schedule_factor,
    set_learning_rates,
)
from srnn.training.run import RunDirectory, write_json_lines
from srnn.training.spotter import Spotter
from srnn.training.step import GraphedStep, Step

_log = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far training has come; with weights and optimizer all that resuming needs.

    Attributes
    ----------
    epoch : int
        The epoch under way, from 1.
    step : int
        Steps of it that are done.
    loss, hits : float
        Sum over the clips of these steps.
    seconds : float
        Time that these steps took (s).
    best_accuracy : float
        Highest validation accuracy of a finished epoch; -1 before the first.
    history : list
        A line of ``metrics.jsonl`` for each finished epoch.
    """

    epoch: int = 1
    step: int = 0
    loss: float = 0.0
    hits: float = 0.0
    seconds: float = 0.0
    best_accuracy: float = -1.0
    history: list[dict[str, Any]] = field(default_factory=list)


class Trainer:
    """Trains a spotter, epoch by epoch, and keeps its run directory up to date.

    Parameters
    ----------
    config : Config
    spotter : Spotter
        On ``device``.
    corpus : Corpus
        What ``training`` and ``validation`` were made of.
    training, validation : Examples
    run : RunDirectory
    device : torch.device
    """

    def __init__(
        self,
        config: Config,
        spotter: Spotter,
        corpus: Corpus,
        training: Examples,
        validation: Examples,
        run: RunDirectory,
        device: torch.device,
    ) -> None:
        self.config = config
        self.spotter = spotter
        self.labels = corpus.labels
        self.clips = clips_digest(corpus)
        self.training = training
        self.validation = validation
        self.run = run
        self.device = device
        self.optimizer = make_optimizer(spotter.network, config.srnn)
        self.progress = Progress()
        self.steps_per_epoch = -(-len(training.labels) // config.srnn.batch_size)
        self._step = Step(spotter, self.optimizer, config.srnn.tau_range)
        graphed = device.type == "cuda" and config.srnn.backend == "auto"
        self._train_on = GraphedStep(self._step, config.srnn.batch_size) if graphed else self._step

    def fit(self, stop: StopRequest) -> None:
        """Train from where ``progress`` stands to the last epoch.

        Raises
        ------
        Interrupted
            After the step in which ``stop`` was requested, with the state saved.
        """
        while self.progress.epoch <= self.config.srnn.epochs:
            self._train_epoch(stop)
            self._finish_epoch()
            stop.check()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a ``last.pt``.

        Raises
        ------
        InputError
            If it is the checkpoint of finished weights only.
        """
        if checkpoint.training is None:
            raise InputError(
                f"{self.run.last}: expected a state to resume from, found weights only"
            )
        self.spotter.load_state_dict(checkpoint.weights)
        restore_optimizer(self.optimizer, checkpoint.training["optimizer"])
        self.progress = Progress(**checkpoint.training["progress"])
        write_json_lines(self.run.metrics, self.progress.history)

    def validate(self) -> Evaluation:
        """Evaluate the current weights on the validation partition."""
        self.spotter.eval()
        return evaluate(
            self.spotter,
            self.validation,
            self.labels,
            "validation",
            self.config.srnn.batch_size,
            self.device,
        )

    def _train_epoch(self, stop: StopRequest) -> None:
        settings, progress = self.config.srnn, self.progress
        self.spotter.train()
        labels = self.training.labels.numpy()
        order = epoch_order(labels, self.config.data.sampling, settings.seed, progress.epoch)
        left = torch.from_numpy(order)[progress.step * settings.batch_size :]
        totals = self._step.totals
        totals.copy_(torch.tensor([progress.loss, progress.hits], dtype=torch.float64))
        started = saved = time.monotonic()
        before = progress.seconds
        bar = tqdm(
            self.training.batches(left, settings.batch_size, self.device),
            f"epoch {progress.epoch}/{settings.epochs}",
            total=self.steps_per_epoch,
            initial=progress.step,
            unit="step",
            leave=False,
            disable=None,
        )
        with bar:
            for batch in bar:
                epochs_done = progress.epoch - 1 + progress.step / self.steps_per_epoch
                set_learning_rates(self.optimizer, schedule_factor(settings, epochs_done))
                self._train_on(batch)
                progress.step += 1
                now = time.monotonic()
                requested = stop.requested
                if requested or 0 < settings.checkpoint_minutes * 60 <= now - saved:
                    progress.seconds = before + now - started
                    progress.loss, progress.hits = totals.tolist()
                    self._expect_finite()
                    self._save_last()
                    saved = now
                if requested:
                    stop.check()
        progress.loss, progress.hits = totals.tolist()
        progress.seconds = before + time.monotonic() - started

    def _finish_epoch(self) -> None:
        """Validate, record the epoch, keep it if it is the best, and save the state."""
        progress, clips = self.progress, len(self.training.labels)
        self._expect_finite()
        started = time.monotonic()
        validation = self.validate()
        assert validation.accuracy is not None
        progress.history.append(
            {
                "epoch": progress.epoch,
                "lr": float(self.optimizer.param_groups[0]["lr"]),
                "train_loss": progress.loss / clips,
                "train_accuracy": progress.hits / clips,
                "valid_loss": validation.loss,
                "valid_accuracy": validation.accuracy,
                "firing_rate": list(validation.firing_rate or ()),
                "seconds": progress.seconds + time.monotonic() - started,
                "samples_per_second": clips / progress.seconds,
            }
        )
        is_best = validation.accuracy > progress.best_accuracy
        if is_best:
            progress.best_accuracy = validation.accuracy
            self._checkpoint().save(self.run.best)
        self._log_epoch(is_best)
        self.progress = Progress(
            epoch=progress.epoch + 1,
            best_accuracy=progress.best_accuracy,
            history=progress.history,
        )
        write_json_lines(self.run.metrics, progress.history)
        self._save_last()

    def _expect_finite(self) -> None:
        """Check loss and weights before they are kept.

        Raises
        ------
        DivergenceError
            Naming what is not finite; the checkpoints still hold what was.
        """
        named = dict(self.spotter.named_parameters())
        wrong = [name for name, value in named.items() if not value.isfinite().all()]
        if not math.isfinite(self.progress.loss):
            wrong.insert(0, "the loss")
        if wrong:
            raise DivergenceError(
                f"epoch {self.progress.epoch}: expected finite numbers, found NaN or infinity in "
                f"{', '.join(wrong)}; lower srnn.learning_rate "
                f"(now {self.config.srnn.learning_rate:g})"
            )

    def _save_last(self) -> None:
        self._checkpoint(
            {"optimizer": self.optimizer.state_dict(), "progress": asdict(self.progress)}
        ).save(self.run.last)

    def _checkpoint(self, training: dict[str, Any] | None = None) -> Checkpoint:
        return Checkpoint(
            self.config.model_dump(mode="json"),
            list(self.labels),
            self.clips,
            self.progress.epoch if training is None else self.progress.epoch - 1,
            self.spotter.state_dict(),
            training,
        )

    def _log_epoch(self, is_best: bool) -> None:
        epochs, line = self.config.srnn.epochs, self.progress.history[-1]
        durations = [each["seconds"] for each in self.progress.history]
        left = (epochs - line["epoch"]) * sum(durations) / len(durations)
        firing = " ".join(f"{rate:.3f}" for rate in line["firing_rate"])
        _log.info(
            "epoch %*d/%d: loss %.4f, validation %.4f; accuracy %.2f %%, validation %.2f %%%s; "
            "firing %s; lr %.1e; %.0f clips/s; time left %s",
            len(str(epochs)),
            line["epoch"],
            epochs,
            line["train_loss"],
            line["valid_loss"],
            100 * line["train_accuracy"],
            100 * line["valid_accuracy"],
            " (best)" if is_best else "",
            firing,
            line["lr"],
            line["samples_per_second"],
            _duration(left),
        )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
