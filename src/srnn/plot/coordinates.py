# SPDX-License-Identifier: MPL-2.0
"""Parallel coordinates: each setting is a line across axes of keys and results.

Legend: N settings, C coordinates.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeGuard

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator

from srnn.errors import InputError
from srnn.plot.checks import Array, expect_count
from srnn.plot.theme import dress, palette, plain
from srnn.plot.trials import strengths

Value = float | str | bool | None

_SPREAD = 0.5  # of the distance of two categories: lines of the same one fan out so far
_TICK = 0.03  # length of a tick, in distances of two axes
_TICKS = 5


class _Scale(NamedTuple):
    """One axis: the heights (0 to 1, or NaN) of N values, and its ticks."""

    heights: Array
    ticks: dict[float, str]


def parallel(
    axes: Axes,
    coordinates: Mapping[str, Sequence[Value]],
    *,
    log: Collection[str] = (),
    categories: Mapping[str, Sequence[str]] | None = None,
    best: Collection[int] = (),
) -> Axes:
    """Draw settings as lines across parallel axes, the stronger the higher the last coordinate.

    Numbers have a linear or a logarithmic axis from the lowest to the highest one; text and
    booleans are categories, in which lines fan out so that each can be followed. A line has a gap
    where a value is None, and is grey and dotted if that is the last one.

    Parameters
    ----------
    axes : Axes
    coordinates : mapping of str to sequence of N values
        Numbers, or text and booleans, or None, by what they are; a name may have several lines.
    log : collection of str
        Coordinates with a logarithmic axis: numbers > 0.
    categories : mapping of str to sequence of str, optional
        All categories of a coordinate, from bottom to top; by default those that occur, in the
        order of their first.
    best : collection of int
        Settings, 0 to N - 1, that stand out.

    Raises
    ------
    InputError
        If there is no coordinate or no setting, one has not N values, or a value is unsuitable.
    """
    if not coordinates or not next(iter(coordinates.values())):
        raise InputError("coordinates: expected a coordinate with a value or more, found none")
    *_, last = coordinates.values()
    scales: list[_Scale] = []
    for name, values in coordinates.items():
        expect_count(name, "values", len(values), len(last))
        if _are_numbers(values):
            scales.append(_of_numbers(name, values, is_log=name in log))
        else:
            scales.append(_of_categories(name, values, (categories or {}).get(name), last))
    colours = dress(axes, "", "", grid=False)
    heights = np.stack([scale.heights for scale in scales])  # (C, N)
    for index, alpha in enumerate(strengths(scales[-1].heights)):
        is_best, has_result = index in best, not math.isnan(heights[-1, index])
        axes.plot(
            heights[:, index],
            marker=".",
            linestyle="-" if has_result else ":",
            color=colours.colours[1 if is_best else 0] if has_result else colours.faint,
            alpha=alpha if has_result and not is_best else 1.0,
            linewidth=1.6 if is_best else 1.0,
            markersize=4,
            zorder=3 if is_best else 2 if has_result else 1,
        )
    for place, scale in enumerate(scales):
        _axis(axes, place, scale, is_last=place == len(scales) - 1)
    names = ["\n".join(map(plain, name.split("\n"))) for name in coordinates]
    axes.set_xticks(range(len(scales)), names)
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.set_xlim(-0.7, len(scales) - 0.6)
    axes.set_ylim(-0.05, 1.05)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def _axis(axes: Axes, place: int, scale: _Scale, *, is_last: bool) -> None:
    """Draw an axis with its ticks, whose labels stand at its left; of the last one at its right."""
    colours = palette(axes)
    side, alignment = (1, "left") if is_last else (-1, "right")
    axes.plot([place, place], [0, 1], color=colours.ink, linewidth=0.8, zorder=4)
    for height, text in scale.ticks.items():
        tick = [place, place + side * _TICK]
        axes.plot(tick, [height, height], color=colours.ink, linewidth=0.8, zorder=4)
        axes.text(
            place + 2 * side * _TICK,
            height,
            plain(text),
            ha=alignment,
            va="center",
            fontsize=8,
            zorder=5,
            path_effects=[withStroke(linewidth=2.5, foreground=colours.paper)],
        )


def _are_numbers(values: Sequence[Value]) -> TypeGuard[Sequence[float | None]]:
    given = [value for value in values if value is not None]
    return not any(isinstance(value, str | bool) for value in given)


def _of_numbers(name: str, values: Sequence[float | None], *, is_log: bool) -> _Scale:
    numbers = np.array([math.nan if value is None else value for value in values])
    given = numbers[np.isfinite(numbers)]
    if not given.size:
        return _Scale(numbers, {})
    if is_log and given.min() <= 0:
        raise InputError(f"{name}: expected numbers > 0 on a logarithmic axis, found {given.min()}")
    low, high = float(given.min()), float(given.max())
    if low == high:
        return _Scale(np.where(np.isfinite(numbers), 0.5, math.nan), {0.5: f"{low:,.4g}"})
    ticks = _log_ticks(low, high) if is_log else MaxNLocator(_TICKS).tick_values(low, high)
    shown = [float(tick) for tick in ticks if low <= tick <= high]

    def height(value: Array | float) -> Array:
        if is_log:
            return np.asarray(np.log(value / low) / math.log(high / low))
        return np.asarray((value - low) / (high - low))

    return _Scale(height(numbers), {float(height(tick)): f"{tick:,.4g}" for tick in shown})


def _log_ticks(low: float, high: float) -> Array:
    """Return ticks of a logarithmic axis: powers of ten, or more where there would be one only."""
    for factors in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)):
        ticks: Array = np.asarray(LogLocator(subs=factors, numticks=99).tick_values(low, high))
        found = ticks[(ticks >= low) & (ticks <= high)]
        if len(found) > 2:
            return found
    return np.array([low, high])


def _of_categories(
    name: str, values: Sequence[Value], order: Sequence[str] | None, last: Sequence[Value]
) -> _Scale:
    """Place values in bands; within one, lines are sorted by the last coordinate."""
    texts = [None if value is None else _text(value) for value in values]
    found = list(order or dict.fromkeys(text for text in texts if text is not None))
    for text in texts:
        if text is not None and text not in found:
            raise InputError(f"{name}: expected one of {', '.join(found)}, found {text}")
    band = 1 / max(1, len(found))
    heights = np.full(len(texts), math.nan)
    ticks = {}
    for number, category in enumerate(found):
        centre = (number + 0.5) * band
        ticks[centre] = category
        members = [index for index, text in enumerate(texts) if text == category]
        members.sort(key=lambda index: _number(last[index]))
        places = (np.arange(len(members)) + 0.5) / max(1, len(members)) - 0.5
        heights[members] = centre + _SPREAD * band * places
    return _Scale(heights, ticks)


def _text(value: float | str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else -math.inf
