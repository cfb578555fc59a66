# SPDX-License-Identifier: MPL-2.0
"""What neurons do, and what they have learnt. Time step t is drawn at t * step.

Legend: T time steps, H neurons.
"""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter, ScalarFormatter
from numpy.typing import ArrayLike, NDArray

from srnn.errors import InputError
from srnn.plot.checks import Array, array
from srnn.plot.sounds import TIME
from srnn.plot.theme import dress, key, plain

if TYPE_CHECKING:
    from srnn.network.activity import LayerActivity

SATURATED = 0.5
"""Spikes a time step above which a neuron counts as saturated."""

_BINS = 40
_DECADES = 20.0  # ratio of the largest to the smallest from which on an axis is logarithmic
_MANY = 6000  # spikes: more become an image in vector formats


def raster(axes: Axes, spikes: ArrayLike, step: float, sort: bool = True) -> Axes:
    """Draw the spikes of a layer.

    Parameters
    ----------
    axes : Axes
    spikes : array, shape (T, H), zeros and ones
    step : float > 0
        A time step (ms).
    sort : bool
        Whether neurons are sorted by the mean time of their spikes, the earliest at the bottom and
        those that never fire on top. Otherwise they are in their order.

    Raises
    ------
    InputError
        If the spikes are of another shape.
    """
    values = array("spikes", spikes, "(T, H)")
    steps, count = values.shape
    colours = dress(axes, TIME, "neuron, sorted" if sort else "neuron", grid=False)
    if sort:
        values = values[:, _by_time(values)]
    times, neurons = np.nonzero(values)
    height = min(4.0, max(1.8, 150 / count))
    axes.plot(
        times * step,
        neurons,
        linestyle="none",
        marker="|",
        markersize=height,
        markeredgewidth=0.8,
        color=colours.ink,
        rasterized=len(times) > _MANY,
    )
    axes.set_xlim(-0.5 * step, (steps - 0.5) * step)
    axes.set_ylim(-0.5 - 0.01 * count, count - 0.5 + 0.01 * count)
    return axes


def _by_time(spikes: Array) -> NDArray[np.intp]:
    """Return the neurons in the order of their mean spike time, silent ones last."""
    counts = spikes.sum(axis=0)
    total = np.arange(len(spikes)) @ spikes
    mean = np.where(counts > 0, total / np.maximum(counts, 1), np.inf)
    return np.argsort(mean, kind="stable")


def neuron(
    axes: Axes, layer: "LayerActivity", index: int, step: float, *, legend: bool = True
) -> Axes:
    """Draw membrane potential, threshold, adaptation (where there is any) and spikes of a neuron.

    The reset of a spike takes effect one step later.

    Parameters
    ----------
    axes : Axes
    layer : LayerActivity
        Of the layer, as of `srnn.Recogniser.record`.
    index : int, 0 to H - 1
        The neuron.
    step : float > 0
        A time step (ms).
    legend : bool
        Whether the lines are named.

    Raises
    ------
    InputError
        If there is no such neuron.
    """
    steps, count = layer.spikes.shape
    if not 0 <= index < count:
        raise InputError(f"index: expected a neuron from 0 to {count - 1}, found {index}")
    colours = dress(axes, TIME, "potential")
    time = step * np.arange(steps)
    potential, adaptation = layer.potential[:, index], layer.adaptation[:, index]
    first, second, third, *_ = colours.colours
    axes.plot(time, potential, color=first, label="membrane potential", linewidth=1.2)
    axes.plot(time, layer.threshold[:, index], "--", color=second, label="threshold", linewidth=1.2)
    if layer.adaptation.any():
        axes.plot(time, adaptation, ":", color=third, label="adaptation", linewidth=1.4)
    fired = np.flatnonzero(layer.spikes[:, index])
    axes.plot(time[fired], potential[fired], "^", color=colours.ink, markersize=4, label="spike")
    axes.set_xlim(-0.5 * step, (steps - 0.5) * step)
    if legend:
        key(axes)
    return axes


def time_constants(
    axes: Axes,
    before: ArrayLike | None,
    after: ArrayLike,
    name: str,
    *,
    unit: str = "time steps",
) -> Axes:
    """Draw how time constants, or other parameters of neurons, are distributed.

    The axis is logarithmic if the largest is more than 20 times the smallest.

    Parameters
    ----------
    axes : Axes
    before : array, shape (H,), or None
        Before training.
    after : array, shape (H,)
        After it.
    name, unit : str
        Of the parameter; a parameter without a unit has the unit "".

    Raises
    ------
    InputError
        If they are of another shape, or not finite.
    """
    groups = {} if before is None else {"before": array("before", before, "(H,)")}
    groups["after"] = array("after", after, "(H,)")
    together = np.concatenate([*groups.values()])
    if not np.isfinite(together).all():
        raise InputError(f"{name}: expected finite values, found NaN or infinity")
    label = f"{plain(name)} ({unit})" if unit else plain(name)
    colours = dress(axes, label, "neurons")
    low, high = float(together.min()), float(together.max())
    if 0 < low < high / _DECADES:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
        edges = np.geomspace(low, high, _BINS + 1).tolist()
    else:
        margin = 0.5 * (low == high)
        edges = np.linspace(low - margin, high + margin, _BINS + 1).tolist()
    for group, values in groups.items():
        text = f"{group} training, median {np.median(values):.3g}"
        if group == "after":
            axes.hist(values, edges, color=colours.colours[0], alpha=0.6, label=text)
        else:
            colour = colours.colours[1]
            axes.hist(values, edges, histtype="step", color=colour, linewidth=1.5, label=text)
    axes.legend()
    return axes


def firing_by_neuron(axes: Axes, rates: ArrayLike) -> Axes:
    """Draw the firing rates of the neurons of a layer, sorted; silent and saturated ones counted.

    Silent neurons never fire; saturated ones fire in more than half of the time steps
    (`SATURATED`).

    Parameters
    ----------
    axes : Axes
    rates : array, shape (H,), 0 to 1
        Spikes a time step of each neuron.

    Raises
    ------
    InputError
        If they are of another shape.
    """
    values = np.sort(array("rates", rates, "(H,)"))[::-1]
    colours = dress(axes, "neuron, sorted by firing rate", "spikes a time step")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    places, count = np.arange(len(values)), len(values)
    silent, saturated = values == 0, values > SATURATED
    axes.fill_between(places, values, step="mid", color=colours.colours[0], alpha=0.6, linewidth=0)
    for marked, colour, marker, name in (
        (saturated, colours.colours[1], "^", f"saturated (> {SATURATED:.0%})"),
        (silent, colours.colours[2], "x", "silent"),
    ):
        label = f"{name}: {marked.sum()} of {count}"
        axes.plot(places[marked], values[marked], marker, color=colour, markersize=4, label=label)
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(bottom=0)
    axes.legend()
    return axes
