# SPDX-License-Identifier: MPL-2.0
"""The figures of a report, by name; each is drawn with the theme that is in force.

Legend: K classes, H neurons of a layer.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from srnn import plot
from srnn.instruments.report.collect import (
    Heard,
    Json,
    Measured,
    Run,
    features_of,
    time_constants,
)
from srnn.instruments.report.scores import ClassScores

_PANEL = (4.2, 3.0)  # inches


def learning_curves(metrics: Sequence[Json], best: int) -> Figure:
    """Draw loss, accuracy and firing over the epochs, with the best one."""
    figure, panels = _panels(1, 3)
    for axes, draw in zip(panels, (plot.loss, plot.accuracy, plot.firing), strict=True):
        draw(axes, metrics, best=best)
    return figure


def validation_curves(runs: Mapping[str, Sequence[Json]]) -> Figure:
    """Draw loss and accuracy on validation over the epochs of several runs, by their names."""
    figure, panels = _panels(1, 2)
    plot.compare(panels[0], runs, "valid_loss", label="validation loss (nats)")
    plot.compare(panels[1], runs, "valid_accuracy", label="validation accuracy")
    return figure


def confusion(measured: Measured) -> Figure:
    """Draw the confusion matrix."""
    count = len(measured.evaluation.labels)
    size = 2.2 + 0.36 * count
    figure = Figure((size + 0.8, size), layout="constrained")
    plot.confusion(figure.subplots(), measured.evaluation.confusion, measured.evaluation.labels)
    return figure


def scores(found: Sequence[ClassScores]) -> Figure:
    """Draw precision, recall and F1 of each class with their intervals."""
    figure, panels = _panels(1, 3, height=1.1 + 0.26 * len(found))
    for axes, name in zip(panels, ("precision", "recall", "f1"), strict=True):
        values = [getattr(each, name) for each in found]
        intervals = [
            None if each.low is None or each.high is None else (each.low, each.high)
            for each in values
        ]
        labels = [each.label for each in found]
        title = "F1" if name == "f1" else name
        plot.per_class(axes, labels, [each.value for each in values], intervals, label=title)
    return figure


def spectrogram(run: Run, heard: Heard) -> Figure:
    """Draw the features of a clip, those of the first channel."""
    figure = Figure((2.6, 1.5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(features_of(run, heard).T, "cividis", origin="lower", aspect="auto")
    axes.set_axis_off()
    return figure


def clip(run: Run, heard: Heard) -> Figure:
    """Draw all that the network did with a clip."""
    recogniser = run.recogniser
    return plot.clip(
        heard.samples,
        run.config.srnn.sample_rate,
        recogniser.record(heard.samples),
        recogniser.labels,
        recogniser.step,
    )


def changes_of_time_constants(run: Run) -> Figure:
    """Draw the time constants before and after training, a panel for each kind and layer."""
    before = time_constants(run.initial)
    after = time_constants(run.recogniser.spotter.network)
    figure, panels = _panels(-(-len(after) // 3), min(3, len(after)))
    for axes, (name, values) in zip(panels, after.items(), strict=False):
        plot.time_constants(axes, before[name], values, name)
    for axes in panels[len(after) :]:
        axes.set_axis_off()
    return figure


def firing_of_neurons(measured: Measured) -> Figure:
    """Draw the firing rate of each neuron, a panel for each layer."""
    figure, panels = _panels(1, len(measured.firing))
    for number, (axes, rates) in enumerate(zip(panels, measured.mean_firing, strict=True), start=1):
        plot.firing_by_neuron(axes, rates)
        axes.set_title(f"layer {number}")
    return figure


def firing_of_classes(measured: Measured) -> Figure:
    """Draw the firing rate of each layer for each class."""
    rates: NDArray[np.float64] = np.stack([each.mean(axis=1) for each in measured.firing])
    width = 2.5 + 0.45 * rates.shape[1]
    figure = Figure((width, 1.6 + 0.4 * len(rates)), layout="constrained")
    plot.firing_by_class(figure.subplots(), rates, measured.evaluation.labels)
    return figure


def _panels(rows: int, columns: int, height: float = _PANEL[1]) -> tuple[Figure, list[Axes]]:
    figure = Figure((_PANEL[0] * columns, height * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)
