# SPDX-License-Identifier: MPL-2.0
"""Learning curves.

``metrics`` are the lines of ``metrics.jsonl`` as dicts, one an epoch, as `srnn.TrainedRun.metrics`
has them. ``best`` is the number of the best epoch, from 1, which is marked.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from srnn.errors import InputError
from srnn.plot.theme import Palette, dress

Metrics = Sequence[Mapping[str, Any]]


def loss(axes: Axes, metrics: Metrics, *, best: int | None = None) -> Axes:
    """Draw the loss (nats) of training and validation over the epochs.

    With several readouts of `_unknown_` the training loss distinguishes their words.

    Parameters
    ----------
    axes : Axes
    metrics : sequence of dict
    best : int, optional
        Epoch to mark.

    Raises
    ------
    InputError
        If there is no epoch, or none with the number ``best``.
    """
    colours = _epochs(axes, metrics, best, "loss (nats)")
    _line(axes, metrics, "train_loss", "training", 1.0, color=colours.colours[1], linestyle="--")
    _line(axes, metrics, "valid_loss", "validation", 1.0, color=colours.colours[0])
    axes.set_ylim(bottom=0)
    axes.legend()
    return axes


def accuracy(axes: Axes, metrics: Metrics, *, best: int | None = None) -> Axes:
    """Draw the accuracy (%) of training and validation, and the balanced one of validation.

    Parameters and errors: see `loss`. The balanced accuracy may be null.
    """
    colours = _epochs(axes, metrics, best, "accuracy (%)")
    _line(
        axes, metrics, "train_accuracy", "training", 100, color=colours.colours[1], linestyle="--"
    )
    _line(axes, metrics, "valid_accuracy", "validation", 100, color=colours.colours[0])
    if any(each.get("valid_balanced_accuracy") is not None for each in metrics):
        name = "validation, balanced"
        style = {"color": colours.colours[2], "linestyle": ":"}
        _line(axes, metrics, "valid_balanced_accuracy", name, 100, **style)
    axes.legend()
    return axes


def firing(axes: Axes, metrics: Metrics, *, best: int | None = None) -> Axes:
    """Draw the firing rate of each hidden layer on validation (spikes per neuron and time step, %).

    Parameters and errors: see `loss`.
    """
    colours = _epochs(axes, metrics, best, "spikes per neuron\nand time step (%)")
    epochs = [each["epoch"] for each in metrics]
    for layer, rates in enumerate(zip(*(each["firing_rate"] for each in metrics), strict=True)):
        colour = colours.colours[layer % len(colours.colours)]
        marker = "osD^vP"[layer % 6]
        percent = [100 * rate for rate in rates]
        name = f"layer {layer + 1}"
        axes.plot(epochs, percent, color=colour, marker=marker, markersize=3.5, label=name)
    axes.set_ylim(bottom=0)
    axes.legend()
    return axes


def _epochs(axes: Axes, metrics: Metrics, best: int | None, y: str) -> Palette:
    """Label the axes of a learning curve, and mark the best epoch."""
    if not metrics:
        raise InputError("metrics: expected an epoch or more, found none")
    epochs = [each["epoch"] for each in metrics]
    if best is not None and best not in epochs:
        raise InputError(f"best: expected an epoch from {epochs[0]} to {epochs[-1]}, found {best}")
    colours = dress(axes, "epoch", y)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if best is not None:
        ink = colours.ink
        axes.axvline(best, color=ink, linestyle=(0, (1, 2)), linewidth=1, label=f"best: {best}")
    return colours


def _line(axes: Axes, metrics: Metrics, key: str, name: str, factor: float, **style: Any) -> None:
    values = [math.nan if each.get(key) is None else factor * each[key] for each in metrics]
    epochs = [each["epoch"] for each in metrics]
    axes.plot(epochs, values, marker="o", markersize=3, label=name, **style)
