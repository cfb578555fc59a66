# SPDX-License-Identifier: MPL-2.0
"""The robustness of a network as a table, as JSON and as a picture."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srnn.instruments.robustness.alterations import FILTERED, REVERBERATION
from srnn.instruments.robustness.measure import PEAK, Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 4  # of panels
_SERIES = {"words": "o-", "silence": "s-"}


def to_text(measurements: Sequence[Measurement]) -> str:
    """Return a table: a line for each condition."""
    width = max(len(each.name) for each in measurements)
    lines = [f"{'':{width}}   words  silence"]
    for each in measurements:
        words, silence = _percent(each.words), _percent(each.silence)
        lines.append(f"{each.name:{width}} {words:>7} {silence:>8}".rstrip())
    return "\n".join(lines)


def to_json(measurements: Sequence[Measurement]) -> list[dict[str, object]]:
    """Return an object for each condition."""
    return [each._asdict() for each in measurements]


def draw(measurements: Sequence[Measurement], title: str, file: Path) -> None:
    """Draw the accuracies over each kind of alteration, a panel for each; dashed: unaltered.

    Parameters
    ----------
    measurements : sequence of Measurement
        As of `measure`.
    title : str
    file : Path
        Its suffix is the format: ``.png``, ``.svg``, ``.pdf`` or another that matplotlib writes.

    Raises
    ------
    InputError
        If the suffix names no format, or the file cannot be written.
    """
    from matplotlib.figure import Figure  # imported late: it takes half a second

    from srnn import plot

    clean, *altered = measurements
    groups = {kind: list(some) for kind, some in itertools.groupby(altered, lambda each: each.kind)}
    columns = min(_COLUMNS, len(groups))
    rows = -(-len(groups) // columns)
    with plot.theme(transparent=False):
        figure = Figure((3.0 * columns, 2.6 * rows + 0.5), layout="constrained")
        panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
        for panel, (kind, some) in zip(panels, groups.items(), strict=False):
            _panel(panel, kind, some, clean)
        for panel in panels[len(groups) :]:
            panel.set_visible(False)
        panels[0].set_ylim(_lowest(measurements), 101)  # which all panels share
        figure.supylabel("accuracy (%)")
        figure.suptitle(plot.plain(title))
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        plot.save(figure, file)


def _panel(
    panel: "Axes", kind: str, measurements: Sequence[Measurement], clean: Measurement
) -> None:
    """Draw one kind of alteration."""
    from srnn import plot

    colours = plot.dress(panel, f"{kind} ({measurements[0].unit})", "")
    for (name, style), colour in zip(_SERIES.items(), colours.colours, strict=False):
        points = [
            (each.value, 100 * value)
            for each in measurements
            if (value := getattr(each, name)) is not None
        ]
        if points:
            panel.plot(*zip(*points, strict=True), style, color=colour, label=name, markersize=4)
        unaltered = getattr(clean, name)
        if unaltered is not None and kind != PEAK:
            panel.axhline(100 * unaltered, color=colour, linestyle="--", linewidth=0.8)
    if kind == PEAK:
        panel.set_xscale("symlog", linthresh=1e-4)
    if kind in (FILTERED, REVERBERATION):
        panel.set_xticks([each.value for each in measurements])


def _lowest(measurements: Sequence[Measurement]) -> float:
    """Return the lower end of the axis (%), a multiple of 10."""
    found = [value for each in measurements for value in each[-2:] if value is not None]
    return 10 * math.floor(10 * min(found, default=0.0) - 0.1)


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.1%}"
