# SPDX-License-Identifier: MPL-2.0
"""Figures over classes.

Legend: K classes, L layers.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from srnn.errors import InputError
from srnn.plot.checks import Array, array, expect_count
from srnn.plot.theme import colour_bar, dress, palette, plain, size

_STRONG = 0.6  # shade from which on the text of a cell is that of the opposite paper
_SMALLEST = 4.0  # text (points)


def confusion(axes: Axes, confusion: ArrayLike, labels: Sequence[str]) -> Axes:
    """Draw a confusion matrix: shades are fractions of a row, numbers are clips.

    Parameters
    ----------
    axes : Axes
    confusion : array, shape (K, K), counts >= 0
        Rows: true label; columns: predicted. Cells without clips have no number.
    labels : sequence of str, K

    Raises
    ------
    InputError
        If the matrix is not square, or there are not as many labels.
    """
    counts = array("confusion", confusion, "(K, K)")
    expect_count("confusion", "columns", counts.shape[1], len(counts))
    expect_count("labels", "labels", len(labels), len(counts))
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cells = [[f"{count:.0f}" if count else "" for count in row] for row in counts]
    image = _cells(axes, fractions, cells, 1.0)
    dress(axes, "predicted label", "true label", grid=False)
    points = _name_size(axes, counts.shape)
    axes.set_xticks(range(len(labels)), [*map(plain, labels)], rotation=90, fontsize=points)
    axes.set_yticks(range(len(labels)), [*map(plain, labels)], fontsize=points)
    colour_bar(
        axes,
        image,
        "fraction of the row",
        format=PercentFormatter(1.0, decimals=0),
    )
    return axes


def firing_by_class(axes: Axes, rates: ArrayLike, labels: Sequence[str]) -> Axes:
    """Draw the firing rate of each layer for the clips of each class.

    Parameters
    ----------
    axes : Axes
    rates : array, shape (L, K), 0 to 1
        Spikes per neuron and time step; NaN where a class has no clips.
    labels : sequence of str, K

    Raises
    ------
    InputError
        If there are not as many labels as columns.
    """
    values = array("rates", rates, "(L, K)")
    expect_count("labels", "labels", len(labels), values.shape[1])
    cells = [["" if math.isnan(rate) else f"{100 * rate:.1f}" for rate in row] for row in values]
    highest = float(np.nanmax(values, initial=0.0)) or 1.0
    image = _cells(axes, values, cells, highest)
    dress(axes, "", "", grid=False)
    points = _name_size(axes, values.shape)
    axes.set_xticks(range(len(labels)), [*map(plain, labels)], rotation=90, fontsize=points)
    axes.set_yticks(range(len(values)), [f"layer {n + 1}" for n in range(len(values))])
    axes.set_aspect("auto")
    label = "spikes per neuron\nand time step"
    colour_bar(axes, image, label, format=PercentFormatter(1.0, decimals=0))
    return axes


def per_class(
    axes: Axes,
    names: Sequence[str],
    values: Sequence[float | None],
    intervals: Sequence[tuple[float, float] | None],
    *,
    label: str = "accuracy",
) -> Axes:
    """Draw a value of each class with its 95 % interval, the first class on top.

    Parameters
    ----------
    axes : Axes
    names : sequence of str, K
    values : sequence of float, 0 to 1, or None
        None: the class has no clips, and no point.
    intervals : sequence of (low, high), 0 to 1, or None
    label : str
        What the value is.

    Raises
    ------
    InputError
        If there is not one value and one interval for each name.
    """
    if not names:
        raise InputError("names: expected a class or more, found none")
    expect_count("values", "values", len(values), len(names))
    expect_count("intervals", "intervals", len(intervals), len(names))
    colours = dress(axes, f"{label} (%), with 95 % interval", "")
    colour = colours.colours[0]
    for place, interval in enumerate(intervals):
        if interval is not None:
            low, high = (100 * bound for bound in interval)
            axes.plot([low, high], [place, place], color=colour, linewidth=4, alpha=0.35)
    percent = [math.nan if value is None else 100 * value for value in values]
    axes.plot(percent, range(len(percent)), "o", color=colour, markersize=5)
    points = _name_size(axes, (len(names), 1))
    axes.set_yticks(range(len(names)), [*map(plain, names)], fontsize=points)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(right=101)
    axes.grid(visible=False, axis="y")
    return axes


def _cells(axes: Axes, values: Array, cells: Sequence[Sequence[str]], highest: float) -> AxesImage:
    """Draw an image of values from 0 to ``highest`` with a text in each cell."""
    colours = palette(axes)
    image = axes.imshow(values, colours.shades(), vmin=0, vmax=highest, interpolation="nearest")
    points = _text_size(axes, values.shape, max(len(cell) for row in cells for cell in row))
    for row, texts in enumerate(cells):
        for column, text in enumerate(texts):
            strong = values[row, column] > _STRONG * highest
            colour = colours.paper if strong else colours.ink
            axes.text(column, row, text, color=colour, fontsize=points, ha="center", va="center")
    return image


def _name_size(axes: Axes, shape: tuple[int, ...]) -> float:
    """Return the size of the names (points) that fits beside rows and below columns."""
    width, height = size(axes)
    rows, columns = shape
    return max(_SMALLEST, min(9.0, 0.8 * height / rows, 0.8 * width / columns))


def _text_size(axes: Axes, shape: tuple[int, ...], length: int) -> float:
    """Return the size of text (points) of some characters that fits into the cells of an image."""
    width, height = size(axes)
    rows, columns = shape
    return max(_SMALLEST, min(9.0, 0.6 * height / rows, 1.4 * width / columns / max(1, length)))
