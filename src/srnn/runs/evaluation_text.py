# SPDX-License-Identifier: MPL-2.0
"""The result of an evaluation, for people."""

import textwrap
from collections.abc import Iterator

from srnn.data.labels import BACKGROUND, SILENCE, UNKNOWN
from srnn.training.evaluation import Evaluation

_WIDTH = 80  # columns of a terminal


def to_text(result: Evaluation) -> str:
    """Return the summary, and below it the accuracy and the confusions of each label."""
    lines = [str(result)]
    if result.accuracy_without_silence is not None:
        lines.append(f"accuracy without silence: {result.accuracy_without_silence:.2%}")
    if result.accuracy_of_held_out is not None:
        lines.append(
            f"accuracy on what was held out of training ({', '.join(sorted(result.held_out))}): "
            f"{result.accuracy_of_held_out:.2%}"
        )
    if result.calibration_error is not None:
        lines.append(
            f"expected calibration error of the probabilities: {result.calibration_error:.2%}"
        )
    if result.firing_rate:
        rates = ", ".join(f"{rate:.4f}" for rate in result.firing_rate)
        lines.append(f"firing rate of each layer (spikes per neuron and time step): {rates}")
    if result.spikes is not None and result.operations:
        lines.append(
            f"an inference: {result.spikes:,.0f} spikes, "
            f"{result.operations.accumulates:,.0f} accumulates, "
            f"{result.operations.multiply_accumulates:,.0f} multiply-accumulates"
        )
    if result.energy:
        lines += result.energy.lines()
    width = max(map(len, result.labels))
    lines.append(f"{'':{width}} {'clips':>7} {'accuracy':>9}  taken for")
    for index, (label, accuracy) in enumerate(result.per_class.items()):
        count = result.counts[index]
        fraction = "-" if accuracy is None else f"{accuracy:.1%}"
        taken_for = [
            f"{other}\N{NO-BREAK SPACE}{result.confusion[index][column]}"
            for column, other in enumerate(result.labels)
            if column != index and result.confusion[index][column]
        ]
        line = f"{label:{width}} {count:>7} {fraction:>9}  {', '.join(taken_for)}"
        broken = textwrap.fill(line, _WIDTH, subsequent_indent=" " * (width + 20))
        lines.append(broken.replace("\N{NO-BREAK SPACE}", " "))
    return "\n".join([*lines, *_behind(result)])


def _behind(result: Evaluation) -> Iterator[str]:
    """Yield what became of the words in `_unknown_`, and the recordings in `_silence_`."""
    noises, words = [], []
    for word, (hits, count) in result.words.items():
        folder, slash, noise = word.rpartition("/")
        if slash and folder == BACKGROUND:
            noises.append(f"{noise} {hits}/{count}")
        elif word not in result.labels:
            words.append(f"{word} {hits}/{count}")
    for label, kind, parts in ((UNKNOWN, "word", words), (SILENCE, "recording", noises)):
        if parts:
            text = (
                f"clips of each {kind} in {label} that were taken for {label}: {', '.join(parts)}"
            )
            yield textwrap.fill(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
