# SPDX-License-Identifier: MPL-2.0
"""The whole picture of what a network does with one clip."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from srnn.errors import InputError
from srnn.plot.decisions import decision
from srnn.plot.neurons import neuron, raster
from srnn.plot.sounds import features, inputs, waveform
from srnn.plot.theme import plain

if TYPE_CHECKING:
    from srnn.network.activity import Activity, LayerActivity

_WIDTH = 9.0  # inches
_CHANNELS = ("mel", "Δ mel", *(f"Δ{power} mel" for power in "²³⁴⁵⁶⁷⁸"))  # by order of difference
_SHOWN = (1.0, 0.75, 0.5)  # quantiles of the spikes of the neurons that are shown


def clip(
    samples: ArrayLike,
    sample_rate: float,
    activity: "Activity",
    labels: Sequence[str],
    step: float,
    *,
    title: str = "",
    layer: int = -1,
    neurons: Sequence[int] | None = None,
) -> Figure:
    """Draw a clip: waveform, features, events, spikes of each layer, a few neurons, the decision.

    The axes share the time. Features that are not encoded as events are drawn once.

    Parameters
    ----------
    samples : array, shape (n,)
        The waveform of the clip, as of `srnn.Recogniser.waveform`.
    sample_rate : float > 0
        Samples a second (Hz).
    activity : Activity
        What the network does, as of `srnn.Recogniser.record`.
    labels : sequence of str
        Of the classes, in their order.
    step : float > 0
        A time step (ms).
    title : str
    layer : int
        The layer whose neurons are shown, from 0; the last one by default.
    neurons : sequence of int, optional
        Which ones; by default the one with the most spikes, and two with fewer.

    Returns
    -------
    Figure
        Created under the settings of matplotlib at this moment, see `theme`.

    Raises
    ------
    InputError
        If the arrays do not fit together, or there is no such layer or neuron.
    """
    encoded = activity.encoded
    count = len(activity.layers)
    if not -count <= layer < count:
        raise InputError(f"layer: expected one from 0 to {count - 1}, found {layer}")
    shown = activity.layers[layer]
    chosen = _typical(shown) if neurons is None else neurons
    heights = [0.7, *([1.0] if encoded else []), 1.5, *(1.5 for _ in activity.layers)]
    heights += [*(0.8 for _ in chosen), 1.4]
    figure = Figure((_WIDTH, 1.15 * sum(heights) + 0.6), layout="constrained")
    panels = iter(
        figure.subplots(len(heights), sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    )
    # A single channel may be a difference of any order: it has no name.
    channels = _CHANNELS[: len(activity.features)] if len(activity.features) > 1 else ()
    _named(waveform(next(panels), samples, sample_rate), "waveform")
    if encoded:
        _named(features(next(panels), activity.features[0], step), "features: first channel")
    name = "events of the encoder" if encoded else "features"
    axes = inputs(next(panels), activity.inputs, step, channels=channels, events=encoded)
    _named(axes, name)
    for number, each in enumerate(activity.layers, start=1):
        size, rate = each.spikes.shape[1], each.spikes.mean()
        text = f"layer {number}: {size} neurons, {rate:.1%} fire in a time step"
        _named(raster(next(panels), each.spikes, step), text)
    for place, index in enumerate(chosen):
        axes = neuron(next(panels), shown, index, step, legend=place == 0)
        _named(axes, f"neuron {index} of layer {layer % count + 1}")
    decision(next(panels), activity.probabilities, labels, step)  # has a title of its own
    for axes in figure.axes:
        axes.label_outer()
    if title:
        figure.suptitle(plain(title))
    return figure


def _named(axes: Axes, name: str) -> None:
    axes.set_title(name, loc="left")


def _typical(layer: "LayerActivity") -> list[int]:
    """Return neurons with the most and with fewer spikes, among those that fire."""
    counts = layer.spikes.sum(axis=0)
    ranked = np.argsort(counts, kind="stable")
    firing = ranked[counts[ranked] > 0]
    among = firing if len(firing) else ranked
    places = [round(quantile * (len(among) - 1)) for quantile in _SHOWN]
    return [int(among[place]) for place in dict.fromkeys(places)]
