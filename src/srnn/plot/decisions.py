# SPDX-License-Identifier: MPL-2.0
"""How a network decides.

Legend: T time steps, K classes.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from srnn.plot.checks import Array, array, expect_count
from srnn.plot.sounds import TIME
from srnn.plot.theme import dress, plain, size

_NAMED = 4  # classes with a name
_NOTABLE = 0.1  # probability that a class with a name reaches
_GAP = 12.0  # between the names of classes (points)


def decision(axes: Axes, probabilities: ArrayLike, labels: Sequence[str], step: float) -> Axes:
    """Draw the probabilities of the classes, given what has been received up to each time step.

    The classes with the largest ones are named, with their last probability. A line marks the
    moment of the decision, see `decision_step`.

    Parameters
    ----------
    axes : Axes
    probabilities : array, shape (T, K), 0 to 1
        As `srnn.Activity.probabilities`.
    labels : sequence of str, K
    step : float > 0
        A time step (ms).

    Raises
    ------
    InputError
        If there are not as many labels as classes.
    """
    values = array("probabilities", probabilities, "(T, K)")
    expect_count("labels", "labels", len(labels), values.shape[1])
    colours = dress(axes, TIME, "probability (%)")
    time = step * np.arange(len(values))
    named = _named(values)
    for k in range(len(labels)):
        if k not in named:
            axes.plot(time, 100 * values[:, k], color=colours.faint, linewidth=0.8)
    axes.set_ylim(-2, 102)
    heights = _apart([100 * values[-1, k] for k in named], _percent(axes, _GAP))
    for place, (k, height) in enumerate(zip(named, heights, strict=True)):
        colour = colours.colours[place]
        axes.plot(time, 100 * values[:, k], color=colour, linewidth=1.8)
        axes.annotate(
            f"{plain(labels[k])} {values[-1, k]:.0%}",
            (time[-1], height),
            (6, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            annotation_clip=False,
        )
    moment = step * decision_step(values)
    text = f"decided at {moment:.0f} ms: {plain(labels[named[0]])}"
    _mark(axes, moment, time[-1], text, colours.ink)
    axes.set_xlim(-0.5 * step, (len(values) - 0.5) * step)
    return axes


def decision_step(probabilities: ArrayLike) -> int:
    """Return the first time step from which on the best label stays the final one.

    A step at which another label is as probable does not count; the last step always does.

    Parameters
    ----------
    probabilities : array, shape (T, K)
        As `srnn.Activity.probabilities`.
    """
    values = array("probabilities", probabilities, "(T, K)")
    final = int(values[-1].argmax())
    others = np.delete(values, final, axis=1).max(axis=1, initial=-np.inf)
    undecided = np.flatnonzero(values[:-1, final] <= others[:-1])
    return int(undecided[-1]) + 1 if len(undecided) else 0


def _named(probabilities: Array) -> list[int]:
    """Return the classes to name: the final one, then those with the largest probabilities."""
    final = int(probabilities[-1].argmax())
    peaks = probabilities.max(axis=0)
    ranked = [int(k) for k in np.argsort(-peaks, kind="stable") if k != final]
    return [final, *(k for k in ranked[: _NAMED - 1] if peaks[k] > _NOTABLE)]


def _percent(axes: Axes, points: float) -> float:
    """Return a height in points as one of the axis."""
    low, high = axes.get_ylim()
    _, height = size(axes)
    return (high - low) * points / height


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Return heights moved up so that any two lie a gap apart."""
    moved, lowest = list(heights), -np.inf
    for place in sorted(range(len(heights)), key=lambda n: heights[n]):
        moved[place] = lowest = max(heights[place], lowest + gap)
    return moved


def _mark(axes: Axes, moment: float, end: float, text: str, colour: str) -> None:
    """Draw the moment of the decision, and the text above it; ``end`` is the last time step."""
    axes.axvline(moment, color=colour, linestyle=(0, (1, 2)), linewidth=1.2)
    side = "left" if moment < 0.2 * end else "right" if moment > 0.8 * end else "center"
    axes.annotate(
        text,
        (moment, 1.0),
        (0, 3),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        color=colour,
        ha=side,
        va="bottom",
    )
