# SPDX-License-Identifier: MPL-2.0
"""What the figures of sweeps show of plain data."""

import math
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from srnn import InputError, plot
from srnn.plot.theme import LIGHT
from srnn.plot.trials import strengths

ACCURACIES = [0.8, 0.9, 0.7, 0.85]
SPIKES = [100.0, 300.0, 200.0, 250.0]
FIRST, SECOND = (colour.lower() for colour in LIGHT.colours[:2])


@pytest.fixture
def axes() -> Axes:
    return Figure((6, 4), layout="constrained").subplots()


def with_id(axes: Axes, gid: str) -> Line2D:
    (found,) = [each for each in axes.lines if each.get_gid() == gid]
    return found


def points(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), round(float(y), 6)) for x, y in np.asarray(line.get_xydata())]


def drawn(axes: Axes) -> None:
    figure = axes.get_figure(root=True)
    assert figure
    figure.draw_without_rendering()


# The Pareto front.


def test_the_front_is_what_nothing_dominates() -> None:
    assert plot.pareto_front(ACCURACIES, SPIKES).tolist() == [True, True, False, True]
    assert plot.pareto_front([0.5], [1]).tolist() == [True]
    # Equal settings are both on it; one as accurate with more spikes is not.
    assert plot.pareto_front([0.5, 0.5, 0.5], [1, 1, 2]).tolist() == [True, True, False]


def test_the_front_is_that_of_optuna() -> None:
    optuna = pytest.importorskip("optuna", reason="needs optuna, group `sweep`")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rng = np.random.default_rng(0)
    values = rng.integers(0, 10, (60, 2)).astype(float)
    study = optuna.create_study(directions=["maximize", "minimize"])
    for accuracy, spikes in values:
        study.add_trial(optuna.trial.create_trial(values=[accuracy, spikes]))
    expected = sorted(trial.number for trial in study.best_trials)
    assert np.flatnonzero(plot.pareto_front(*values.T)).tolist() == expected


def test_settings_and_their_front(axes: Axes) -> None:
    assert plot.pareto(axes, ACCURACIES, SPIKES, list("abcd"), label="balanced accuracy") is axes
    for index, (accuracy, spikes) in enumerate(zip(ACCURACIES, SPIKES, strict=True)):
        assert points(with_id(axes, f"point-{index}")) == [(spikes, 100 * accuracy)]
    colours = [to_hex(with_id(axes, f"point-{index}").get_color()) for index in range(4)]
    assert colours == [SECOND, SECOND, FIRST, SECOND]
    front = with_id(axes, "front")
    assert front.get_drawstyle() == "steps-post"
    right = axes.get_xlim()[1]
    assert points(front) == [
        (100, 80),
        (250, 85),
        (300, 90),
        (right, 90),
    ]
    assert {text.get_text() for text in axes.texts} == {"a", "b", "d"}
    assert axes.get_xlabel() == "spikes an inference"
    assert axes.get_ylabel() == "balanced accuracy (%)"
    legend = axes.get_legend()
    assert legend
    assert [text.get_text() for text in legend.get_texts()] == ["Pareto front", "other settings"]


def test_standard_deviations_are_bars_where_there_are_some(axes: Axes) -> None:
    std = [0.01, math.nan, math.nan, math.nan]
    plot.pareto(axes, ACCURACIES, SPIKES, list("abcd"), accuracy_std=std)
    segments = [each.get_segments() for each in axes.collections]  # type: ignore[attr-defined]
    (bar,) = [segment for some in segments for segment in some]
    assert bar.tolist() == [[100, pytest.approx(79)], [100, pytest.approx(81)]]


def test_spikes_over_a_decade_have_a_logarithmic_axis(axes: Axes) -> None:
    plot.pareto(axes, [0.5, 0.6], [100, 2000], ["a", "b"])
    assert axes.get_xscale() == "log"
    other = Figure().subplots()
    plot.pareto(other, [0.5, 0.6], [0, 2000], ["a", "b"])
    assert other.get_xscale() == "linear"
    assert other.get_xlim()[0] == 0


def test_the_surroundings_of_the_front(axes: Axes) -> None:
    plot.pareto(axes, [0.9, 0.8, 0.1], [200, 100, 5000], list("abc"), focus=True)
    assert 200 < axes.get_xlim()[1] < 300
    assert 70 < axes.get_ylim()[0] < 80


def test_names_that_would_lie_on_each_other_are_left_out(axes: Axes) -> None:
    plot.pareto(axes, [0.9, 0.8999, 0.1], [200, 199.9, 10], list("abc"))
    assert [text.get_text() for text in axes.texts] == ["a", "c"]


def test_one_setting_is_a_front(axes: Axes) -> None:
    plot.pareto(axes, [0.5], [100], ["$x$"])
    drawn(axes)
    assert [text.get_text() for text in axes.texts] == [r"\$x\$"]


# Trials.


def test_strengths_are_ranks() -> None:
    assert strengths([3.0, 1.0, 1000.0, math.nan]) == pytest.approx(
        [0.2 + 0.8 * 2 / 3, 0.2 + 0.8 / 3, 1.0, 0.2]
    )
    assert strengths([5.0, 5.0]) == [1.0, 1.0]


def test_the_history_has_the_best_so_far(axes: Axes) -> None:
    plot.history(axes, [4, 0, 2], [0.6, 0.5, 0.4])
    trials, best = axes.lines
    assert points(trials) == [(0, 50), (2, 40), (4, 60)]
    assert points(best) == [(0, 50), (2, 50), (4, 60)]


METRICS: list[dict[str, Any]] = [
    {"epoch": 1, "valid_accuracy": 0.5},
    {"epoch": 2, "valid_accuracy": None},
    {"epoch": 3, "valid_accuracy": 0.7},
]


def test_curves_of_trials_and_where_they_were_pruned(axes: Axes) -> None:
    plot.trial_curves(axes, [METRICS, [], METRICS[:1]], "valid_accuracy", pruned=[2])
    whole, nothing, short, cross = axes.lines
    assert np.asarray(whole.get_ydata()) == pytest.approx([50, math.nan, 70], nan_ok=True)
    assert len(points(nothing)) == 0
    assert whole.get_alpha() == 1
    assert (short.get_alpha() or 1) < 1
    assert points(cross) == [(1, 50)]
    legend = axes.get_legend()
    assert legend
    assert [text.get_text() for text in legend.get_texts()] == ["pruned"]


def bars(axes: Axes) -> list[Rectangle]:
    return [each for each in axes.patches if isinstance(each, Rectangle)]


def test_bars_of_importance_are_faint_unless_they_exceed_chance(axes: Axes) -> None:
    importances = {"accuracy": [0.7, 0.3], "spikes": [0.0, 1.0]}
    chance = {"accuracy": [0.5, 0.4], "spikes": [0.2, 1.2]}
    plot.importance(axes, ["x", "y"], importances, chance=chance)
    assert [bar.get_width() for bar in bars(axes)] == pytest.approx([70, 30, 0, 100])
    assert [bar.get_alpha() is None for bar in bars(axes)] == [True, False, False, False]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["x", "y"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first one on top


# Parallel coordinates.

COORDINATES: dict[str, list[Any]] = {
    "rate": [1e-3, 1e-1, 1e-2],
    "kind": ["b", "a", "b"],
    "norm": [True, False, None],
    "accuracy": [50.0, 90.0, None],
}


def heights(axes: Axes, index: int) -> list[float]:
    return [float(each) for each in np.asarray(axes.lines[index].get_ydata())]


def test_settings_are_lines_across_axes(axes: Axes) -> None:
    plot.parallel(axes, COORDINATES, log=["rate"], categories={"kind": ["a", "b", "c"]}, best=[1])
    low, high, without = (heights(axes, index) for index in range(3))
    assert (low[0], high[0], without[0]) == pytest.approx((0, 1, 0.5))
    assert 0 < high[1] < 1 / 3 < without[1] < low[1] < 2 / 3  # without a result: below
    assert high[2] > 0.5 > low[2]
    assert math.isnan(without[2])
    assert (low[3], high[3]) == (0, 1)
    assert math.isnan(without[3])
    colours = [to_hex(each.get_color()) for each in axes.lines[:3]]
    assert colours == [FIRST, SECOND, LIGHT.faint]
    assert axes.lines[2].get_linestyle() == ":"
    texts = [text.get_text() for text in axes.texts]
    assert [text for text in texts if text in ("a", "b", "c", "true", "false")] == [
        "a",
        "b",
        "c",
        "true",
        "false",
    ]
    assert {"0.001", "0.01", "0.1"} <= set(texts)
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names == list(COORDINATES)


def test_one_setting_has_a_line(axes: Axes) -> None:
    plot.parallel(axes, {"srnn.\nrate": [3e-3], "accuracy": [50]}, log=["srnn.\nrate"])
    assert heights(axes, 0) == [0.5, 0.5]
    drawn(axes)
    assert [text.get_text() for text in axes.texts] == ["0.003", "50"]


@pytest.mark.parametrize("span", [(1e-4, 1e-1), (1e-3, 2e-3), (1e-3, 2e-2), (0.1, 100), (3, 3.01)])
def test_a_logarithmic_axis_has_a_few_ticks(axes: Axes, span: tuple[float, float]) -> None:
    plot.parallel(axes, {"x": list(span)}, log=["x"])
    assert 2 <= len(axes.texts) <= 7


def test_text_is_shown_as_it_is(axes: Axes) -> None:
    plot.parallel(axes, {"a_$b": ["$x$", "y"], "c": [None, None]})
    drawn(axes)
    assert r"\$x\$" in [text.get_text() for text in axes.texts]


# Errors.


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda a: plot.pareto(a, [0.5], [1, 2], ["x"]), "spikes: expected 1 values, found 2"),
        (lambda a: plot.pareto(a, [0.5], [1], []), "names: expected 1 names, found 0"),
        (lambda a: plot.pareto(a, [], [], []), "accuracies: expected shape (N,), found (0,)"),
        (
            lambda a: plot.pareto(a, [math.nan], [1], ["x"]),
            "accuracies: expected finite numbers, found nan",
        ),
        (lambda a: plot.pareto(a, [0.5], [-1], ["x"]), "spikes: expected numbers >= 0, found -1"),
        (
            lambda a: plot.pareto(a, [0.5], [1], ["x"], spikes_std=[1, 2]),
            "spikes_std: expected 1 values, found 2",
        ),
        (lambda a: plot.history(a, [1, 2], [0.5]), "accuracies: expected 2 values, found 1"),
        (lambda a: plot.trial_curves(a, [[]], "x"), "runs: expected a run with an epoch or more"),
        (lambda a: plot.importance(a, [], {}), "importances: expected those of a key or more"),
        (
            lambda a: plot.importance(a, ["x"], {"y": [0.5, 0.5]}),
            "y: expected 1 importances, found 2",
        ),
        (lambda a: plot.parallel(a, {}), "coordinates: expected a coordinate with a value or more"),
        (lambda a: plot.parallel(a, {"x": [1], "y": [1, 2]}), "x: expected 2 values, found 1"),
        (
            lambda a: plot.parallel(a, {"x": [0.0, 1.0]}, log=["x"]),
            "x: expected numbers > 0 on a logarithmic axis, found 0",
        ),
        (
            lambda a: plot.parallel(a, {"x": ["c"]}, categories={"x": ["a", "b"]}),
            "x: expected one of a, b, found c",
        ),
    ],
)
def test_unsuitable_data_is_named(draw: Any, message: str, axes: Axes) -> None:
    with pytest.raises(InputError) as error:
        draw(axes)
    assert str(error.value).startswith(message)
