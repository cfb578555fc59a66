# SPDX-License-Identifier: MPL-2.0
"""The figures of a report; each is drawn with the theme that is in force.

Legend: K classes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from srnn import plot
from srnn.instruments.report.collect import ClassifiedClip, Measured, Run, features_of
from srnn.runs.results import Json

_SIZE = (3.8, 2.9)  # inches: three fit beside each other


def panel(
    draw: Callable[..., Axes],
    *arguments: Any,
    size: tuple[float, float] = _SIZE,
    title: str = "",
    **keywords: Any,
) -> Figure:
    """Return a figure of one panel, which a function of `srnn.plot` draws.

    Parameters
    ----------
    draw : callable
        Takes the axes, then the other arguments.
    size : (float, float)
        Width and height in inches.
    title : str
    """
    figure = Figure(size, layout="constrained")
    axes = draw(figure.subplots(), *arguments, **keywords)
    axes.set_title(plot.plain(title))
    return figure


def confusion(results: Json) -> Figure:
    """Draw the confusion matrix of an evaluation, given its JSON."""
    labels = results["labels"]
    size = 2.2 + 0.36 * len(labels)
    return panel(plot.confusion, results["confusion"], labels, size=(size + 0.8, size))


def firing_of_classes(measured: Measured) -> Figure:
    """Draw the firing rate of each layer for each class."""
    rates: NDArray[np.float64] = np.stack([each.mean(axis=1) for each in measured.firing])
    size = 2.5 + 0.45 * rates.shape[1], 1.6 + 0.4 * len(rates)
    return panel(plot.firing_by_class, rates, measured.evaluation.labels, size=size)


def spectrogram(run: Run, clip: ClassifiedClip) -> Figure:
    """Draw the features of a clip, those of the first channel, without axes."""
    figure = Figure((2.6, 1.5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(features_of(run, clip).T, "cividis", origin="lower", aspect="auto")
    axes.set_axis_off()
    return figure
