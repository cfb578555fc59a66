# SPDX-License-Identifier: MPL-2.0
"""A trained network as ONNX models: one of whole clips, one of a time step.

Legend: N clips, S samples, C channels, T time steps, M mel bands, K labels.
"""

import json
import logging
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.export.agreement import Reference, time_line
from srnn.export.clips import BATCH, Chosen
from srnn.export.program import Program, Step, clip_program, description, step_program
from srnn.export.requirements import expect_file, scale_of
from srnn.files import write_atomically
from srnn.packages import expect_packages
from srnn.runs.recogniser import Recogniser

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

OPSET = 20
"""Version of the operators."""


def export_onnx(
    recogniser: Recogniser, output: Path, *, with_features: bool, chosen: Chosen
) -> str:
    """Write a trained network as two ONNX models, if they agree with ``srnn predict``.

    Parameters
    ----------
    recogniser : Recogniser
    output : Path
        ``NAME.onnx`` classifies whole clips; ``NAME-step.onnx``, beside it, computes one time step.
    with_features : bool
        Whether the first takes samples, instead of features. The second takes features.
    chosen : Chosen
        The clips that they are compared on, by onnxruntime.

    Returns
    -------
    str
        What was written, and how it compares, in lines.

    Raises
    ------
    InputError
        If a package is missing, the normalisation depends on the batch, there are no clips, or
        nothing can be written.
    RuntimeError
        If ONNX lacks an operator, or a model computes something else. Nothing is written then.
    """
    expect_packages("srnn export --to onnx", "export", "onnx", "onnxruntime", "onnxscript")
    expect_file(output, ".onnx")
    scale_of(recogniser.spotter.normaliser, "onnx")
    reference = Reference.of(recogniser, chosen)
    clips = reference.clips

    begun = time.perf_counter()
    clip = model(clip_program(recogniser, with_features), description(recogniser))
    initial = _initial_state(recogniser)
    step = model(step_program(recogniser), {**description(recogniser), "initial_state": initial})
    made = time.perf_counter() - begun

    inputs = clips.inputs(recogniser, with_features)
    begun = time.perf_counter()
    computed = run_clips(clip, inputs)
    seconds = time.perf_counter() - begun
    findings = reference.expect_equal("the ONNX model", computed)
    stepwise = run_steps(step, clips.inputs(recogniser, with_features=False))
    findings += reference.expect_equal("the ONNX model of a step", stepwise)

    beside = output.with_name(f"{output.stem}-step.onnx")
    lines = []
    for path, each in ((beside, step), (output, clip)):
        content = each.SerializeToString()
        write_atomically(path, content)
        lines.append(f"{path}: {len(content):,} bytes, {_signature(each.graph)}")
    return "\n".join(
        [
            *reversed(lines),
            f"opset {OPSET}, made in {made:.0f} s",
            f"checked by onnxruntime on {clips.summary}",
            *findings,
            time_line(seconds, clips, recogniser.config.srnn.sample_rate),
        ]
    )


def model(program: Program, metadata: Mapping[str, Any]) -> "ModelProto":
    """Return a traced program as an ONNX model, with metadata, each value as JSON.

    Raises
    ------
    RuntimeError
        If ONNX lacks an operator for an operation of the neurons.
    """
    import onnx

    with _quiet():
        try:
            exported = torch.onnx.export(
                program.traced,
                dynamo=True,
                opset_version=OPSET,
                input_names=program.inputs,
                output_names=program.outputs,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:  # of a neuron of the user's own: pages
            first = str(_cause(error)).strip().partition("\n")[0]
            raise RuntimeError(
                f"srnn.neuron: torch.onnx.export cannot convert its operations: {first}"
            ) from error
    assert exported is not None
    made = exported.model_proto
    onnx.helper.set_model_props(made, {name: json.dumps(each) for name, each in metadata.items()})
    made.producer_name = "srnn"
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "clips"
    for graph in _graphs(made.graph):
        del graph.value_info[:]  # shapes that follow from the others, under names of no meaning
        for node in graph.node:
            del node.metadata_props[:]
    onnx.checker.check_model(made, full_check=True)
    return made


def _cause(error: BaseException) -> BaseException:
    """Return the error that an error results from; its own text is advice to developers."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def run_clips(clip: "ModelProto", inputs: Tensor) -> Tensor:
    """Return the probabilities (N, K) that a model of clips computes of samples or features."""
    session = _session(clip)
    (name,) = (each.name for each in session.get_inputs())
    return torch.cat(
        [
            torch.from_numpy(session.run(["probabilities"], {name: some.numpy()})[0])
            for some in inputs.split(BATCH)
        ]
    )


def run_steps(step: "ModelProto", features: Tensor) -> Tensor:
    """Return the probabilities (N, K) that a model of a step has after the last one.

    Parameters
    ----------
    step : ModelProto
    features : Tensor, shape (N, C, T, M)
        Of clips, not normalised.
    """
    session = _session(step)
    named = {each.key: each.value for each in step.metadata_props}
    initial = json.loads(named["initial_state"])
    _, *inputs = session.get_inputs()
    state = [
        _filled(initial.get(each.name, 0.0), (len(features), each.shape[1])) for each in inputs
    ]
    names = [each.name for each in inputs]
    found: NDArray[np.float32] = np.empty(0, np.float32)
    for frame in features.unbind(dim=2):
        given = {"features": frame.numpy(), **dict(zip(names, state, strict=True))}
        found, *state = session.run(None, given)
    return torch.from_numpy(found)


def _filled(value: Any, shape: Sequence[int]) -> NDArray[np.float32]:
    return np.broadcast_to(np.asarray(value, np.float32), shape).copy()


def _session(some: "ModelProto") -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(
        some.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def _initial_state(recogniser: Recogniser) -> dict[str, Any]:
    """Return the state before the first step by name, where it is not 0, a number or a list."""
    step = Step(recogniser)
    found: dict[str, Any] = {}
    for name, values in zip(step.state_names, step.initial_state(1), strict=True):
        if values.any():
            is_constant = bool((values == values[0, 0]).all())
            found[name] = values[0, 0].item() if is_constant else values[0].tolist()
    return found


def _signature(graph: "GraphProto") -> str:
    """Return the first input and the first output of a model with their shapes, and the rest."""
    first, *others = graph.input
    shape = [each.dim_param or each.dim_value for each in first.type.tensor_type.shape.dim]
    state = f" and {len(others)} tensors of state" if others else ""
    return f"{first.name} ({', '.join(map(str, shape))}){state} to {graph.output[0].name}{state}"


def _graphs(graph: "GraphProto") -> Iterator["GraphProto"]:
    """Yield a graph and those within it: the body of the loop over time steps."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the warnings of torch's exporter: of missing packages, which are not needed here."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            log.setLevel(level)
