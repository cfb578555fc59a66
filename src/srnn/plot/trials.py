# SPDX-License-Identifier: MPL-2.0
"""The trials of a sweep: their results in order, learning curves, and how much keys matter.

Legend: N trials, K keys.
"""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from srnn.errors import InputError
from srnn.plot.checks import array, expect_count
from srnn.plot.curves import Metrics
from srnn.plot.theme import dress, key, plain

_FAINTEST = 0.2  # opacity of the worst of what is shaded by its result
_BY_CHANCE = 0.3  # opacity of a bar that does not exceed chance


def strengths(results: ArrayLike) -> list[float]:
    """Return opacities by rank, from faint for the lowest result to 1 for the highest.

    A result that is NaN is the faintest. (Opacities of one colour, unlike a colour map, stand out
    from light and from dark paper.)
    """
    values = np.asarray(results, np.float64)
    distinct, ranks = np.unique(np.nan_to_num(values, nan=-math.inf), return_inverse=True)
    fractions = ranks / (len(distinct) - 1) if len(distinct) > 1 else np.ones(len(values))
    return [float(_FAINTEST + (1 - _FAINTEST) * fraction) for fraction in fractions]


def history(
    axes: Axes, numbers: Sequence[int], accuracies: ArrayLike, *, label: str = "accuracy"
) -> Axes:
    """Draw the accuracy of each trial in the order of trials, and the best one so far.

    Parameters
    ----------
    axes : Axes
    numbers : sequence of int, N
        Numbers of the finished trials.
    accuracies : array, shape (N,), 0 to 1
    label : str
        What the accuracy is.

    Raises
    ------
    InputError
        If there is no trial, or not one accuracy for each.
    """
    values = array("accuracies", accuracies, "(N,)")
    expect_count("accuracies", "values", len(values), len(numbers))
    colours = dress(axes, "trial", f"{label} (%)")
    order = np.argsort(numbers, kind="stable")
    x, percent = np.asarray(numbers)[order], 100 * values[order]
    axes.plot(x, percent, "o", color=colours.colours[0], markersize=4, label="trial")
    axes.plot(
        x,
        np.fmax.accumulate(percent),
        drawstyle="steps-post",
        color=colours.colours[1],
        linewidth=1,
        label="best so far",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    key(axes)
    return axes


def trial_curves(
    axes: Axes,
    runs: Sequence[Metrics],
    metric: str,
    *,
    label: str = "",
    pruned: Collection[int] = (),
) -> Axes:
    """Draw a metric of the runs of many trials over the epochs; the higher its end the stronger.

    Parameters
    ----------
    axes : Axes
    runs : sequence of sequence of dict
        The lines of ``metrics.jsonl`` of each run. Those without an epoch are not drawn.
    metric : str
        A fraction, such as ``valid_accuracy``; it is drawn in percent.
    label : str
        What it is; by default its name.
    pruned : collection of int
        Which of the runs (places in ``runs``) ended early: a cross marks the end of their curve.

    Raises
    ------
    InputError
        If no run has an epoch.
    """
    if not any(runs):
        raise InputError("runs: expected a run with an epoch or more, found none")
    colours = dress(axes, "epoch", f"{label or metric} (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    curves = [[math.nan if e.get(metric) is None else 100 * e[metric] for e in run] for run in runs]
    opacities = strengths([curve[-1] if curve else math.nan for curve in curves])
    for index, (curve, alpha) in enumerate(zip(curves, opacities, strict=True)):
        epochs = [each["epoch"] for each in runs[index]]
        axes.plot(epochs, curve, color=colours.colours[0], alpha=alpha, linewidth=1)
        if curve and index in pruned:
            axes.plot(
                epochs[-1], curve[-1], "x", color=colours.colours[1], markersize=5, label="pruned"
            )
        elif len(curve) == 1:  # a line of one point is nothing
            axes.plot(epochs, curve, ".", color=colours.colours[0], alpha=alpha)
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        key(axes, handles[0])
    return axes


def importance(
    axes: Axes,
    keys: Sequence[str],
    importances: Mapping[str, ArrayLike],
    *,
    chance: Mapping[str, ArrayLike] | None = None,
) -> Axes:
    """Draw how much keys matter for one result or several, a bar for each, the first key on top.

    Parameters
    ----------
    axes : Axes
    keys : sequence of str, K
    importances : mapping of str to array of shape (K,), 0 to 1
        Of each key for each result, by the name of the result.
    chance : mapping of str to array of shape (K,), optional
        The importances that keys reach by chance, for each result; bars that do not exceed it are
        faint.

    Raises
    ------
    InputError
        If there is no key or no result, or not one importance for each key.
    """
    if not keys or not importances:
        raise InputError("importances: expected those of a key or more, found none")
    colours = dress(axes, "importance (%)", "")
    thickness = 0.8 / len(importances)
    handles = []
    for number, (name, values) in enumerate(importances.items()):
        percent = 100 * array(name, values, "(K,)")
        expect_count(name, "importances", len(percent), len(keys))
        places = np.arange(len(keys)) + thickness * (number - (len(importances) - 1) / 2)
        colour = colours.colours[number % len(colours.colours)]
        limits = np.zeros(len(keys)) if chance is None else array(name, chance[name], "(K,)")
        expect_count(f"chance of {name}", "importances", len(limits), len(keys))
        bars = axes.barh(places, percent, 0.9 * thickness, color=colour)
        for bar, limit in zip(bars, 100 * limits, strict=True):
            if bar.get_width() <= limit:
                bar.set_alpha(_BY_CHANCE)
        handles.append(Patch(color=colour, label=plain(name)))
    axes.set_yticks(range(len(keys)), [*map(plain, keys)])
    axes.set_ylim(len(keys) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    key(axes, *handles)  # none of them faint, as the first bar of a result may be
    return axes
