# SPDX-License-Identifier: MPL-2.0
"""Learning curves of several runs."""

import math
from collections.abc import Mapping
from itertools import product

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from srnn.errors import InputError
from srnn.plot.curves import Metrics
from srnn.plot.theme import dress, plain

_DASHES = ("-", "--", ":", "-.")


def compare(
    axes: Axes, runs: Mapping[str, Metrics], key: str, *, label: str = "", factor: float = 1.0
) -> Axes:
    """Draw a metric of several runs over the epochs.

    Parameters
    ----------
    axes : Axes
    runs : mapping of str to sequence of dict
        The lines of ``metrics.jsonl`` of each run, by its name. Colours, and then kinds of lines,
        tell runs apart.
    key : str
        Which metric, such as ``valid_loss``; epochs without it are left out.
    label : str
        What it is; by default the key.
    factor : float
        By which it is multiplied: 100 for a fraction in percent.

    Raises
    ------
    InputError
        If there is no run.
    """
    if not runs:
        raise InputError("runs: expected a run or more, found none")
    colours = dress(axes, "epoch", label or key)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    styles = list(product(_DASHES, colours.colours))
    for number, metrics in enumerate(runs.values()):
        dashes, colour = styles[number % len(styles)]
        values = [math.nan if each.get(key) is None else factor * each[key] for each in metrics]
        epochs = [each["epoch"] for each in metrics]
        axes.plot(epochs, values, dashes, marker=".", color=colour)
    # Handed over, because matplotlib leaves out names that begin with an underscore.
    axes.legend(axes.lines, [*map(plain, runs)])
    return axes
