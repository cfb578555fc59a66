# SPDX-License-Identifier: MPL-2.0
"""The energy of an inference."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from srnn.errors import InputError
from srnn.plot.checks import expect_count
from srnn.plot.theme import dress, plain


def energy(
    axes: Axes, names: Sequence[str], operations: Sequence[float], totals: Sequence[float]
) -> Axes:
    """Draw the energy of some networks, with memory traffic and without it, the first on top.

    Parameters
    ----------
    axes : Axes
    names : sequence of str, N
    operations : sequence of float >= 0, N
        Energy of the operations alone (nJ).
    totals : sequence of float >= 0, N
        With memory traffic (nJ).

    Raises
    ------
    InputError
        If there is no network, or not both energies of each.
    """
    if not names:
        raise InputError("names: expected a network or more, found none")
    expect_count("operations", "energies", len(operations), len(names))
    expect_count("totals", "energies", len(totals), len(names))
    colours = dress(axes, "energy of an inference (nJ)", "")
    places = range(len(names))
    for place, low, high in zip(places, operations, totals, strict=True):
        axes.plot([low, high], [place, place], color=colours.faint, linewidth=1.5, zorder=1)
    first, second = colours.colours[:2]
    axes.plot(operations, places, "o", color=second, label="operations alone")
    axes.plot(totals, places, "s", color=first, label="with memory traffic")
    axes.set_xscale("log" if min(*operations, *totals) > 0 else "symlog")
    axes.set_yticks(places, [*map(plain, names)])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)
    return axes
