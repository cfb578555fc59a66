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
from srnn.energy import LEFT_OUT, Row, table
from srnn.errors import printable
from srnn.instruments.clip import picture
from srnn.instruments.listening import stream_report
from srnn.instruments.listening.measure import Curves
from srnn.instruments.report import compare, figures
from srnn.instruments.report.collect import (
    ClassifiedClip,
    Measured,
    Run,
    time_constants,
)
from srnn.instruments.report.folio import Folio
from srnn.instruments.report.page import Block, PlayableClip, Tab, Table, wav_url
from srnn.instruments.report.scores import RESAMPLES, ClassScores, Score, class_scores
from srnn.runs.results import Json, mean, std
from srnn.runs.tables import cell
from srnn.version import VERSION

_CURVES = {"loss": plot.loss, "accuracy": plot.accuracy, "firing": plot.firing}
_ENERGY: dict[str, Callable[[Row], float]] = {
    "spikes and events": lambda row: row.spikes,
    "accumulates": lambda row: row.accumulates,
    "multiply-accumulates": lambda row: row.multiply_accumulates,
    "neuron updates": lambda row: row.updates,
    "words of weights": lambda row: row.weight_words,
    "words of neurons": lambda row: row.neuron_words,
    "operations (nJ)": lambda row: row.operations_nj,
    "memory (nJ)": lambda row: row.memory_nj,
    "total (nJ)": lambda row: row.total_nj,
}
_ENERGY_NOTE = f"An estimate, by the formulas and sources of srnn.energy. {LEFT_OUT}"
_SHOWN = {
    "accuracy": ".2%",
    "interval": ".2%",
    "balanced_accuracy": ".2%",
    "accuracy_without_silence": ".2%",
    "accuracy_of_held_out": ".2%",
    "majority_share": ".2%",
    "loss": ".4f",
    "calibration_error": ".2%",
    "firing_rate": ".4f",
    "spikes": ",.0f",
}
# Metrics of several runs: their key, what it is, and by which factor it is drawn.
_COMPARED = (
    ("valid_loss", "validation loss (nats)", 1.0),
    ("valid_accuracy", "validation accuracy (%)", 100.0),
)
_INTERVALS = (
    f"Intervals of 95 %: Wilson's of precision and recall; of F1, from {RESAMPLES:,} bootstrap "
    "samples of the clips. There is none where F1 is 0 or 100 %."
)
_NAMED = 40  # neurons that are named at most


def overview(run: Run, results: Json | None, measured: Measured | str, folio: Folio) -> Tab:
    """Return the main results and the learning curves."""
    blocks = [Block(texts=[*_source(results, measured)], tiles=[*_tiles(run, results)])]
    if run.metrics:
        best = run.checkpoint.epoch
        epochs = [line["epoch"] for line in run.metrics]
        mark = best if best in epochs else None  # not yet, where a run is still being trained
        drawn = [
            folio.draw(name, partial(figures.panel, draw, run.metrics, best=mark))
            for name, draw in _CURVES.items()
        ]
        text = f"The best epoch, by its validation, is {best} of {len(epochs)}."
        blocks.append(Block("Training", [text], figures=drawn))
    else:
        blocks.append(Block("Training", ["There is no metrics.jsonl beside this network."]))
    if results:
        rows = [[name, text] for name, text in _values(results)]
        blocks.append(Block("Results", tables=[Table(["", results["partition"]], rows)]))
    return Tab("overview", "Overview", blocks)


def classes(run: Run, results: Json, measured: Measured | None, folio: Folio) -> Tab:
    """Return confusions, precision and recall, and the clips that were most surely wrong."""
    found = class_scores(results["confusion"], results["labels"])
    matrix = folio.draw(
        "confusion",
        lambda: figures.confusion(results),
        f"Clips of the {results['partition']} partition by true and predicted label.",
    )
    intervals = [
        folio.draw(name, partial(_scores, found, name)) for name in ("precision", "recall", "f1")
    ]
    heads = ["class", "clips", "precision", "interval", "recall", "interval", "F1", "interval"]
    rows = [[*_score_cells(each)] for each in found]
    blocks = [
        Block(figures=[matrix]),
        Block(
            "Precision, recall and F1", [_INTERVALS], tables=[Table(heads, rows)], figures=intervals
        ),
    ]
    if measured and measured.wrong:
        clips = [_playable(run, each, n, folio) for n, each in enumerate(measured.wrong)]
        blocks.append(Block("The clips that were most surely wrong", clips=clips))
    return Tab("classes", "Classes", blocks)


def clip(run: Run, shown: ClassifiedClip, folio: Folio) -> Tab:
    """Return what the network did with one clip."""
    name, rate = printable(shown.name), run.config.srnn.sample_rate
    what = "" if shown.label is None else f", whose label is {shown.label}"
    texts = [f"{name}{what}: {shown.predicted}, {shown.probability:.1%}."]
    if run.depends_on_batch:
        texts.append(
            "This network normalises features by those of the batch: alone, as it is drawn here, "
            "a clip may get other probabilities than in an evaluation."
        )
    drawn = folio.draw(
        "clip",
        lambda: picture(run.recogniser, shown.samples),
        "From top to bottom: waveform, features, input of the first layer, spikes of each hidden "
        "layer (neurons sorted by their mean spike time), potential and threshold of some neurons, "
        "and the class probabilities of what has been received so far. Decided is the first time "
        "step from which on the most probable label stays the final one.",
        wide=True,
    )
    sound = PlayableClip("", name, wav_url(shown.samples, rate))
    return Tab("clip", "A clip", [Block(texts=texts, clips=[sound], figures=[drawn])])


def neurons(run: Run, measured: Measured | None, folio: Folio) -> Tab:
    """Return time constants before and after training, and firing by neuron and class."""
    before = run.time_constants_before
    after = time_constants(run.recogniser.spotter.network)
    drawn = [
        folio.draw(
            f"time-constants-{number}",
            partial(figures.panel, plot.time_constants, before.get(name), values, name),
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
        blocks.append(Block("Firing", [*_extreme(measured)], figures=[*of_neurons, of_classes]))
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
    return Tab(
        "configuration",
        "Configuration",
        [
            Block("Keys that differ from the defaults", code="\n".join(changes(run.config))),
            Block("All keys", code=to_toml(run.config)),
            versions(),
        ],
    )


def versions() -> Block:
    """Return the versions of what writes the report."""
    rows = [
        ["srnn", VERSION],
        ["Python", platform.python_version()],
        ["torch", torch.__version__],
        ["numpy", np.__version__],
        ["machine", platform.platform()],
    ]
    return Block("Versions that wrote this report", tables=[Table([], rows)])


def comparison(runs: Sequence[Run], folio: Folio) -> Tab:
    """Return several runs side by side."""
    found = compare.groups(runs)
    keys = compare.differing_keys(runs)
    heads = [*(keys or ["runs"]), "seeds", *(column.name for column in compare.COLUMNS)]
    rows = [[*_group_cells(each, keys)] for each in found]
    single = [
        [run.name, str(run.config.srnn.seed), *(cell(c.of(run), c.style) for c in compare.COLUMNS)]
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
            folio.draw(
                key,
                partial(figures.panel, plot.compare, curves, key, label=label, factor=factor),
            )
            for key, label, factor in _COMPARED
        ]
        blocks.append(Block("Learning curves", figures=drawn))
    return Tab("comparison", "Comparison", blocks)


def _source(results: Json | None, measured: Measured | str) -> Iterator[str]:
    """Yield what the results are from."""
    if isinstance(measured, str):
        yield f"The clips were not measured: {printable(measured)}."
        yield "The results are those of test.json." if results else "There is no test.json either."
    elif results:
        yield (
            f"Measured on the {sum(results['counts'].values()):,} clips of the "
            f"{results['partition']} partition of {printable(measured.place)}. Every clip counts "
            "equally (the plain protocol)."
        )


def _tiles(run: Run, results: Json | None) -> Iterator[tuple[str, str]]:
    if results and results.get("accuracy") is not None:
        low, high = results["interval"]
        yield f"accuracy ({results['partition']})", f"{results['accuracy']:.2%}"
        yield "95 % interval", f"{low:.2%} to {high:.2%}"
        yield "spikes an inference", f"{results['spikes']:,.0f}"
    yield "parameters", f"{run.parameters:,}"
    yield "labels", str(len(run.recogniser.labels))


def _values(results: Json) -> Iterator[tuple[str, str]]:
    """Yield names and values of results; older runs lack some."""
    for name, style in _SHOWN.items():
        value = results.get(name)
        if value is not None:
            values = value if isinstance(value, list | tuple) else [value]
            yield name.replace("_", " "), ", ".join(format(each, style) for each in values)
    for name, value in (results.get("operations") or {}).items():
        yield name.replace("_", "-"), f"{value:,.0f}"


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
    interval = "" if score.low is None else f"{score.low:.1%} to {score.high:.1%}"
    return f"{score.value:.1%}", interval


def _playable(run: Run, wrong: ClassifiedClip, number: int, folio: Folio) -> PlayableClip:
    caption = (
        f"{printable(wrong.name)}: {wrong.label}, taken for {wrong.predicted} "
        f"({wrong.probability:.1%})"
    )
    svg = folio.small(f"wrong-{number + 1}", lambda: figures.spectrogram(run, wrong))
    return PlayableClip(svg, caption, wav_url(wrong.samples, run.config.srnn.sample_rate))


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
        values = [column.of(run) for run in group.runs]
        spread = std(values)
        of_seeds = "" if spread is None else f" ± {format(spread, column.style)}"
        yield f"{cell(mean(values), column.style)}{of_seeds}"
