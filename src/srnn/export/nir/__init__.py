# SPDX-License-Identifier: MPL-2.0
"""A trained network as a file of the Neuromorphic Intermediate Representation."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from srnn.export.agreement import Reference
from srnn.export.clips import Chosen
from srnn.export.nir.evaluation import evaluate
from srnn.export.nir.graph import OUTPUT, graph_of
from srnn.export.requirements import expect_file
from srnn.files import write_atomically
from srnn.network.model import of_classes
from srnn.packages import expect_packages
from srnn.runs.recogniser import Recogniser

if TYPE_CHECKING:
    from nir import NIRGraph


def export_nir(recogniser: Recogniser, output: Path, *, chosen: Chosen) -> str:
    """Write a trained network as a NIR graph, if that agrees with ``srnn predict``.

    Parameters
    ----------
    recogniser : Recogniser
    output : Path
        ``NAME.nir``; see `graph_of` for what it has.
    chosen : Chosen
        The clips that it is compared on.

    Returns
    -------
    str
        What was written, and how it compares, in lines.

    Raises
    ------
    InputError
        If the package ``nir`` is missing, NIR cannot express the network, there are no clips, or
        nothing can be written.
    RuntimeError
        If the graph that was read back computes something else. Nothing is written then.
    """
    expect_packages("srnn export --to nir", "export", "nir")
    import nir

    expect_file(output, ".nir")
    graph = graph_of(recogniser)
    reference = Reference.of(recogniser, chosen)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "graph.nir")
        nir.write(file, graph)
        content, again = file.read_bytes(), nir.read(file)
    inputs = reference.clips.inputs(recogniser, with_features=False)
    findings = reference.expect_equal("the NIR graph", run(again, recogniser, inputs))
    write_atomically(output, content)
    return "\n".join(
        [
            f"{output}: {len(content):,} bytes, {len(graph.nodes)} nodes, features to potentials "
            f"of the readout; time step {recogniser.step / 1000:g} s, forward Euler",
            f"read back by nir {nir.version}, and evaluated on {reference.clips.summary}",
            *findings,
        ]
    )


def run(graph: "NIRGraph", recogniser: Recogniser, features: Tensor) -> Tensor:
    """Return the probabilities (N, K) of features (N, C, T, M), given the graph of a network."""
    network = recogniser.spotter.network
    inputs = features.permute(2, 0, 1, 3).flatten(2)  # (T, N, C M): channel by channel
    potentials = evaluate(graph, inputs, [OUTPUT])[OUTPUT]
    log_probs = torch.log_softmax(network.readout.scores(potentials), dim=-1)
    return of_classes(log_probs, network.classes).exp()
