# SPDX-License-Identifier: MPL-2.0
"""What the figures of `srnn.plot` show of plain data."""

import itertools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from srnn import InputError, plot
from srnn.network.activity import LayerActivity

METRICS: list[dict[str, Any]] = [
    {
        "epoch": epoch,
        "train_loss": 1.5 / epoch,
        "valid_loss": 1.2 / epoch,
        "train_accuracy": 0.5 + 0.1 * epoch,
        "valid_accuracy": 0.4 + 0.1 * epoch,
        "valid_balanced_accuracy": None if epoch == 1 else 0.3 + 0.1 * epoch,
        "firing_rate": [0.05 * epoch, 0.1],
    }
    for epoch in (1, 2, 3)
]


@pytest.fixture
def axes() -> Axes:
    return Figure(layout="constrained").subplots()


def line(axes: Axes, label: str) -> Line2D:
    """Return the line with a label, and expect exactly one."""
    (found,) = [each for each in axes.lines if each.get_label() == label]
    return found


def heights(axes: Axes, label: str) -> list[float]:
    return [float(each) for each in np.asarray(line(axes, label).get_ydata(), float)]


def entries(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def written(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def x_names(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_xticklabels()]


def y_names(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_yticklabels()]


# Learning curves.


def test_loss_over_the_epochs_with_the_best_one(axes: Axes) -> None:
    assert plot.loss(axes, METRICS, best=2) is axes
    assert heights(axes, "training") == [1.5, 0.75, 0.5]
    assert heights(axes, "validation") == pytest.approx([1.2, 0.6, 0.4])
    assert line(axes, "best: 2").get_xdata() == [2, 2]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss (nats)")


def test_accuracy_in_percent_and_a_balanced_one_that_an_epoch_lacks(axes: Axes) -> None:
    plot.accuracy(axes, METRICS)
    assert heights(axes, "validation") == pytest.approx([50, 60, 70])
    first, *rest = heights(axes, "validation, balanced")
    assert math.isnan(first)
    assert rest == pytest.approx([50, 60])
    assert entries(axes) == ["training", "validation", "validation, balanced"]


def test_a_balanced_accuracy_that_no_epoch_has_is_not_named(axes: Axes) -> None:
    plot.accuracy(axes, METRICS[:1])
    assert entries(axes) == ["training", "validation"]


def test_firing_has_a_line_for_each_layer(axes: Axes) -> None:
    plot.firing(axes, METRICS)
    assert heights(axes, "layer 1") == pytest.approx([5, 10, 15])
    assert heights(axes, "layer 2") == pytest.approx([10, 10, 10])


def test_curves_need_epochs(axes: Axes) -> None:
    for draw in (plot.loss, plot.accuracy, plot.firing):
        with pytest.raises(InputError, match=r"^metrics: expected an epoch or more, found none$"):
            draw(axes, [])
        with pytest.raises(InputError, match=r"^best: expected an epoch from 1 to 3, found 4$"):
            draw(axes, METRICS, best=4)


# Classes.


def test_a_confusion_matrix_shades_fractions_and_prints_counts(axes: Axes) -> None:
    plot.confusion(axes, [[3, 1, 0], [0, 0, 0], [0, 5, 5]], ["a", "_b_", "c$d$"])
    (image,) = axes.images
    shades = np.asarray(image.get_array())
    expected = np.array([[0.75, 0.25, 0], [0, 0, 0], [0, 0.5, 0.5]])
    np.testing.assert_allclose(shades, expected)
    assert written(axes) == ["3", "1", "", "", "", "", "", "5", "5"]
    assert x_names(axes) == y_names(axes) == ["a", "_b_", r"c\$d\$"]
    assert axes.yaxis_inverted()  # the first label on top
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted label", "true label")


def test_the_numbers_and_names_of_many_classes_become_small() -> None:
    few, many = (Figure((4, 4)).subplots() for _ in range(2))
    plot.confusion(few, 100 * np.eye(3), [*"abc"])
    plot.confusion(many, 100 * np.eye(40), [str(n) for n in range(40)])
    for one, other in (
        (few.texts[0], many.texts[0]),
        (few.get_xticklabels()[0], many.get_xticklabels()[0]),
    ):
        assert float(one.get_fontsize()) > float(other.get_fontsize()) >= 4


def test_a_confusion_matrix_is_square_with_as_many_labels(axes: Axes) -> None:
    for matrix, labels, error in (
        ([[1, 2]], ["a"], "confusion: expected 1 columns, found 2"),
        ([[1]], ["a", "b"], "labels: expected 1 labels, found 2"),
        ([1], ["a"], r"confusion: expected shape (K, K), found (1,)"),
    ):
        with pytest.raises(InputError) as raised:
            plot.confusion(axes, matrix, labels)
        assert str(raised.value) == error


def test_values_of_classes_with_their_intervals(axes: Axes) -> None:
    plot.per_class(axes, ["x", "y"], [0.9, None], [(0.8, 0.95), None], label="recall")
    interval, points = axes.lines
    np.testing.assert_allclose(np.asarray(interval.get_xdata(), float), [80, 95])
    np.testing.assert_allclose(np.asarray(points.get_xdata(), float), [90, np.nan])
    assert axes.get_xlabel() == "recall (%), with 95 % interval"
    assert y_names(axes) == ["x", "y"]
    low, high = axes.get_ylim()
    assert low > high  # the first on top
    with pytest.raises(InputError, match="intervals: expected 2 intervals, found 1"):
        plot.per_class(axes, ["x", "y"], [0.9, None], [None])
    with pytest.raises(InputError, match="names: expected a class or more, found none"):
        plot.per_class(axes, [], [], [])


def test_firing_of_layers_by_class(axes: Axes) -> None:
    plot.firing_by_class(axes, [[0.05, math.nan], [0.123, 0.0]], ["a", "b"])
    assert written(axes) == ["5.0", "", "12.3", "0.0"]
    assert y_names(axes) == ["layer 1", "layer 2"]
    with pytest.raises(InputError, match="labels: expected 2 labels, found 1"):
        plot.firing_by_class(axes, [[0.05, 0.1]], ["a"])


# Sound and inputs.


def test_a_waveform_keeps_its_peaks_however_long_it_is(axes: Axes) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000)
    samples[[4321, 12_345]] = 0.9, -0.8
    plot.waveform(axes, samples, 16_000)
    (drawn,) = axes.lines
    time, values = (np.asarray(each, float) for each in drawn.get_data())
    assert len(time) == 2000
    assert time[values.argmax()] == pytest.approx(4321 / 16)
    assert time[values.argmin()] == pytest.approx(12_345 / 16)
    assert (np.diff(time) > 0).all()
    assert axes.get_xlim() == (0, 1000)
    with pytest.raises(InputError, match=r"samples: expected shape \(n,\), found \(1, 16000\)"):
        plot.waveform(axes, samples[None], 16_000)


def test_features_are_an_image_with_a_scale(axes: Axes) -> None:
    values = np.arange(12.0).reshape(4, 3)
    plot.features(axes, values, 10, label="feature (std)")
    (image,) = axes.images
    np.testing.assert_array_equal(np.asarray(image.get_array()), values.T)
    assert tuple(image.get_extent()) == (-5, 35, -0.5, 2.5)
    (bar,) = axes.child_axes
    assert bar.get_ylabel() == "feature (std)"


def test_events_have_two_colours_and_features_many(axes: Axes) -> None:
    events = np.array([[1, 0, -1, 0], [0, 0, 1, 1]])
    plot.inputs(axes, events, 10, channels=["mel", "delta"])
    (image,) = axes.images
    colours = np.asarray(image.to_rgba(np.asarray(image.get_array())))
    assert (colours[..., 3] == (events.T != 0)).all()
    assert not np.array_equal(colours[0, 0], colours[2, 0])
    assert entries(axes) == ["+1", "-1"]
    assert y_names(axes) == ["mel", "delta"]
    assert axes.get_yticks().tolist() == [0.5, 2.5]
    other = Figure().subplots()
    plot.inputs(other, events + 0.5, 10)
    assert len(other.child_axes) == 1
    assert other.get_legend() is None
    with pytest.raises(InputError, match="channels: expected a number that divides 4, found 3"):
        plot.inputs(axes, events, 10, channels=["a", "b", "c"])


# Neurons.


def test_a_raster_sorts_neurons_by_the_mean_time_of_their_spikes(axes: Axes) -> None:
    spikes = np.zeros((5, 4))
    spikes[[4, 4, 0, 2, 1], [0, 2, 2, 2, 3]] = 1  # means: 4, none, 2, 1
    plot.raster(axes, spikes, 10)
    (drawn,) = axes.lines
    found = sorted(
        zip(*(np.asarray(each, float).tolist() for each in drawn.get_data()), strict=True)
    )
    assert found == [(0, 1), (10, 0), (20, 1), (40, 1), (40, 2)]
    unsorted = Figure().subplots()
    plot.raster(unsorted, spikes, 10, sort=False)
    assert sorted(np.asarray(unsorted.lines[0].get_ydata(), float).tolist()) == [0, 2, 2, 2, 3]
    low, high = axes.get_ylim()
    assert low < 0
    assert high > 3  # the silent neuron has its place
    with pytest.raises(InputError, match=r"spikes: expected shape \(T, H\), found \(5,\)"):
        plot.raster(axes, spikes[:, 0], 10)


def layer(adaptation: float = 0.5) -> LayerActivity:
    spikes = np.zeros((4, 2), np.float32)
    spikes[[1, 3], 1] = 1
    potential = np.arange(8, dtype=np.float32).reshape(4, 2)
    return LayerActivity(
        spikes, potential, np.full_like(spikes, 1.6), np.full_like(spikes, adaptation)
    )


def test_a_neuron_with_its_threshold_and_spikes(axes: Axes) -> None:
    plot.neuron(axes, layer(), 1, 10)
    assert heights(axes, "membrane potential") == [1, 3, 5, 7]
    assert heights(axes, "threshold") == pytest.approx([1.6] * 4)
    assert heights(axes, "adaptation") == [0.5] * 4
    assert np.asarray(line(axes, "spike").get_xdata()).tolist() == [10, 30]
    assert heights(axes, "spike") == [3, 7]
    assert entries(axes) == ["membrane potential", "threshold", "adaptation", "spike"]
    with pytest.raises(InputError, match="index: expected a neuron from 0 to 1, found 2"):
        plot.neuron(axes, layer(), 2, 10)


def test_a_neuron_without_adaptation_has_no_line_of_it(axes: Axes) -> None:
    plot.neuron(axes, layer(0), 0, 10, legend=False)
    assert [each.get_label() for each in axes.lines] == ["membrane potential", "threshold", "spike"]
    assert axes.get_legend() is None


def test_time_constants_before_and_after(axes: Axes) -> None:
    plot.time_constants(axes, [18, 20, 22], [10, 20, 40], "tau_mem")
    assert entries(axes) == ["before training, median 20", "after training, median 20"]
    assert axes.get_xscale() == "linear"
    assert axes.get_xlabel() == "tau_mem (time steps)"
    filled = sum(patch.get_height() for patch in axes.patches if hasattr(patch, "get_height"))
    assert filled == 3
    wide = Figure().subplots()
    plot.time_constants(wide, None, [1, 10, 100], "alpha", unit="")
    assert wide.get_xscale() == "log"
    assert wide.get_xlabel() == "alpha"
    assert entries(wide) == ["after training, median 10"]
    plot.time_constants(Figure().subplots(), None, [3, 3], "tau_mem")  # no range at all
    with pytest.raises(InputError, match="tau_mem: expected finite values, found NaN"):
        plot.time_constants(axes, None, [math.nan], "tau_mem")


def test_silent_and_saturated_neurons_are_counted(axes: Axes) -> None:
    plot.firing_by_neuron(axes, [0.1, 0.0, 0.6, 0.5, 0.0])
    assert entries(axes) == ["saturated (> 50%): 1 of 5", "silent: 2 of 5"]
    silent, saturated = line(axes, "silent: 2 of 5"), line(axes, "saturated (> 50%): 1 of 5")
    assert np.asarray(silent.get_xdata()).tolist() == [3, 4]
    assert np.asarray(saturated.get_ydata()).tolist() == [0.6]


# The decision.


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([[0.6, 0.4], [0.7, 0.3]], 0),
        ([[0.6, 0.4], [0.4, 0.6], [0.3, 0.7]], 1),
        ([[0.4, 0.6], [0.6, 0.4], [0.4, 0.6]], 2),  # the last change counts
        ([[0.5, 0.5], [0.5, 0.5], [0.6, 0.4]], 2),  # equal: not decided
        ([[0.5, 0.5], [0.5, 0.5]], 1),
        ([[1.0]], 0),
        ([[1.0], [1.0]], 0),
    ],
)
def test_the_step_of_the_decision(probabilities: list[list[float]], expected: int) -> None:
    assert plot.decision_step(probabilities) == expected


def test_a_decision_names_the_largest_and_marks_the_moment(axes: Axes) -> None:
    probabilities = np.full((5, 6), 0.02)
    probabilities[:, 0] = [0.5, 0.4, 0.1, 0.05, 0.05]
    probabilities[:, 4] = [0.1, 0.3, 0.7, 0.8, 0.87]
    plot.decision(axes, probabilities, ["a", "b", "c", "d", "e$", "f"], 10)
    assert written(axes) == [r"e\$ 87%", "a 5%", r"decided at 20 ms: e\$"]
    assert len(axes.lines) == 6 + 1
    assert axes.lines[-1].get_xdata() == [20, 20]
    with pytest.raises(InputError, match="labels: expected 6 labels, found 1"):
        plot.decision(axes, probabilities, ["a"], 10)


def test_names_of_classes_do_not_lie_on_each_other() -> None:
    figure = Figure((5, 1.5))
    axes = figure.subplots()
    probabilities = np.full((3, 5), 0.2)
    probabilities[-1] = [0.96, 0.01, 0.01, 0.01, 0.01]
    plot.decision(axes, probabilities, [*"abcde"], 10)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts[:4]]
    boxes.sort(key=lambda box: box.y0)
    for below, above in itertools.pairwise(boxes):
        assert above.y0 >= below.y1 - 2


# Streams.


def test_tradeoffs_share_axes(axes: Axes) -> None:
    plot.tradeoff(axes, [30.0, 1.0, 0.0], [0.0, 0.2, 0.9], "quiet")
    plot.tradeoff(axes, [5.0, 0.5, 0.0], [0.1, 0.3, 1.0], "noise")
    assert heights(axes, "quiet") == pytest.approx([0, 20, 90])
    assert entries(axes) == ["quiet", "noise"]
    one, other = axes.lines
    assert one.get_color() != other.get_color()
    assert one.get_marker() != other.get_marker()
    assert axes.get_xlim() == (0, 30)
    for rates, error in (([1.0], "missed: expected 1 values, found 2"), ([1.0, -1.0], "rates: ")):
        with pytest.raises(InputError, match=error):
            plot.tradeoff(axes, rates, [0.1, 0.2], "x")


# Themes and files.


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("dark", [False, True])
def test_themes_stand_out_from_their_paper_and_leave_no_trace(dark: bool) -> None:
    before = dict(mpl.rcParams)
    with plot.theme(dark) as colours:
        figure = Figure(layout="constrained")
        axes = plot.loss(figure.subplots(), METRICS)
    assert dict(mpl.rcParams) == before
    assert contrast(colours.ink, colours.paper) > 10
    assert all(contrast(each, colours.paper) >= 3 for each in colours.colours[:3])
    assert plot.palette(axes) == colours
    assert figure.get_facecolor() == (0, 0, 0, 0)
    figure.draw_without_rendering()  # after the block: ticks are made only now
    for text in (*axes.get_xticklabels(), axes.xaxis.label, *axes.get_legend().get_texts()):  # type: ignore[union-attr]
        assert to_hex(text.get_color()) == colours.ink
    with plot.theme(dark, transparent=False):
        assert to_hex(Figure().get_facecolor()) == colours.paper


def test_the_same_figure_is_the_same_file(tmp_path: Path) -> None:
    for suffix, begin in (("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")):
        for name in ("one", "two"):
            with plot.theme():
                figure = Figure((3, 2), layout="constrained")
                plot.accuracy(figure.subplots(), METRICS)
                plot.save(figure, tmp_path / f"{name}.{suffix}")
        one, two = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "two"))
        assert one == two
        assert one.startswith(begin)
    with pytest.raises(InputError, match=r"x\.tune: expected a file name ending in one of \.eps"):
        plot.save(figure, tmp_path / "x.tune")


def test_importing_the_package_waits_for_no_library() -> None:
    code = (
        "import sys, srnn; assert not {'matplotlib', 'torch'} & set(sys.modules);"
        "assert srnn.plot.raster; assert 'matplotlib' in sys.modules and 'torch' not in sys.modules"
        " and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
