# SPDX-License-Identifier: MPL-2.0
"""A trained network as a C program: one header and one source, C99, no allocation."""

from pathlib import Path

from torch import Tensor

from srnn.errors import InputError
from srnn.export.c.check import FLAGS, Comparison, compare, find_compiler
from srnn.export.c.program import Program, program_of
from srnn.export.c.weights import Weights
from srnn.export.clips import Clips, clips_of, validation_clips
from srnn.runs.recogniser import Recogniser


def export_c(
    recogniser: Recogniser,
    output: Path,
    *,
    weights: Weights = "float32",
    dataroot: Path | None = None,
    recordings: tuple[Path, ...] = (),
    count: int = 200,
) -> str:
    """Write a trained network as a C program, compile it, and compare it with ``srnn predict``.

    Parameters
    ----------
    recogniser : Recogniser
    output : Path
        A folder; made if missing, files of the same names are replaced.
    weights : "float32" or "int8"
    dataroot : Path, optional
        Where the data set lies whose validation clips it is compared on.
    recordings : tuple of Path
        Files, folders and patterns: it is compared on these instead, if given.
    count : int >= 1
        Clips that it is compared on, at most.

    Returns
    -------
    str
        What was written, what it needs, and how it compares, in lines.

    Raises
    ------
    InputError
        If the program cannot compute what the configuration has, there are no clips, or nothing can
        be written.
    RuntimeError
        If the program does not compile, or computes something else. Its files stay.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"--output {output}: expected a folder, found a file")
    program = program_of(recogniser, weights)
    compiler = find_compiler()
    clips = None
    if compiler:
        clips = (
            clips_of(recogniser, recordings, count)
            if recordings
            else validation_clips(recogniser, dataroot, count)
        )
    program.write(output)
    lines = [
        f"{output}: {', '.join(program.files)}; weights: {weights}",
        f"RAM: {program.ram:,} bytes (srnn_memory), and the stack; `listen` also keeps a clip, "
        f"{2 * recogniser.config.srnn.size:,} bytes",
    ]
    if not compiler or clips is None:
        return "\n".join(
            [
                *lines,
                f"flash: {program.tables:,} bytes of tables, and the code",
                "not checked: no C compiler (gcc, cc, clang) was found",
            ]
        )
    comparison = compare(recogniser, program, output, compiler, clips)
    comparison.expect_equal()
    return "\n".join(lines + _findings(program, comparison, clips, compiler, recogniser))


def _findings(
    program: Program,
    comparison: Comparison,
    clips: Clips,
    compiler: str,
    recogniser: Recogniser,
) -> list[str]:
    """Return what the check has found, in lines."""
    number, keys = len(clips.samples), recogniser.config.srnn
    code = f"{comparison.code:,} bytes of code (this machine)" if comparison.code else "the code"
    computed = comparison.computed
    lines = [
        f"flash: {program.tables:,} bytes of tables, and {code}",
        f"compiled: {Path(compiler).name} {' '.join(FLAGS)}",
        f"checked on {number:,} clips: {clips.origin}",
        _difference("`srnn predict`", computed, comparison.predicted),
    ]
    if program.weights == "int8":
        lines.append(_difference("the same 8-bit weights", computed, comparison.expected))
    if clips.labels is not None:
        accuracies = [
            float((each.argmax(dim=1) == clips.labels).float().mean())
            for each in (computed, comparison.predicted)
        ]
        lines.append("accuracy: C {:.2%}, `srnn predict` {:.2%}".format(*accuracies))
    seconds, length = comparison.seconds / number, keys.size / keys.sample_rate
    lines.append(
        f"time: {1000 * seconds:.2f} ms a clip of {length:g} s on this machine, real-time factor "
        f"{seconds / length:.4f}"
    )
    return lines


def _difference(name: str, computed: Tensor, others: Tensor) -> str:
    """Return how two probabilities (N, K) differ, on a line."""
    differences = (computed - others).abs().amax(dim=1)
    same = int((computed.argmax(dim=1) == others.argmax(dim=1)).sum())
    return (
        f"against {name}: {same:,} of {len(computed):,} labels agree; difference of the "
        f"probabilities of a clip: largest {differences.max():.2g}, median "
        f"{differences.median():.2g}"
    )
