# SPDX-License-Identifier: MPL-2.0
"""The training loop: epochs of steps, validation, and the state to go on from at any step."""

import logging
import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils import get_total_norm

from srnn.data.corpus import Corpus
from srnn.errors import DivergenceError, InputError
from srnn.parallel import ALONE, Group, whole_batches
from srnn.randomness import Purpose, SeedKeys, generator
from srnn.settings import MANY, key
from srnn.training.cuda_graph import GraphedStep
from srnn.training.display import EpochTable, Pace, epoch_of
from srnn.training.divergence import divergence
from srnn.training.ema import EmaKeys, WeightEma
from srnn.training.evaluation import Evaluation, evaluate
from srnn.training.examples import Examples
from srnn.training.interrupt import Interrupted, StopRequest
from srnn.training.live import LiveLine, LiveState
from srnn.training.optimizer import make_optimizer, restore_optimizer, set_learning_rates
from srnn.training.progress import EpochMetrics, Progress, TrainingState
from srnn.training.schedule import ScheduleKeys, schedule_factor
from srnn.training.selection import Selection, best_epoch, is_complete
from srnn.training.spotter import Spotter, load_weights
from srnn.training.step import Step, StepKeys

_CHECK_INTERVAL = 50  # steps between two checks of the results, which wait for a GPU

# Firing rates (spikes per neuron and time step) beyond which a warning is logged.
_SILENT, _SATURATED = 0.001, 0.6

_log = logging.getLogger(__name__)


class TrainingKeys(StepKeys, ScheduleKeys, EmaKeys, SeedKeys):
    """Configuration keys of the loop."""

    batch_size: int = key(32, "batch size", "clips", ge=1, le=65_536)
    patience: int = key(
        0,
        "early stopping: training ends after this many epochs without a new best one (see "
        "`data.selection`); 0: no early stopping",
        "epochs",
        free_on_resume=True,
        ge=0,
        le=MANY,
    )
    checkpoint_minutes: float = key(
        5.0,
        "interval at which the state is saved within an epoch (it is also saved at the end of "
        "each epoch); 0: only at the end",
        "minutes",
        free_on_resume=True,
        ge=0,
    )


@dataclass(frozen=True)
class TrainingData:
    """The data for training and validation.

    Attributes
    ----------
    corpus : Corpus
        The clips that ``training`` and ``validation`` were made of.
    training, validation : Examples
    order : callable
        Maps an epoch, from 1, to the indices of the training clips in their order.
    """

    corpus: Corpus
    training: Examples
    validation: Examples
    order: Callable[[int], NDArray[np.int64]]


Watch = Callable[[Sequence[EpochMetrics]], None]
"""Is called with all finished epochs when the state after the last of them is saved.

What it raises ends training, which can be resumed.
"""


class Recorder:
    """Stores the results of training, see `srnn.runs.recorder`; this one stores nothing."""

    def save_best(self, epoch: int, spotter: Spotter) -> None:
        """Store the weights of the best epoch so far."""

    def save_state(self, spotter: Spotter, state: TrainingState) -> None:
        """Store the state that training is resumed from."""

    def show_epoch(self, metrics: EpochMetrics, validation: Evaluation, spotter: Spotter) -> None:
        """Show a finished epoch to whoever watches the run; its state is saved afterwards."""

    def write_metrics(self, history: Sequence[EpochMetrics]) -> None:
        """Store the metrics of all finished epochs."""


class Trainer:
    """Trains a spotter and records the results of each epoch.

    Parameters
    ----------
    keys : TrainingKeys
    spotter : Spotter
        On ``device``.
    data : TrainingData
    recorder : Recorder
    device : torch.device
    selection
        See `SelectionKeys`.
    graphs : bool
        Whether a CUDA device replays its steps as a CUDA graph.
    watch : callable, optional
    group : Group
        The processes that share each batch. All end together.
    """

    def __init__(
        self,
        keys: TrainingKeys,
        spotter: Spotter,
        data: TrainingData,
        recorder: Recorder,
        device: torch.device,
        *,
        selection: Selection = "accuracy",
        graphs: bool,
        watch: Watch | None = None,
        group: Group = ALONE,
    ) -> None:
        self.keys = keys
        self._watch = watch
        self.selection = selection
        self.spotter = spotter
        self.data = data
        self.training = data.training
        self.recorder = recorder
        self.device = device
        self.group = group
        self.optimizer = make_optimizer(spotter.network, keys)
        self.progress = Progress()
        self.steps_per_epoch = -(-len(data.training.labels) // keys.batch_size)
        self._ema = WeightEma(spotter, keys.averaging) if keys.averaging else None
        self._step = Step(spotter, self.optimizer, keys, len(data.corpus.labels), self._ema, group)
        if device.type == "cuda" and graphs and group.size > 1:
            _log.info("cuda.graphs: steps of several processes run without a CUDA graph")
            graphs = False
        graphed = device.type == "cuda" and graphs
        self._train_on = GraphedStep(self._step, keys.batch_size) if graphed else self._step
        self._table = EpochTable(keys.epochs)
        self._pace = Pace(keys.epochs, self.steps_per_epoch)
        self._live = LiveState()  # of the current epoch, when last read
        self._extreme: set[int] = set()  # hidden layers that were warned of

    @property
    def validated(self) -> Spotter:
        """The spotter that is validated and saved: with the EMA of the weights, if there is one."""
        return cast(Spotter, self._ema.module) if self._ema else self.spotter

    def fit(self, stop: StopRequest) -> None:
        """Train from ``progress`` to the last epoch.

        Raises
        ------
        Interrupted
            After the step in which ``stop`` was requested, with the state saved.
        DivergenceError
            If the loss or weights are no longer finite; the checkpoints hold earlier weights.
        InputError
            If a checkpoint cannot be written.
        """
        self._show_watcher()
        while not self._is_complete():
            order = self._train_epoch(stop)
            self._finish_epoch(order)
            self._show_watcher()
            if self._any_process(stop.requested):
                self._stop(stop)

    def _show_watcher(self) -> None:
        if self._watch and self.progress.history:
            self._watch(self.progress.history)

    def _is_complete(self) -> bool:
        keys = self.keys
        return is_complete(self.progress.history, keys.epochs, keys.patience, self.selection)

    def restore(self, weights: Mapping[str, Tensor], state: TrainingState, source: str) -> None:
        """Continue from a saved state, which was read from the file ``source``.

        Raises
        ------
        InputError
            If it is the state of another network or run.
        """
        load_weights(self.spotter, weights, source)
        if self._ema:
            load_weights(self.validated, state.average or {}, source)
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
        self.recorder.write_metrics(self.progress.history)

    def validate(self) -> Evaluation:
        """Evaluate the current weights, or their EMA, on the validation partition."""
        started = time.monotonic()
        self.validated.eval()
        with whole_batches(self.validated, self.group):
            result = evaluate(
                self.validated,
                self.data.validation,
                self.data.corpus.labels,
                "validation",
                self.keys.batch_size,
                self.device,
                group=self.group,
            )
        self._pace.validation = time.monotonic() - started
        return result

    def _synchronise(self) -> None:
        """Give all processes the weights, and their EMA, of the first.

        They have the same anyway, but for the last bits where processors differ.
        """
        modules = [self.spotter, *([self._ema.module] if self._ema else [])]
        for module in modules:  # in the same order in all processes
            for tensor in module.state_dict().values():
                self.group.broadcast(tensor)

    def log_start(self) -> None:
        """Validate the weights before training, and log the result."""
        self._synchronise()
        self._table.log_start(self.validate())

    def save(self) -> None:
        """Save the state that training is resumed from."""
        average = self.validated.state_dict() if self._ema else None
        state = TrainingState(self.optimizer.state_dict()["state"], self.progress, average)
        self.recorder.save_state(self.spotter, state)

    def _train_epoch(self, stop: StopRequest) -> NDArray[np.int64]:
        """Train on the remaining batches of the epoch; return the order of all its clips."""
        keys, progress = self.keys, self.progress
        self._synchronise()
        self.spotter.train()
        order = self.data.order(progress.epoch)
        self._step.start_epoch(progress, self.steps_per_epoch)
        self._live = LiveState()
        started = saved = now = time.monotonic()
        due = False
        before = progress.seconds
        batches = self.training.batches(
            torch.from_numpy(order),
            keys.batch_size,
            self.device,
            epoch=progress.epoch,
            first=progress.step * keys.batch_size,
            group=self.group,
        )
        number = epoch_of(progress.epoch, keys.epochs)
        with LiveLine(number, self.steps_per_epoch, progress.step) as line:
            for batch in batches:
                shows = line.is_due()
                # All steps of a GPU, as they may be one graph; they are read at the checks.
                on_cpu = self.device.type == "cpu"
                self._step.measures_firing = shows if on_cpu else line.is_shown
                self._set_learning_rates(progress.step)
                self._seed_dropout(progress.step)
                self._step.wants = stop.requested, due
                self._train_on(batch)
                progress.step += 1
                last, now = now, time.monotonic()
                self._pace.add_step(now - last)
                progress.seconds = before + now - started
                due = 0 < keys.checkpoint_minutes * 60 <= now - saved
                checks = progress.step % _CHECK_INTERVAL == 0
                stops, saves = self._wanted(stop, due=due, checks=checks)
                if stops or saves or checks:
                    self._check_results(order)
                if stops or saves:
                    self.save()
                    saved = now
                if stops:
                    self._stop(stop)
                if shows:
                    line.show(progress.step, self._live_state())
        self._check_results(order)
        progress.seconds = before + time.monotonic() - started
        return order

    def _wanted(self, stop: StopRequest, *, due: bool, checks: bool) -> tuple[bool, bool]:
        """Return whether to stop, and whether to save the state, after the last step.

        Several processes agree on it in the step. A GPU is waited for only where its results are
        read anyway.
        """
        if self.group.size == 1:
            return stop.requested, due
        if not checks and self.device.type != "cpu":
            return False, False
        stops, saves = self._step.wanted.tolist()
        return stops > 0, saves > 0

    def _any_process(self, requested: bool) -> bool:
        """Return whether any process was asked to stop."""
        return self.group.all_reduce(torch.tensor(float(requested), device=self.device)).item() > 0

    def _stop(self, stop: StopRequest) -> NoReturn:
        """Raise `Interrupted`, also where only another process received a signal."""
        stop.check()
        raise Interrupted(signal.SIGTERM)

    def _set_learning_rates(self, step: int) -> None:
        """Set them for a step (from 0) of the current epoch."""
        epochs_done = self.progress.epoch - 1 + step / self.steps_per_epoch
        factor = schedule_factor(self.keys, epochs_done, 1 / self.steps_per_epoch)
        set_learning_rates(self.optimizer, factor)

    def _seed_dropout(self, step: int) -> None:
        """Seed dropout by the step (from 0), the epoch and the seed."""
        if self.spotter.network.dropout:
            rng = generator(Purpose.DROPOUT, self.keys.seed, self.progress.epoch, step)
            torch.manual_seed(int(rng.integers(2**63)))

    def _live_state(self) -> LiveState:
        """Return the state of the epoch; a GPU is not waited for."""
        if self.device.type == "cpu":
            self._read_totals()
        progress = self.progress
        return self._live._replace(
            clips_per_second=self._clips_seen() / progress.seconds,
            left=self._pace.left(progress.epoch, progress.step),
        )

    def _clips_seen(self) -> int:
        """Return the number of clips of the epoch that were trained on."""
        return min(self.progress.step * self.keys.batch_size, len(self.training.labels))

    def _read_totals(self) -> None:
        """Read loss and hits of the epoch so far, and a firing rate, from the device."""
        progress, clips = self.progress, self._clips_seen()
        progress.loss, progress.hits = self._step.totals.tolist()
        firing_rate = self._step.firing_rate.item()
        self._live = LiveState(progress.loss / clips, progress.hits / clips, firing_rate)

    def _check_results(self, order: NDArray[np.int64]) -> None:
        """Read the results of the epoch so far from the device; raise if they are not finite."""
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
        """Repeat a step (from 0) of the epoch for a report of its gradients; nothing is updated.

        With ``of_epoch`` the error names the epoch, and neither step nor clips.
        """
        keys, first = self.keys, step * self.keys.batch_size
        head = order[: first + keys.batch_size]
        (batch,) = self.training.batches(
            torch.from_numpy(head),
            keys.batch_size,
            self.device,
            epoch=self.progress.epoch,
            first=first,
            group=self.group,
        )
        self.spotter.train()
        self._seed_dropout(step)
        loss, _, _ = self._step.differentiate(batch)
        batch_clips = [self.data.corpus.partitions["training"][index] for index in head[first:]]
        return divergence(
            f"epoch {self.progress.epoch}" + ("" if of_epoch else f", step {step + 1}"),
            self._step.limits,
            found or f"a loss of {loss:.4g}",
            self.spotter.network,
            [] if of_epoch else batch_clips,
            f"start a new run with a lower srnn.learning_rate (now {keys.learning_rate:g}) or "
            f"{'a lower' if keys.gradient_clip else 'with'} srnn.gradient_clip "
            f"(now {keys.gradient_clip:g}{'' if keys.gradient_clip else ', any length'})",
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
        is_best = best_epoch(progress.history, self.selection) == len(progress.history) - 1
        if is_best:
            self.recorder.save_best(progress.epoch, self.validated)
        left = self._pace.left(progress.epoch + 1, 0)
        self._table.log(progress.history[-1], is_best=is_best, left=left)
        self._warn_of_extreme_firing()
        self.recorder.show_epoch(progress.history[-1], validation, self.validated)
        self.progress = Progress(epoch=progress.epoch + 1, history=progress.history)
        self.recorder.write_metrics(self.progress.history)
        self.save()

    def _warn_of_extreme_firing(self) -> None:
        """Warn, once, of each hidden layer that is silent or saturated: it learns little."""
        for number, rate in enumerate(self.progress.history[-1].firing_rate, start=1):
            if _SILENT <= rate <= _SATURATED:
                self._extreme.discard(number)
                continue
            if number in self._extreme:
                continue
            self._extreme.add(number)
            _log.warning(
                "hidden layer %d fires %s (%.2g spikes per neuron and time step) and learns "
                "little: set srnn.firing_start = 0.1 (scales the input weights before training)%s",
                number,
                "hardly ever" if rate < _SILENT else "nearly always",
                rate,
                ", or a lower srnn.threshold" if rate < _SILENT else ", or srnn.firing_penalty",
            )
