# SPDX-License-Identifier: MPL-2.0
"""A trained network as a C program: one header and one source, C99, no allocation."""

from pathlib import Path

from srnn.errors import InputError
from srnn.export.agreement import Agreement, accuracy_lines, time_line
from srnn.export.c.check import FLAGS, Comparison, compare, find_compiler
from srnn.export.c.program import Program, program_of
from srnn.export.c.weights import Weights
from srnn.export.clips import Chosen, Clips
from srnn.runs.recogniser import Recogniser


def export_c(
    recogniser: Recogniser,
    output: Path,
    *,
    weights: Weights,
    chosen: Chosen,
) -> str:
    """Write a trained network as a C program, compile it, and compare it with ``srnn predict``.

    Parameters
    ----------
    recogniser : Recogniser
    output : Path
        A folder; made if missing, files of the same names are replaced.
    weights : "float32" or "int8"
    chosen : Chosen
        The clips that it is compared on.

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
    clips = chosen.clips(recogniser) if compiler else None
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
    code = f"{comparison.code:,} bytes of code (this machine)" if comparison.code else "the code"
    computed, predicted = comparison.computed, comparison.predicted
    lines = [
        f"flash: {program.tables:,} bytes of tables, and {code}",
        f"compiled: {Path(compiler).name} {' '.join(FLAGS)}",
        f"checked on {len(clips.samples):,} clips: {clips.origin}",
        Agreement.of(computed, predicted).line("C"),
    ]
    if program.weights == "int8":
        agreement = Agreement.of(computed, comparison.expected)
        lines.append(agreement.line("C", "the same 8-bit weights"))
    lines += accuracy_lines("C", computed, predicted, clips)
    return [*lines, time_line(comparison.seconds, clips, recogniser.config.srnn.sample_rate)]
