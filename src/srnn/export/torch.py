# SPDX-License-Identifier: MPL-2.0
"""A trained network as a program of ``torch.export``, which loads without this package."""

import io
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from srnn.export.agreement import Agreement, accuracy_lines
from srnn.export.clips import Chosen, probabilities
from srnn.export.program import Program, clip_program, description
from srnn.export.requirements import expect_file, scale_of
from srnn.files import write_atomically
from srnn.runs.recogniser import Recogniser

METADATA = "srnn.json"
"""Name of the metadata in the file, see `description`."""

_SCRIPT = Path(__file__).with_name("run_program.py")


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
        If the network does not judge clips one by one, there are no clips, or nothing can be
        written.
    RuntimeError
        If the program computes something else, or does not load. Nothing is written then.
    """
    expect_file(output, ".pt2")
    scale_of(recogniser.spotter.normaliser, "torch")
    clips = chosen.clips(recogniser)
    predicted = probabilities(recogniser, clips.samples)
    begun = time.perf_counter()
    program = clip_program(recogniser, with_features)
    content = to_bytes(program, recogniser)
    made = time.perf_counter() - begun
    computed = run(content, clips.sounds(recogniser, with_features))
    agreement = Agreement.of(computed, predicted)
    agreement.expect("the program")
    write_atomically(output, content)
    return "\n".join(
        [
            f"{output}: {len(content):,} bytes, {program.inputs[0]} to probabilities",
            f"PyTorch {torch.__version__}, made in {made:.0f} s",
            f"checked without this package on {len(clips.samples):,} clips: {clips.origin}",
            agreement.line("the program"),
            *accuracy_lines("the program", computed, predicted, clips),
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


def run(content: bytes, sounds: Tensor) -> Tensor:
    """Return the probabilities (N, K) that the program in a file computes, without this package.

    Parameters
    ----------
    content : bytes
    sounds : Tensor, shape (N, ...)
        The samples or features of N clips.

    Raises
    ------
    RuntimeError
        If the program does not load or run.
    """
    with tempfile.TemporaryDirectory() as place:
        program, given, found = (Path(place, name) for name in ("a.pt2", "in.npy", "out.npy"))
        program.write_bytes(content)
        np.save(given, sounds.numpy())
        command = [sys.executable, "-I", str(_SCRIPT), *map(str, (program, given, found))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"the program does not run without this package: {last}")
        return torch.from_numpy(np.load(found))
