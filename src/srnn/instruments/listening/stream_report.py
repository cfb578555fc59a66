# SPDX-License-Identifier: MPL-2.0
"""Misses and false alarms as a table, as JSON and as a picture."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from srnn.instruments.listening.measure import Alarms, Curves
from srnn.instruments.listening.tradeoff import THRESHOLDS, poisson_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATES = (1.0, 10.0)
"""False alarms an hour whose thresholds the table names."""

_SHOWN = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)  # thresholds of the table


def to_text(curves: Curves) -> str:
    """Return tables of misses and of false alarms by threshold, and the thresholds of `RATES`."""
    shown = [_nearest(each) for each in _SHOWN]
    first = curves.misses[0]
    head = "keywords missed (mean of the words):"
    lines = [head, f"{'threshold':<24}{_row(f'{THRESHOLDS[n]:.2f}' for n in shown)}"]
    lines += [
        f"{each.name:<24}{_row(f'{each.points[n].missed:.1%}' for n in shown)}"
        for each in curves.misses
    ]
    points = [first.points[n] for n in shown]
    for title, fractions in (
        ("other words taken for a keyword:", [each.unknown for each in points]),
        ("those held out of training:", [each.held_out for each in points]),
    ):
        if fractions[0] is not None:
            lines += [title, f"{first.name:<24}{_row(f'{each:.1%}' for each in fractions)}"]
    latencies = ("-" if each.latency is None else f"{each.latency:.2f}" for each in points)
    lines += ["time from when a keyword is said to its detection (s):"]
    lines += [f"{first.name:<24}{_row(latencies)}"]
    lines.append("false alarms an hour:")
    for group in curves.alarms:
        rates = group.rates()
        lines += [
            f"{group.name}, {group.minutes:.1f} min, {group.spikes:,.0f} spikes a second:",
            f"{'':<24}{_row(f'{rates[n]:.1f}' for n in shown)}",
        ]
    lines += [at_rate(group, rate, curves) for group in curves.alarms for rate in RATES]
    lines += _calibrated(curves)
    return "\n".join(lines)


def at_rate(group: Alarms, rate: float, curves: Curves) -> str:
    """Return the misses at the lowest threshold with at most some false alarms an hour."""
    head = f"{group.name}: at most {rate:g} an hour"
    n = at_most(group, rate)
    if n is None:
        return f"{head}: at no threshold"
    low, high = (bound * 60 / group.minutes for bound in poisson_interval(_count(group, n)))
    missed = ", ".join(f"{each.name} {each.points[n].missed:.1%}" for each in curves.misses)
    found = f"{_count(group, n)} alarms ({low:.1f} to {high:.1f} an hour)"
    return f"{head}: threshold {THRESHOLDS[n]:.3f}, {found}; missed: {missed}"


def _calibrated(curves: Curves) -> Iterator[str]:
    """Yield misses and false alarms at the calibrated thresholds, if there are any."""
    missed = [f"{x.name} {x.calibrated.missed:.1%}" for x in curves.misses if x.calibrated]
    if missed:
        yield f"at the calibrated thresholds: missed: {', '.join(missed)}"
    for group in curves.alarms:
        if group.calibrated is not None:
            count = sum(group.calibrated.values())
            low, high = (bound * 60 / group.minutes for bound in poisson_interval(count))
            yield f"{group.name}: {count} alarms ({low:.1f} to {high:.1f} an hour)"


def at_most(group: Alarms, rate: float) -> int | None:
    """Return the index of the lowest threshold from which on there are at most as many alarms."""
    above = [n for n, found in enumerate(group.rates()) if found > rate]
    first = above[-1] + 1 if above else 0
    return first if first < len(THRESHOLDS) else None


def to_json(curves: Curves) -> dict[str, object]:
    """Return all points of the curves."""
    return {
        "thresholds": list(THRESHOLDS),
        "scenes": [
            each._asdict()
            | {
                "points": [some._asdict() for some in each.points],
                "calibrated": each.calibrated and each.calibrated._asdict(),
            }
            for each in curves.misses
        ],
        "false_alarms": [each._asdict() for each in curves.alarms],
    }


def draw(curves: Curves, title: str, file: Path) -> None:
    """Draw the misses over the false alarms an hour into a file; see `figure`.

    Raises
    ------
    InputError
        If the suffix of the file names no format, or it cannot be written.
    """
    from srnn import plot  # imported late: it takes half a second

    with plot.theme(transparent=False):
        drawn = figure(curves)
        drawn.suptitle(plot.plain(title))
        plot.save(drawn, file)


def figure(curves: Curves) -> "Figure":
    """Return a figure of the misses over the false alarms, a panel for each group of sounds."""
    from matplotlib.figure import Figure

    from srnn import plot

    count = max(1, len(curves.alarms))
    figure = Figure((4.0 * count, 3.6), layout="constrained")
    panels = list(figure.subplots(1, count, sharey=True, squeeze=False).flat)
    for place, (panel, group) in enumerate(zip(panels, curves.alarms, strict=False)):
        for each in curves.misses:
            missed = [some.missed for some in each.points]
            plot.tradeoff(panel, group.rates(), missed, each.name, legend=place == 0)
        panel.set_title(plot.plain(f"{Path(group.name).name}, {group.minutes:.2g} min"))
        panel.label_outer()
    return figure


def _count(group: Alarms, n: int) -> int:
    return sum(group.counts[n].values())


def _nearest(threshold: float) -> int:
    return min(range(len(THRESHOLDS)), key=lambda n: abs(THRESHOLDS[n] - threshold))


def _row(cells: Iterable[str]) -> str:
    return "".join(f"{cell:>8}" for cell in cells)
