# SPDX-License-Identifier: MPL-2.0
"""A trained network as a program of ``torch.export``, which loads without this package."""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from srnn.export.agreement import Reference
from srnn.export.clips import Chosen
from srnn.export.program import Program, clip_program, description
from srnn.export.requirements import expect_file, scale_of
from srnn.files import write_atomically
from srnn.runs.recogniser import Recogniser

METADATA = "srnn.json"
"""Name of the metadata in the file, see `description`."""

_SCRIPT = Path(__file__).parent / "standalone" / "run_program.py"


def export_torch(
    recogniser: Recogniser, output: Path, *, with_features: bool, chosen: Chosen
) -> str:
    """Write a trained network as a program, if that agrees with ``srnn predict``.

    Parameters
    ----------
    recogniser : Recogniser
    output : Path
        ``NAME.pt2``.
    with_features : bool
        Whether the program takes samples, instead of features.
    chosen : Chosen
        The clips that it is compared on.

    Returns
    -------
    str
        What was written, and how it compares, in lines.

    Raises
    ------
    InputError
        If the normalisation depends on the batch, there are no clips, or nothing can be written.
    RuntimeError
        If the program computes something else, or does not load. Nothing is written then.
    """
    expect_file(output, ".pt2")
    scale_of(recogniser.spotter.normaliser, "torch")
    reference = Reference.of(recogniser, chosen)
    begun = time.perf_counter()
    program = clip_program(recogniser, with_features)
    content = to_bytes(program, recogniser)
    made = time.perf_counter() - begun
    computed = run(content, reference.clips.inputs(recogniser, with_features))
    findings = reference.expect_equal("the program", computed)
    write_atomically(output, content)
    return "\n".join(
        [
            f"{output}: {len(content):,} bytes, {program.inputs[0]} to probabilities",
            f"PyTorch {torch.__version__}, made in {made:.0f} s",
            f"checked without this package on {reference.clips.summary}",
            *findings,
        ]
    )


def to_bytes(program: Program, recogniser: Recogniser) -> bytes:
    """Return the content of the file of a program."""
    file = io.BytesIO()
    metadata = {METADATA: json.dumps(description(recogniser))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about itself
        torch.export.save(program.traced, file, extra_files=metadata)
    return file.getvalue()


def run(content: bytes, inputs: Tensor) -> Tensor:
    """Return the probabilities (N, K) that the program in a file computes, without this package.

    Another process runs it, which finds the other packages where this one does.

    Parameters
    ----------
    content : bytes
    inputs : Tensor, shape (N, ...)
        The samples or features of N clips.

    Raises
    ------
    RuntimeError
        If the program does not load or run.
    """
    with tempfile.TemporaryDirectory() as place:
        program, given, found = (Path(place, name) for name in ("a.pt2", "in.npy", "out.npy"))
        program.write_bytes(content)
        np.save(given, inputs.numpy())
        command = [sys.executable, str(_SCRIPT), *map(str, (program, given, found))]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"the program does not run without this package: {last}")
        return torch.from_numpy(np.load(found))
