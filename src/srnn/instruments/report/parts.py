# SPDX-License-Identifier: MPL-2.0
"""The parts of a report, as blocks of text, tables, figures and clips.

A `Folio` draws each figure once, for the page and for the files beside it.
"""

import platform
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from matplotlib.figure import Figure

from srnn import plot
from srnn.config import changes, to_toml
from srnn.energy import Row, table
from srnn.instruments.listening import stream_report
from srnn.instruments.listening.measure import Curves
from srnn.instruments.report import compare, figures
from srnn.instruments.report.collect import Heard, Json, Measured, Run, time_constants
from srnn.instruments.report.folio import Folio
from srnn.instruments.report.page import Block, PlayableClip, Tab, Table, wav_url
from srnn.instruments.report.scores import ClassScores, Score, class_scores
from srnn.training.evaluation import Evaluation
from srnn.version import VERSION

_CURVES = {"loss": plot.loss, "accuracy": plot.accuracy, "firing": plot.firing}
_ENERGY: dict[str, Callable[[Row], float]] = {
    "spikes": lambda row: row.spikes,
    "accumulates": lambda row: row.accumulates,
    "multiply-accumulates": lambda row: row.multiply_accumulates,
    "neuron updates": lambda row: row.updates,
    "words of weights": lambda row: row.weight_words,
    "words of neurons": lambda row: row.neuron_words,
    "operations (nJ)": lambda row: row.operations_nj,
    "memory (nJ)": lambda row: row.memory_nj,
    "total (nJ)": lambda row: row.total_nj,
}
_ENERGY_NOTE = (
    "An estimate, by the formulas and sources of srnn.energy. Features, control, leakage and the "
    "transport of spikes between chips are left out of all networks."
)
_COMPARED = {
    "valid_loss": "validation loss (nats)",
    "valid_accuracy": "validation accuracy (fraction)",
}
_INTERVALS = (
    "Intervals of 95 %: Wilson's of precision and recall; of F1, from 2,000 bootstrap samples of "
    "the clips."
)
_NAMED = 40  # neurons that are named at most


def overview(run: Run, measured: Measured | None, folio: Folio) -> Tab:
    """Return the main figures and the learning curves."""
    result = measured.evaluation if measured else None
    blocks = [Block(tiles=[*_tiles(run, result)])]
    if run.metrics:
        best = run.checkpoint.epoch
        text = f"The best epoch, by its validation, is {best} of {len(run.metrics)}."
        drawn = [
            folio.draw(name, partial(figures.panel, draw, run.metrics, best=best))
            for name, draw in _CURVES.items()
        ]
        blocks.append(Block("Training", [text], figures=drawn))
    else:
        blocks.append(Block("Training", ["There is no metrics.jsonl beside this network."]))
    if run.test:
        rows = [[name, text] for name, text in _results(run.test)]
        blocks.append(Block("Testing (test.json)", tables=[Table(["", "value"], rows)]))
    return Tab("overview", "Overview", blocks)


def classes(run: Run, measured: Measured, folio: Folio) -> Tab:
    """Return confusions, precision and recall, and the clips that were most surely wrong."""
    result = measured.evaluation
    found = class_scores(result.confusion, result.labels)
    matrix = folio.draw(
        "confusion",
        lambda: figures.confusion(measured),
        f"Clips of the {result.partition} partition by true and predicted label.",
    )
    intervals = [
        folio.draw(name, partial(_scores, found, name)) for name in ("precision", "recall", "f1")
    ]
    heads = ["class", "clips", "precision", "interval", "recall", "interval", "F1", "interval"]
    rows = [[*_score_cells(each)] for each in found]
    blocks = [
        Block(texts=[_data(measured)], figures=[matrix]),
        Block(
            "Precision, recall and F1", [_INTERVALS], tables=[Table(heads, rows)], figures=intervals
        ),
    ]
    if measured.wrong:
        clips = [_playable(run, each, n, folio) for n, each in enumerate(measured.wrong)]
        blocks.append(Block("The clips that were most surely wrong", clips=clips))
    return Tab("classes", "Classes", blocks)


def clip(run: Run, heard: Heard, folio: Folio) -> Tab:
    """Return what the network did with one clip."""
    what = "" if heard.label is None else f", whose label is {heard.label}"
    text = f"{heard.name}{what}: {heard.predicted}, {heard.probability:.1%}."
    drawn = folio.draw(
        "clip",
        lambda: figures.clip(run, heard),
        "From top to bottom: waveform, features, input of the first layer, spikes of each hidden "
        "layer (neurons sorted by their mean spike time), potential and threshold of some neurons, "
        "and the class probabilities of what has been received so far; the mark is where the "
        "label was decided.",
        wide=True,
    )
    sound = PlayableClip("", heard.name, wav_url(heard.samples, run.config.srnn.sample_rate))
    return Tab("clip", "A clip", [Block(texts=[text], clips=[sound], figures=[drawn])])


def neurons(run: Run, measured: Measured | None, folio: Folio) -> Tab:
    """Return time constants before and after training, and firing by neuron and class."""
    before = time_constants(run.initial)
    after = time_constants(run.recogniser.spotter.network)
    drawn = [
        folio.draw(
            f"time-constants-{number}",
            partial(figures.panel, plot.time_constants, before[name], values, name),
        )
        for number, (name, values) in enumerate(after.items(), start=1)
    ]
    blocks = [Block("Time constants before and after training", figures=drawn)]
    if measured:
        of_neurons = [
            folio.draw(
                f"firing-layer-{number}",
                partial(figures.panel, plot.firing_by_neuron, rates, title=f"layer {number}"),
            )
            for number, rates in enumerate(measured.mean_firing, start=1)
        ]
        of_classes = folio.draw(
            "firing-classes",
            lambda: figures.firing_of_classes(measured),
            "Mean firing rate of each layer on the clips of each class, in percent.",
        )
        texts = [_data(measured), *_extreme(measured)]
        blocks.append(Block("Firing", texts, figures=[*of_neurons, of_classes]))
    return Tab("neurons", "Neurons", blocks)


def energy(found: Json, folio: Folio) -> Tab:
    """Return operations, memory traffic and energy, given the field ``energy`` of a result."""
    rows = table(found)
    networks = rows[len(found["layers"]) :]
    drawn = folio.draw(
        "energy",
        partial(
            figures.panel,
            plot.energy,
            [row.name for row in networks],
            [row.operations_nj for row in networks],
            [row.total_nj for row in networks],
            size=(6.5, 3.2),
        ),
    )
    heads = ["", *_ENERGY, "of it memory"]
    cells = [
        [row.name, *(f"{get(row):,.0f}" for get in _ENERGY.values()), f"{row.memory_share:.0%}"]
        for row in rows
    ]
    notes = [f"{row.name}: {row.note}." for row in networks if row.note]
    costs = [[name.replace("_", " "), f"{value:g} pJ"] for name, value in found["costs"].items()]
    return Tab(
        "energy",
        "Energy",
        [
            Block(texts=[found["verdict"]], figures=[drawn]),
            Block("An inference", tables=[Table(heads, cells)]),
            Block("The other networks", [*notes, _ENERGY_NOTE]),
            Block("What each costs ([energy])", tables=[Table([], costs)]),
        ],
    )


def streams(curves: Curves, folio: Folio) -> Tab:
    """Return misses over false alarms on streams."""
    drawn = folio.draw(
        "streams",
        lambda: stream_report.figure(curves),
        "Keywords missed over false alarms an hour, over the threshold.",
    )
    return Tab("streams", "Streams", [Block(figures=[drawn], code=stream_report.to_text(curves))])


def configuration(run: Run) -> Tab:
    """Return the keys that differ from the defaults, all keys, and the versions."""
    versions = [
        ["srnn", VERSION],
        ["Python", platform.python_version()],
        ["torch", torch.__version__],
        ["numpy", np.__version__],
        ["machine", platform.platform()],
    ]
    return Tab(
        "configuration",
        "Configuration",
        [
            Block("Keys that differ from the defaults", code="\n".join(changes(run.config))),
            Block("All keys", code=to_toml(run.config)),
            Block("Versions that wrote this report", tables=[Table([], versions)]),
        ],
    )


def comparison(runs: Sequence[Run], folio: Folio) -> Tab:
    """Return several runs side by side."""
    found = compare.groups(runs)
    keys = compare.differing_keys(runs)
    heads = [*(keys or ["runs"]), "seeds", *(column.name for column in compare.COLUMNS)]
    rows = [[*_group_cells(each, keys)] for each in found]
    single = [
        [run.name, str(run.config.srnn.seed), *(_cell(c.of(run), c.style) for c in compare.COLUMNS)]
        for run in runs
    ]
    what = "The keys that differ" if keys else "Runs that differ in their seed only"
    text = "Mean and standard deviation (of a sample) over seeds."
    blocks = [
        Block(what, [text], tables=[Table(heads, rows)]),
        Block(
            "Each run",
            tables=[Table(["run", "seed", *(c.name for c in compare.COLUMNS)], single)],
        ),
    ]
    curves = {run.name: run.metrics for run in runs if run.metrics}
    if curves:
        drawn = [
            folio.draw(key, partial(figures.panel, plot.compare, curves, key, label=label))
            for key, label in _COMPARED.items()
        ]
        blocks.append(Block("Learning curves", figures=drawn))
    return Tab("comparison", "Comparison", blocks)


def _tiles(run: Run, result: Evaluation | None) -> Iterator[tuple[str, str]]:
    if result and result.accuracy is not None and result.interval:
        low, high = result.interval
        yield f"accuracy ({result.partition})", f"{result.accuracy:.2%}"
        yield "95 % interval", f"{low:.2%} to {high:.2%}"
        yield "balanced accuracy", f"{result.balanced_accuracy:.2%}"
        yield "spikes an inference", f"{result.spikes:,.0f}"
    yield "parameters", f"{run.parameters:,}"
    yield "labels", str(len(run.recogniser.labels))


_SHOWN = {
    "accuracy": ".4f",
    "balanced_accuracy": ".4f",
    "accuracy_without_silence": ".4f",
    "accuracy_of_held_out": ".4f",
    "majority_share": ".4f",
    "loss": ".4f",
    "calibration_error": ".4f",
    "spikes": ",.0f",
}


def _results(test: dict[str, object]) -> Iterator[tuple[str, str]]:
    for name, style in _SHOWN.items():
        value = test.get(name)
        if isinstance(value, int | float):
            yield name.replace("_", " "), format(value, style)
    for name in ("interval", "firing_rate"):
        values = test.get(name)
        if isinstance(values, list):
            yield name.replace("_", " "), ", ".join(f"{each:.4f}" for each in values)
    operations = test.get("operations")
    if isinstance(operations, dict):
        for name, value in operations.items():
            yield name.replace("_", "-"), f"{value:,.0f}"


def _data(measured: Measured) -> str:
    result = measured.evaluation
    return (
        f"Measured on the {sum(result.counts):,} clips of the {result.partition} partition of "
        f"{measured.place}."
    )


def _score_cells(found: ClassScores) -> Iterator[str]:
    yield from (found.label, f"{found.clips:,}")
    for each in (found.precision, found.recall, found.f1):
        yield from _with_interval(each)


def _scores(found: Sequence[ClassScores], name: str) -> Figure:
    """Draw a score of each class with its interval."""
    scores: list[Score] = [getattr(each, name) for each in found]
    return figures.panel(
        plot.per_class,
        [each.label for each in found],
        [each.value for each in scores],
        [None if x.low is None or x.high is None else (x.low, x.high) for x in scores],
        label="F1" if name == "f1" else name,
        size=(3.8, 1.1 + 0.26 * len(found)),
    )


def _with_interval(score: Score) -> tuple[str, str]:
    if score.value is None:
        return "-", ""
    return f"{score.value:.1%}", f"{score.low:.1%} to {score.high:.1%}"


def _playable(run: Run, heard: Heard, number: int, folio: Folio) -> PlayableClip:
    caption = f"{heard.name}: {heard.label}, taken for {heard.predicted} ({heard.probability:.1%})"
    svg = folio.small(f"wrong-{number + 1}", lambda: figures.spectrogram(run, heard))
    return PlayableClip(svg, caption, wav_url(heard.samples, run.config.srnn.sample_rate))


def _extreme(measured: Measured) -> Iterator[str]:
    """Yield which neurons are silent and which are saturated."""
    for number, rates in enumerate(measured.mean_firing, start=1):
        silent, saturated = (
            np.flatnonzero(rates == 0).tolist(),
            np.flatnonzero(rates > plot.SATURATED).tolist(),
        )
        yield (
            f"Layer {number}: {len(silent)} of {len(rates)} neurons are silent{_names(silent)}, "
            f"{len(saturated)} are saturated, at more than {plot.SATURATED:g} spikes per time step"
            f"{_names(saturated)}."
        )


def _names(places: Sequence[int]) -> str:
    if not places:
        return ""
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    return f" ({', '.join(map(str, places[:_NAMED]))}{more})"


def _group_cells(group: compare.Group, keys: Sequence[str]) -> Iterator[str]:
    yield from ([group.keys[key] for key in keys] if keys else ["all"])
    yield ", ".join(str(run.config.srnn.seed) for run in group.runs)
    for column in compare.COLUMNS:
        found = compare.figure(column, group.runs)
        std = "" if found.std is None else f" ± {format(found.std, column.style)}"
        yield f"{_cell(found.mean, column.style)}{std}"


def _cell(value: float | None, style: str) -> str:
    return "-" if value is None else format(value, style)
