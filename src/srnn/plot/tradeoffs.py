# SPDX-License-Identifier: MPL-2.0
"""Misses over false alarms on streams."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from srnn.errors import InputError
from srnn.plot.checks import array, expect_count
from srnn.plot.theme import dress, plain

_LINEAR = 1.0  # false alarms an hour up to which the axis is linear: there may be none
_WIDEST = 10.0  # what the axis reaches at least
_MARKERS = "o^sDvP"


def tradeoff(
    axes: Axes, rates: Sequence[float], missed: Sequence[float], name: str, *, legend: bool = True
) -> Axes:
    """Draw the keywords that are missed over the false alarms an hour, a point for each threshold.

    Called again on the same axes, it adds a curve.

    Parameters
    ----------
    axes : Axes
    rates : sequence of float >= 0
        False alarms an hour.
    missed : sequence of float, 0 to 1
        Fraction of the keywords at the same thresholds.
    name : str
        Of the curve.
    legend : bool
        Whether the curves are named.

    Raises
    ------
    InputError
        If there are not as many of both, or a rate is negative.
    """
    alarms, fractions = array("rates", rates, "(N,)"), array("missed", missed, "(N,)")
    expect_count("missed", "values", len(fractions), len(alarms))
    if alarms.min() < 0:
        raise InputError(f"rates: expected numbers >= 0, found {alarms.min():g}")
    colours = dress(axes, "false alarms an hour", "keywords missed (%)")
    drawn = sum(line.get_gid() == "tradeoff" for line in axes.lines)
    axes.plot(
        alarms,
        100 * fractions,
        color=colours.colours[drawn % len(colours.colours)],
        marker=_MARKERS[drawn % len(_MARKERS)],
        markersize=3,
        linewidth=1,
        label=plain(name),
        gid="tradeoff",
    )
    widest = max([_WIDEST, *(float(np.max(line.get_xdata())) for line in axes.lines)])
    axes.set_xscale("symlog", linthresh=_LINEAR)
    axes.set_xlim(0, widest)
    axes.set_ylim(0, 100)
    if legend:
        axes.legend()
    return axes
