# SPDX-License-Identifier: MPL-2.0
"""Accuracy against spikes: settings as points, and their Pareto front.

Legend: N settings.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from numpy.typing import ArrayLike, NDArray

from srnn.errors import InputError
from srnn.plot.checks import Array, array, expect_count
from srnn.plot.theme import dress, key, plain, size

_DECADE = 10.0  # ratio of the most spikes to the fewest from which on their axis is logarithmic
_MARGIN = 0.1  # of the range of an axis, on either side of the points
_HEIGHT, _WIDTH = 9.0, 6.0  # of a name: a line, a character (points)


def pareto_front(accuracies: ArrayLike, spikes: ArrayLike) -> NDArray[np.bool_]:
    """Return which settings no other one dominates, (N,).

    A setting dominates another one if it is neither less accurate nor has more spikes, and is
    better in one of both.

    Parameters
    ----------
    accuracies, spikes : array, shape (N,)

    Raises
    ------
    InputError
        If there are not as many of both, or a value is not finite.
    """
    accuracy, spike = _finite("accuracies", accuracies), _finite("spikes", spikes)
    expect_count("spikes", "values", len(spike), len(accuracy))
    no_worse = (accuracy[:, None] >= accuracy) & (spike[:, None] <= spike)
    better = (accuracy[:, None] > accuracy) | (spike[:, None] < spike)
    dominated: NDArray[np.bool_] = np.any(no_worse & better, axis=0)
    return ~dominated


def pareto(
    axes: Axes,
    accuracies: ArrayLike,
    spikes: ArrayLike,
    names: Sequence[str],
    *,
    accuracy_std: ArrayLike | None = None,
    spikes_std: ArrayLike | None = None,
    label: str = "accuracy",
    focus: bool = False,
) -> Axes:
    """Draw the accuracy of settings over their spikes, and the Pareto front as a step line.

    The line is the highest accuracy that is reached with so many spikes. Settings of the front have
    their names, as far as there is space. The id (``gid``) of each point is ``point-N``.

    Parameters
    ----------
    axes : Axes
    accuracies : array, shape (N,), 0 to 1
    spikes : array, shape (N,), >= 0
        Spikes of an inference.
    names : sequence of str, N
    accuracy_std, spikes_std : array, shape (N,), >= 0, optional
        Standard deviations over seeds; NaN where there is only one.
    label : str
        What the accuracy is.
    focus : bool
        Whether the axes show the surroundings of the front alone.

    Raises
    ------
    InputError
        If there is not one of each for each setting, an accuracy or a number of spikes is not
        finite, or a number of spikes is negative.
    """
    on_front = pareto_front(accuracies, spikes)
    percent, x = 100 * _finite("accuracies", accuracies), _finite("spikes", spikes)
    if x.min() < 0:
        raise InputError(f"spikes: expected numbers >= 0, found {x.min():g}")
    expect_count("names", "names", len(names), len(x))
    upright = 100 * _std("accuracy_std", accuracy_std, len(x))
    sideways = _std("spikes_std", spikes_std, len(x))
    colours = dress(axes, "spikes an inference", f"{label} (%)")
    for index, is_best in enumerate(on_front):
        axes.errorbar(
            x[index],
            percent[index],
            upright[index] or None,
            sideways[index] or None,
            fmt="o",
            color=colours.colours[1 if is_best else 0],
            markersize=6 if is_best else 4.5,
            elinewidth=0.8,
            alpha=1.0 if is_best else 0.7,
            zorder=3 if is_best else 2,
            label=("Pareto front" if is_best else "other settings"),
        ).lines[0].set_gid(f"point-{index}")
    shown = on_front if focus else np.full(len(x), fill_value=True)
    _scale(
        axes,
        *(
            _limits(*each)
            for each in ((x[shown], sideways[shown]), (percent[shown], upright[shown]))
        ),
    )
    order = [*np.lexsort((percent, x))]
    front = [index for index in order if on_front[index]]
    right = axes.get_xlim()[1]
    axes.plot(
        [*x[front], right],
        [*percent[front], percent[front[-1]]],
        drawstyle="steps-post",
        color=colours.colours[1],
        linewidth=1,
        zorder=1,
        gid="front",
    )
    _name(axes, x, percent, {index: names[index] for index in reversed(front)})
    entries = {text: handle for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    key(axes, *entries.values())
    return axes


def _finite(name: str, values: ArrayLike) -> Array:
    found = array(name, values, "(N,)")
    if not np.isfinite(found).all():
        raise InputError(f"{name}: expected finite numbers, found {found[~np.isfinite(found)][0]}")
    return found


def _std(name: str, values: ArrayLike | None, count: int) -> Array:
    """Return standard deviations; 0 where there is none, which is not drawn."""
    if values is None:
        return np.zeros(count)
    found = array(name, values, "(N,)")
    expect_count(name, "values", len(found), count)
    return np.nan_to_num(found)


def _limits(values: Array, std: Array) -> tuple[float, float]:
    """Return the range of values with their standard deviations; it is not empty."""
    low, high = float((values - std).min()), float((values + std).max())
    return (low, high) if low < high else (low - 1.0, high + 1.0)


def _scale(axes: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    """Choose scales and ranges, with margins for the names of points."""
    left, right = x
    if left > 0 and right / left >= _DECADE:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        factor = (right / left) ** _MARGIN
        axes.set_xlim(left / factor, right * factor)
    else:
        margin = _MARGIN * (right - left)
        axes.set_xlim(max(left - margin, min(left, 0.0)), right + margin)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    margin = _MARGIN * (y[1] - y[0])
    axes.set_ylim(max(y[0] - margin, -1.0), min(y[1] + margin, 101.0))


def _name(axes: Axes, x: Array, y: Array, names: dict[int, str]) -> None:
    """Write names above and to the left of the points of a front, where no point can be.

    A name that would lie on an earlier one is left out.
    """
    width, height = size(axes)
    place = axes.transData + axes.transAxes.inverted()
    written: list[tuple[float, float]] = []
    for index, name in names.items():
        across, up = place.transform((x[index], y[index])) * (width, height)
        space = _WIDTH * len(name)
        if all(abs(across - left) >= space or abs(up - low) >= _HEIGHT for left, low in written):
            written.append((across, up))
            axes.annotate(
                plain(name),
                (x[index], y[index]),
                (-4, 3),
                textcoords="offset points",
                ha="right",
                va="bottom",
                fontsize=8,
            )
