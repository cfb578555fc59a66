# SPDX-License-Identifier: MPL-2.0
"""What a network receives: sound, features, events. Time step t is drawn at t * step.

Legend: n samples, T time steps, M mel bands, F = C * M inputs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from srnn.errors import InputError
from srnn.plot.checks import Array, array
from srnn.plot.theme import colour_bar, dress, key

TIME = "time (ms)"
_POINTS = 2000  # of a waveform: more do not show, and make a large file


def waveform(axes: Axes, samples: ArrayLike, sample_rate: float) -> Axes:
    """Draw a waveform.

    Of a long one, the lowest and the highest sample of each of 1000 stretches.

    Parameters
    ----------
    axes : Axes
    samples : array, shape (n,), -1 to 1
    sample_rate : float > 0
        Samples a second (Hz).

    Raises
    ------
    InputError
        If the samples are of another shape.
    """
    values = array("samples", samples, "(n,)")
    colours = dress(axes, TIME, "amplitude")
    places = _envelope(values) if len(values) > _POINTS else np.arange(len(values))
    time = 1000 * places / sample_rate
    axes.plot(time, values[places], color=colours.colours[0], linewidth=0.7)
    axes.set_xlim(0, 1000 * len(values) / sample_rate)
    return axes


def features(axes: Axes, features: ArrayLike, step: float, *, label: str = "feature") -> Axes:
    """Draw one channel of features as an image.

    Parameters
    ----------
    axes : Axes
    features : array, shape (T, M)
        Of any unit, such as standard deviations where they are normalised.
    step : float > 0
        A time step (ms).
    label : str
        What they are, with their unit.

    Raises
    ------
    InputError
        If they are of another shape.
    """
    values = array("features", features, "(T, M)")
    dress(axes, TIME, "mel band", grid=False)
    _image(axes, values, step, label)
    return axes


def inputs(
    axes: Axes,
    inputs: ArrayLike,
    step: float,
    *,
    channels: Sequence[str] = (),
    events: bool | None = None,
) -> Axes:
    """Draw what the first layer receives: events in two colours, or features as an image.

    Parameters
    ----------
    axes : Axes
    inputs : array, shape (T, F)
        As `srnn.Activity.inputs`.
    step : float > 0
        A time step (ms).
    channels : sequence of str
        Names of the C channels that the inputs divide into.
    events : bool, optional
        Whether they are events; by default, if all are -1, 0 or 1.

    Raises
    ------
    InputError
        If they are of another shape, or do not divide into the channels.
    """
    values = array("inputs", inputs, "(T, F)")
    colours = dress(axes, TIME, "input", grid=False)
    if channels:
        _divide(axes, values.shape[1], channels, colours.faint)
    if np.isin(values, (-1, 0, 1)).all() if events is None else events:
        # The two that are the same on light and dark paper: an image cannot follow a page's theme.
        positive, negative = colours.colours[2:4]
        shades = ListedColormap([negative, "none", positive])
        axes.imshow(values.T, shades, vmin=-1, vmax=1, **_place(values, step))
        key(axes, Patch(color=positive, label="+1"), Patch(color=negative, label="-1"))
    else:
        _image(axes, values, step, "feature")
    return axes


def _image(axes: Axes, values: Array, step: float, label: str) -> None:
    image = axes.imshow(values.T, "cividis", **_place(values, step))
    colour_bar(axes, image, label)


def _place(values: Array, step: float) -> dict[str, Any]:
    """Return the options of an image (T, N) whose first row is at the bottom."""
    steps, count = values.shape
    extent = (-0.5 * step, (steps - 0.5) * step, -0.5, count - 0.5)
    return {"extent": extent, "origin": "lower", "aspect": "auto", "interpolation": "nearest"}


def _divide(axes: Axes, count: int, channels: Sequence[str], colour: str) -> None:
    """Name the channels of ``count`` inputs, and draw lines between them."""
    size, rest = divmod(count, len(channels))
    if rest:
        raise InputError(f"channels: expected a number that divides {count}, found {len(channels)}")
    for channel in range(1, len(channels)):
        axes.axhline(channel * size - 0.5, color=colour, linewidth=0.8)
    middles = [channel * size + (size - 1) / 2 for channel in range(len(channels))]
    axes.set_yticks(middles, channels)


def _envelope(values: Array) -> NDArray[np.intp]:
    """Return the places of the extremes of each stretch of a waveform, in order."""
    stretches = np.array_split(np.arange(len(values)), _POINTS // 2)
    extremes = [
        place
        for stretch in stretches
        for place in sorted((stretch[values[stretch].argmin()], stretch[values[stretch].argmax()]))
    ]
    return np.array(extremes)
