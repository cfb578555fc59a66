# SPDX-License-Identifier: MPL-2.0
"""Writes what training yields as event files for TensorBoard, an optional package.

Legend: T time steps, C channels, M mel bands.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from srnn.config import Config, fixed_on_resume, toml_value
from srnn.errors import InputError, printable
from srnn.network.learnable import learnables
from srnn.packages import expect_packages
from srnn.runs.parts import spec_of
from srnn.training.evaluation import Evaluation
from srnn.training.examples import Examples
from srnn.training.progress import EpochMetrics
from srnn.training.spotter import Spotter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BUDGET = 0.015  # fraction of the training time that histograms and pictures may take

_BINS = 64  # of histograms; TensorBoard draws 30

# The tags of learnable parameters, by the first part of the name of their group.
_GROUPS = {"tau": "time_constants", "norm": "weights"}

_log = logging.getLogger(__name__)


class TensorBoard:
    """Writes event files into one folder; a context, which closes them.

    All tags have the number of the epoch as their step. Events of the epochs that are not finished,
    which a run that was interrupted may have left, are hidden. If writing fails, a warning is
    logged, and the run goes on without it.

    Scalars are written in each epoch. So are histograms and pictures where all of them take less
    than 1.5 % of the training time; otherwise in the first epoch, and in as many as take that.

    Parameters
    ----------
    folder : Path
        Created if need be.
    history : sequence of EpochMetrics
        The finished epochs. Their scalars are written, too, if the folder is new.
    hyperparameters : mapping of str to number or str
    clip : Tensor, shape (1, C, T, M)
        Features of the clip whose spikes are drawn.
    step : float > 0
        Duration of a time step (ms).

    Raises
    ------
    InputError
        If TensorBoard is not installed, or the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        history: Sequence[EpochMetrics],
        hyperparameters: Mapping[str, float | str],
        clip: Tensor,
        step: float,
    ) -> None:
        expect_tensorboard()
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        import srnn.plot  # noqa: F401 (matplotlib takes seconds to load: not within an epoch)

        is_new = not folder.exists()
        self._folder = folder
        self._clip = clip
        self._step = step
        self._trained = self._spent = self._cost = 0.0  # s: all epochs, all pictures, the last ones
        self._epoch = len(history)
        self._writer: Any  # of untyped methods
        try:
            self._writer = SummaryWriter(folder, purge_step=self._epoch + 1)
        except OSError as error:
            raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
        self._is_writable = True
        # Not the first summary, a list of keys that TensorBoard would take for that of all runs.
        _, start, self._end = hparams(dict(hyperparameters), {})
        self._attempt(self._writer.file_writer.add_summary, start, 0)
        for metrics in history if is_new else ():
            self._attempt(self._add_scalars, metrics)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._attempt(self._writer.close)

    def add_start(self, spotter: Spotter) -> None:
        """Write the histograms of the weights before training."""
        self._attempt(self._add_histograms, 0, spotter)

    def add_epoch(self, metrics: EpochMetrics, validation: Evaluation, spotter: Spotter) -> None:
        """Write a finished epoch, with histograms of the weights of ``spotter`` and its spikes."""
        self._attempt(self._add_epoch, metrics, validation, spotter)

    def add_result(self, best: EpochMetrics, test: Evaluation) -> None:
        """Write the figures by which runs are compared, and that the run has finished.

        Parameters
        ----------
        best : EpochMetrics
            The best epoch.
        test : Evaluation
            Of its weights.
        """
        figures = {
            "result/validation_accuracy": best.valid_accuracy,
            "result/validation_balanced_accuracy": best.valid_balanced_accuracy,
            "result/testing_accuracy": test.accuracy,
            "result/testing_balanced_accuracy": test.balanced_accuracy,
            "result/spikes_per_inference": test.spikes,
            "result/best_epoch": best.epoch,
        }
        self._attempt(self._add_result, figures)

    def _add_epoch(self, metrics: EpochMetrics, validation: Evaluation, spotter: Spotter) -> None:
        self._epoch = metrics.epoch
        self._add_scalars(metrics)
        self._trained += metrics.seconds
        if self._spent + self._cost <= _BUDGET * self._trained or not self._spent:
            started = time.perf_counter()
            self._add_histograms(metrics.epoch, spotter)
            self._add_figure("spikes", metrics.epoch, self._raster(spotter))
            self._add_figure("confusion/validation", metrics.epoch, _confusion(validation))
            self._cost = time.perf_counter() - started
            self._spent += self._cost
        self._writer.flush()

    def _add_scalars(self, metrics: EpochMetrics) -> None:
        scalars = {
            "loss/training": metrics.train_loss,
            "loss/validation": metrics.valid_loss,
            "accuracy/training": metrics.train_accuracy,
            "accuracy/validation": metrics.valid_accuracy,
            "accuracy/validation_balanced": metrics.valid_balanced_accuracy,
            "speed/learning_rate": metrics.lr,
            "speed/clips_per_second": metrics.samples_per_second,
        }
        for number, rate in enumerate(metrics.firing_rate, start=1):
            scalars[f"firing_rate/layer_{number}"] = rate
        self._write_scalars(scalars, metrics.epoch)

    def _write_scalars(self, scalars: Mapping[str, float | None], epoch: int) -> None:
        for tag, value in scalars.items():
            if value is not None:  # as the balanced accuracy of epochs of older versions
                self._writer.add_scalar(tag, value, epoch)

    def _add_histograms(self, epoch: int, spotter: Spotter) -> None:
        groups = learnables(spotter.network)
        for name, parameter in spotter.network.named_parameters():
            group = groups[name].group
            tag, values = f"{_GROUPS.get(group, group)}/{name}", parameter.detach().cpu()
            if values.numel() == 1:
                self._writer.add_scalar(tag, values, epoch)
            else:
                self._writer.add_histogram(tag, values, epoch, bins=_BINS)

    def _add_figure(self, tag: str, epoch: int, figure: "Figure") -> None:
        """Add a figure. `SummaryWriter.add_figure` would load pyplot, which looks for a screen."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        self._writer.add_image(tag, np.asarray(canvas.buffer_rgba()), epoch, dataformats="HWC")

    def _add_result(self, figures: Mapping[str, float | None]) -> None:
        # Not at the last epoch: a run that is resumed from there yields them anew.
        self._write_scalars(figures, self._epoch + 1)
        self._writer.file_writer.add_summary(self._end, self._epoch + 1)
        self._writer.flush()

    @torch.inference_mode()
    def _raster(self, spotter: Spotter) -> "Figure":
        """Draw the spikes of all hidden layers for the clip, neurons in their order."""
        from matplotlib.figure import Figure

        from srnn import plot

        layers = spotter.eval()(self._clip).hidden
        with plot.theme(transparent=False):
            figure = Figure((8, 1 + 2 * len(layers)), layout="constrained")
            all_axes = figure.subplots(len(layers), sharex=True, squeeze=False)[:, 0]
            for number, (axes, spikes) in enumerate(zip(all_axes, layers, strict=True), start=1):
                plot.raster(axes, spikes[:, 0].cpu(), self._step, sort=False)
                axes.set_title(f"hidden layer {number}")
                axes.label_outer()
        return figure

    def _attempt(self, write: Callable[..., object], *arguments: object) -> None:
        """Write, unless that has failed before."""
        if not self._is_writable:
            return
        try:
            write(*arguments)
        except OSError as error:
            self._is_writable = False
            found = error.strerror or printable(error)
            _log.warning("%s ends here: it cannot be written (%s)", self._folder, found)


def expect_tensorboard() -> None:
    """Raise an `InputError` if TensorBoard, which torch's writer needs, is not installed."""
    expect_packages("logger.tensorboard", "tensorboard")


def make_board(
    config: Config,
    folder: Path,
    history: Sequence[EpochMetrics],
    validation: Examples,
    device: torch.device,
) -> TensorBoard | None:
    """Return what ``logger.tensorboard`` asks for; None if it is false.

    The spikes are those of the first clip for validation that has the first label.
    """
    if not config.logger.tensorboard:
        return None
    of_first_label = (validation.labels == 0).nonzero()[:1, 0]
    chosen = of_first_label if len(of_first_label) else torch.tensor([0])
    (batch,) = validation.batches(chosen, 1, device)
    step = spec_of(config).step
    return TensorBoard(folder, history, _hyperparameters(config), batch.features, step)


def _hyperparameters(config: Config) -> dict[str, float | str]:
    """Return the keys on which the weights depend, the same in all runs; lists and such as TOML.

    They cannot change on resume: TensorBoard shows those of the beginning.
    """
    return {
        name: value if type(value) in (int, float, str) else toml_value(value)
        for name, value in fixed_on_resume(config).items()
    }


def _confusion(validation: Evaluation) -> "Figure":
    from matplotlib.figure import Figure

    from srnn import plot

    size = 3 + 0.35 * len(validation.labels)
    with plot.theme(transparent=False):
        figure = Figure((size + 1, size), layout="constrained")
        plot.confusion(figure.subplots(), validation.confusion, validation.labels)
    return figure
