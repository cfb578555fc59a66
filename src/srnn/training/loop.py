# SPDX-License-Identifier: MPL-2.0
"""The training loop: epochs of steps, validation, and the state to go on from at any step."""

import copy
import json
import logging
import math
import time
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils import get_total_norm
from tqdm import tqdm

from srnn.config import Config
from srnn.data.corpus import Corpus
from srnn.data.sampling import Pool, epoch_order
from srnn.errors import DivergenceError, InputError
from srnn.files import write_text
from srnn.randomness import Purpose, generator
from srnn.runs.checkpoint import Checkpoint, EpochMetrics, Progress, State
from srnn.runs.compatibility import clips_digest
from srnn.runs.directory import RunDirectory
from srnn.training.cuda_graph import GraphedStep
from srnn.training.display import EpochTable, Pace, duration, epoch_of
from srnn.training.divergence import divergence
from srnn.training.evaluation import Evaluation, evaluate
from srnn.training.examples import Examples
from srnn.training.interrupt import StopRequest
from srnn.training.optimizer import (
    make_optimizer,
    restore_optimizer,
    schedule_factor,
    set_learning_rates,
)
from srnn.training.spotter import Spotter, load_weights
from srnn.training.step import Step

_STEPS_UNSEEN = 50  # most steps between two looks at how they went: a GPU is waited for then
_REFRESH = 0.2  # time between two states of the progress bar (s)

# Firing rates (spikes per neuron and time step) that are warned of.
_SILENT, _SATURATED = 0.001, 0.6

_log = logging.getLogger(__name__)


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
        self.corpus = corpus
        self.labels = corpus.labels
        self.clips = clips_digest(corpus)
        self._pool = Pool.of(corpus)
        self.training = training
        self.validation = validation
        self.run = run
        self.device = device
        self.optimizer = make_optimizer(spotter.network, config.srnn)
        self.progress = Progress()
        self.steps_per_epoch = -(-len(training.labels) // config.srnn.batch_size)
        average = copy.deepcopy(spotter) if config.srnn.averaging else None
        self.judged = average or spotter  # what is validated and kept
        self._step = Step(spotter, self.optimizer, config.srnn, len(corpus.labels), average)
        graphed = device.type == "cuda" and config.cuda.graphs
        self._train_on = GraphedStep(self._step, config.srnn.batch_size) if graphed else self._step
        self._table = EpochTable(config.srnn.epochs)
        self._pace = Pace(config.srnn.epochs, self.steps_per_epoch)
        self._mean_loss: float | None = None  # of the epoch under way, when it was last looked at

    def fit(self, stop: StopRequest) -> None:
        """Train from where ``progress`` stands to the last epoch.

        Raises
        ------
        Interrupted
            After the step in which ``stop`` was requested, with the state saved.
        DivergenceError
            If a step leads to numbers that are not finite; the checkpoints hold what was before.
        InputError
            If the disk does not take a checkpoint.
        """
        settings = self.config.srnn
        while not self.progress.is_complete(settings.epochs, settings.patience):
            order = self._train_epoch(stop)
            self._finish_epoch(order)
            stop.check()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from what `srnn.runs.train.state_to_resume` returned.

        Raises
        ------
        InputError
            If it is the state of another network or run.
        """
        source, state = str(self.run.last), checkpoint.training
        assert state
        load_weights(self.spotter, checkpoint.weights, self.config, source)
        if self.judged is not self.spotter:
            load_weights(self.judged, state.average or {}, self.config, source)
        if state.progress.step > self.steps_per_epoch:
            raise InputError(
                f"{source}: expected at most {self.steps_per_epoch} steps an epoch, found "
                f"{state.progress.step}"
            )
        try:
            restore_optimizer(self.optimizer, state.moments)
        except ValueError as error:
            raise InputError(f"{source}: {error}") from error
        self.progress = state.progress
        self._set_learning_rates(max(0, state.progress.step - 1))  # as the last step had them
        self._write_metrics()

    def validate(self) -> Evaluation:
        """Evaluate the current weights, or their average, on the validation partition."""
        started = time.monotonic()
        self.judged.eval()
        result = evaluate(
            self.judged,
            self.validation,
            self.labels,
            "validation",
            self.config.srnn.batch_size,
            self.device,
        )
        self._pace.validation = time.monotonic() - started
        return result

    def log_start(self) -> None:
        """Log how the weights do before training."""
        self._table.log_start(self.validate())

    def save(self) -> None:
        """Write ``last.pt``."""
        average = None if self.judged is self.spotter else self.judged.state_dict()
        state = State(self.optimizer.state_dict()["state"], self.progress, average)
        epochs_done = self.progress.epoch - 1
        self._checkpoint(epochs_done, self.spotter, state).save(self.run.last)

    def _train_epoch(self, stop: StopRequest) -> NDArray[np.int64]:
        """Train on what is left of the epoch; return the order of all its clips."""
        settings, progress = self.config.srnn, self.progress
        self.spotter.train()
        data = self.config.data
        order = epoch_order(
            self._pool, data.sampling, settings.seed, progress.epoch, data.synthetic_share
        )
        self._step.totals.copy_(torch.tensor([progress.loss, progress.hits], dtype=torch.float64))
        self._step.taken.fill_(progress.step)
        self._step.earlier.fill_((progress.epoch - 1) * self.steps_per_epoch)
        self._mean_loss = None
        started = saved = shown = now = time.monotonic()
        before = progress.seconds
        bar = tqdm(
            self.training.batches(
                torch.from_numpy(order),
                settings.batch_size,
                self.device,
                epoch=progress.epoch,
                first=progress.step * settings.batch_size,
            ),
            f"epoch {epoch_of(progress.epoch, settings.epochs)}",
            total=self.steps_per_epoch,
            initial=progress.step,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}",
            dynamic_ncols=True,
            leave=False,
            disable=None,
        )
        with bar:
            for batch in bar:
                self._set_learning_rates(progress.step)
                self._seed_dropout(progress.step)
                self._train_on(batch)
                progress.step += 1
                last, now = now, time.monotonic()
                self._pace.add_step(now - last)
                progress.seconds = before + now - started
                due = 0 < settings.checkpoint_minutes * 60 <= now - saved
                requested = stop.requested
                if requested or due or progress.step % _STEPS_UNSEEN == 0:
                    self._take_stock(order)
                if requested or due:
                    self.save()
                    saved = now
                if requested:
                    stop.check()
                if now - shown >= _REFRESH:
                    bar.set_postfix_str(self._state_of_epoch(), refresh=False)
                    shown = now
        self._take_stock(order)
        progress.seconds = before + time.monotonic() - started
        return order

    def _set_learning_rates(self, step: int) -> None:
        """Set them for a step (from 0) of the epoch under way."""
        epochs_done = self.progress.epoch - 1 + step / self.steps_per_epoch
        factor = schedule_factor(self.config.srnn, epochs_done, 1 / self.steps_per_epoch)
        set_learning_rates(self.optimizer, factor)

    def _seed_dropout(self, step: int) -> None:
        """Make what a step (from 0) of the epoch draws a function of it, the epoch and the seed."""
        if self.config.srnn.dropout:
            rng = generator(Purpose.DROPOUT, self.config.srnn.seed, self.progress.epoch, step)
            torch.manual_seed(int(rng.integers(2**63)))

    def _state_of_epoch(self) -> str:
        """Return mean loss, speed, and the time left for the run; a GPU is not waited for."""
        if self.device.type == "cpu":
            self._read_totals()
        progress = self.progress
        parts = [f"loss {self._mean_loss:.3f}"] if self._mean_loss is not None else []
        parts.append(f"{self._clips_seen() / progress.seconds:.0f} clips/s")
        left = self._pace.left(progress.epoch, progress.step)
        return ", ".join([*parts, f"{duration(left)} left"])

    def _clips_seen(self) -> int:
        """Return the number of clips of the epoch that were trained on."""
        return min(self.progress.step * self.config.srnn.batch_size, len(self.training.labels))

    def _read_totals(self) -> None:
        """Read loss and hits of the epoch so far from the device."""
        self.progress.loss, self.progress.hits = self._step.totals.tolist()
        self._mean_loss = self.progress.loss / self._clips_seen()

    def _take_stock(self, order: NDArray[np.int64]) -> None:
        """Read from the device how the steps of the epoch, in this order of clips, went."""
        self._read_totals()
        if self._step.failed.item():
            raise self._divergence(order, int(self._step.taken))
        norm = get_total_norm(self.spotter.parameters()).item()
        if not math.isfinite(norm):
            raise self._divergence(order, self.progress.step - 1, f"weights of norm {norm}")

    def _divergence(
        self,
        order: NDArray[np.int64],
        step: int,
        found: str | None = None,
        *,
        of_epoch: bool = False,
    ) -> DivergenceError:
        """Repeat a step (from 0) of the epoch to tell what is wrong; nothing is updated.

        Where it is the whole epoch that went wrong, its clips are not to blame.
        """
        settings, first = self.config.srnn, step * self.config.srnn.batch_size
        head = order[: first + settings.batch_size]
        (batch,) = self.training.batches(
            torch.from_numpy(head),
            settings.batch_size,
            self.device,
            epoch=self.progress.epoch,
            first=first,
        )
        self.spotter.train()
        self._seed_dropout(step)
        loss, _, _ = self._step.differentiate(batch)
        batch_clips = [self.corpus.partitions["training"][index] for index in head[first:]]
        return divergence(
            f"epoch {self.progress.epoch}" + ("" if of_epoch else f", step {step + 1}"),
            self._step.limits,
            found or f"a loss of {loss:.4g}",
            self.spotter.network,
            [] if of_epoch else batch_clips,
            f"start a new run with a lower srnn.learning_rate (now {settings.learning_rate:g}) or "
            f"{'a lower' if settings.gradient_clip else 'with'} srnn.gradient_clip "
            f"(now {settings.gradient_clip:g}{'' if settings.gradient_clip else ', any length'})",
        )

    def _finish_epoch(self, order: NDArray[np.int64]) -> None:
        """Validate, record the epoch, keep it if it is the best, and save the state."""
        progress, clips = self.progress, len(self.training.labels)
        started = time.monotonic()
        validation = self.validate()
        assert validation.accuracy is not None
        assert validation.loss is not None
        for what, loss in (("training", progress.loss / clips), ("validation", validation.loss)):
            if not loss < self._step.limits.mean:
                found = f"a mean loss of {loss:.4g} in {what}"
                raise self._divergence(order, progress.step - 1, found, of_epoch=True)
        progress.history.append(
            EpochMetrics(
                epoch=progress.epoch,
                lr=float(self.optimizer.param_groups[0]["lr"]),
                train_loss=progress.loss / clips,
                train_accuracy=progress.hits / clips,
                valid_loss=validation.loss,
                valid_accuracy=validation.accuracy,
                valid_balanced_accuracy=validation.balanced_accuracy,
                firing_rate=list(validation.firing_rate or ()),
                seconds=progress.seconds + time.monotonic() - started,
                samples_per_second=clips / progress.seconds,
            )
        )
        is_best = validation.accuracy > progress.best_accuracy
        if is_best:
            progress.best_accuracy = validation.accuracy
            self._checkpoint(progress.epoch, self.judged).save(self.run.best)
        left = self._pace.left(progress.epoch + 1, 0)
        self._table.log(progress.history[-1], is_best=is_best, left=left)
        self._warn_of_extreme_firing()
        self.progress = Progress(
            epoch=progress.epoch + 1,
            best_accuracy=progress.best_accuracy,
            history=progress.history,
        )
        self._write_metrics()
        self.save()

    def _write_metrics(self) -> None:
        lines = (json.dumps(asdict(line), allow_nan=False) for line in self.progress.history)
        write_text(self.run.metrics, "".join(f"{line}\n" for line in lines))

    def _checkpoint(self, epoch: int, spotter: Spotter, state: State | None = None) -> Checkpoint:
        return Checkpoint(
            self.config.model_dump(mode="json"),
            list(self.labels),
            self.clips,
            epoch,
            spotter.state_dict(),
            state,
        )

    def _warn_of_extreme_firing(self) -> None:
        """Warn of each hidden layer that is silent or saturated: such a layer learns little."""
        for number, rate in enumerate(self.progress.history[-1].firing_rate, start=1):
            if _SILENT <= rate <= _SATURATED:
                continue
            _log.warning(
                "hidden layer %d fires %s (%.2g spikes per neuron and time step) and learns "
                "little: set srnn.firing_start = 0.1, by which input weights are scaled before "
                "training%s",
                number,
                "hardly ever" if rate < _SILENT else "nearly always",
                rate,
                ", or a lower srnn.threshold" if rate < _SILENT else ", or srnn.firing_penalty",
            )
