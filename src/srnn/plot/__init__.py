# SPDX-License-Identifier: MPL-2.0
"""Figures: matplotlib axes and plain data in, the axes with a drawing out.

>>> from matplotlib.figure import Figure
>>> from srnn import plot
>>> with plot.theme(dark=False):
...     figure = Figure((6, 4), layout="constrained")
...     axes = plot.loss(figure.subplots(), metrics)  # as of metrics.jsonl  # doctest: +SKIP
>>> plot.save(figure, Path("loss.svg"))  # doctest: +SKIP

Axes of pyplot do as well. No function changes matplotlib's settings; `theme` does for its block.
Fractions are drawn in percent, times in milliseconds.
"""

from srnn.plot.classes import confusion, firing_by_class, per_class
from srnn.plot.clips import clip
from srnn.plot.comparison import compare
from srnn.plot.coordinates import parallel
from srnn.plot.curves import accuracy, firing, loss
from srnn.plot.decisions import decision, decision_step
from srnn.plot.energies import energy
from srnn.plot.files import picture_format, save
from srnn.plot.fronts import pareto, pareto_front
from srnn.plot.neurons import SATURATED, firing_by_neuron, neuron, raster, time_constants
from srnn.plot.sounds import features, inputs, waveform
from srnn.plot.theme import Palette, dress, palette, plain, theme
from srnn.plot.tradeoffs import tradeoff
from srnn.plot.trials import history, importance, trial_curves

__all__ = [
    "SATURATED",
    "Palette",
    "accuracy",
    "clip",
    "compare",
    "confusion",
    "decision",
    "decision_step",
    "dress",
    "energy",
    "features",
    "firing",
    "firing_by_class",
    "firing_by_neuron",
    "history",
    "importance",
    "inputs",
    "loss",
    "neuron",
    "palette",
    "parallel",
    "pareto",
    "pareto_front",
    "per_class",
    "picture_format",
    "plain",
    "raster",
    "save",
    "theme",
    "time_constants",
    "tradeoff",
    "trial_curves",
    "waveform",
]
