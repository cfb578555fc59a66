# SPDX-License-Identifier: MPL-2.0
"""The C program against the package: it is compiled, and classifies the same clips.

Legend: N clips, K labels.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from srnn.export.agreement import Agreement
from srnn.export.c.program import Program
from srnn.export.clips import Clips, probabilities
from srnn.runs.recogniser import Recogniser

FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True)
class Comparison:
    """What the C program computes beside what the package does.

    Attributes
    ----------
    computed : Tensor, shape (N, K)
        Probabilities of the C program.
    predicted : Tensor, shape (N, K)
        Those of ``srnn predict``.
    expected : Tensor, shape (N, K)
        Those that the package computes with the weights that the C program has.
    seconds : float
        Processor time of the C program.
    code : int
        Size of its code, without the tables (bytes); 0 where that could not be measured.
    """

    computed: Tensor
    predicted: Tensor
    expected: Tensor
    seconds: float
    code: int

    def expect_equal(self) -> None:
        """Raise a RuntimeError unless the C program computes what it is meant to."""
        Agreement.of(self.computed, self.expected).expect("the C program")


def find_compiler() -> str | None:
    """Return a C compiler of this machine: gcc, cc or clang; None where there is none."""
    return next(filter(None, map(shutil.which, ("gcc", "cc", "clang"))), None)


def compare(
    recogniser: Recogniser,
    program: Program,
    folder: Path,
    compiler: str,
    clips: Clips,
    flags: Sequence[str] = FLAGS,
) -> Comparison:
    """Compile the program that was written into ``folder``, and have it classify clips.

    Raises
    ------
    RuntimeError
        If it does not compile or run.
    """
    with tempfile.TemporaryDirectory() as place:
        binary = Path(place, "check")
        source = files(__package__) / "templates" / "check.c"
        Path(place, "check.c").write_text(source.read_text("utf-8"), encoding="utf-8")
        sources = [str(folder.resolve() / "srnn.c"), str(Path(place, "check.c"))]
        include = f"-I{folder.resolve()}"
        command = [compiler, *flags, include, "-o", str(binary), *sources, "-lm"]
        _run(command, "compile")
        compiled = [compiler, *flags, include, "-c", sources[0], "-o", str(Path(place, "srnn.o"))]
        _run(compiled, "compile")
        code = _code_size(Path(place, "srnn.o"), program)
        raw = Path(place, "clips")
        raw.write_bytes(clips.samples.contiguous().numpy().tobytes())
        with raw.open("rb") as file:
            done = subprocess.run([binary], stdin=file, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the C program ended with {done.returncode}: {done.stderr[-500:]!r}")
    found = np.frombuffer(done.stdout, np.float32).reshape(-1, len(recogniser.labels))
    if len(found) != len(clips.samples):
        raise RuntimeError(f"the C program classified {len(found)} of {len(clips.samples)} clips")
    predicted = probabilities(recogniser, clips.samples)
    expected = probabilities(recogniser, clips.samples, program.spotter)
    return Comparison(torch.from_numpy(found.copy()), predicted, expected, float(done.stderr), code)


def _run(command: Sequence[str], purpose: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        first = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise RuntimeError(f"the C program does not {purpose} ({' '.join(command)}): {first}")


def _code_size(object_file: Path, program: Program) -> int:
    """Return the size of the code and constants of an object file beyond the tables (bytes)."""
    size = shutil.which("size")
    if size is None:
        return 0
    done = subprocess.run([size, object_file], capture_output=True, text=True, check=False)
    if done.returncode:
        return 0
    text, data, *_ = done.stdout.splitlines()[1].split()
    return int(text) + int(data) - program.tables
