# SPDX-License-Identifier: MPL-2.0
"""The result of an evaluation, for people."""

import textwrap

from srnn.training.evaluate import Evaluation

_WIDTH = 80  # columns of a terminal


def report(result: Evaluation) -> str:
    """Return the summary, and below it the accuracy and the confusions of each label."""
    lines = [str(result)]
    if result.accuracy_without_silence is not None:
        lines.append(f"accuracy without silence: {result.accuracy_without_silence:.2%}")
    if result.accuracy_of_held_out is not None:
        lines.append(
            f"accuracy of what training did not hear ({', '.join(sorted(result.held_out))}): "
            f"{result.accuracy_of_held_out:.2%}"
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
    width = max(map(len, result.labels))
    lines.append(f"{'':{width}} {'clips':>7} {'accuracy':>9}  taken for")
    for index, (label, accuracy) in enumerate(result.per_class.items()):
        count = result.counts[index]
        share = "-" if accuracy is None else f"{accuracy:.1%}"
        taken_for = [
            f"{other}\N{NO-BREAK SPACE}{result.confusion[index][column]}"
            for column, other in enumerate(result.labels)
            if column != index and result.confusion[index][column]
        ]
        line = f"{label:{width}} {count:>7} {share:>9}  {', '.join(taken_for)}"
        broken = textwrap.fill(line, _WIDTH, subsequent_indent=" " * (width + 20))
        lines.append(broken.replace("\N{NO-BREAK SPACE}", " "))
    inside = [
        f"{word} {hits}/{count}"
        for word, (hits, count) in result.words.items()
        if word not in result.labels
    ]
    if inside:
        lines.append(f"recognised of the words and noises behind them: {', '.join(inside)}")
    return "\n".join(lines)
