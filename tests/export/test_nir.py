# SPDX-License-Identifier: MPL-2.0
"""``srnn export --to nir``: the graph that is read back computes what the package does."""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exported import CASES, LABELS, Changes, clips, expect_equal, recogniser_of

from srnn import cli
from srnn.export.clips import probabilities
from srnn.export.nir import run
from srnn.export.nir.evaluation import evaluate
from srnn.export.nir.graph import INPUT, OUTPUT, graph_of
from tone_runs import train_on_tones

nir = pytest.importorskip("nir", reason="needs nir, group `export`")

MORE: dict[str, Changes] = {
    "events, recurrent, shifted": {
        "data": {"normalisation": "standardise"},
        "srnn": {"neuron": "adaptive_current", "recurrent": [True, True], "readout": "max"},
    },
    "feed-forward, no biases": {
        "srnn": {"neuron": "adaptive_current", "recurrent": [False, False], "bias": False},
    },
    "batch normalisation, outputs of words": {
        "mel": {"features": "log_mel"},
        "srnn": {"neuron": "lif", "threshold": 0.4, "batch_norm": True, "unknown_readouts": 3},
    },
}


def composed() -> dict[str, Mapping[str, Any]]:
    """Return the cases whose neurons NIR can express."""
    kinds = ("lif", "adaptive_current")
    return {
        name: case
        for name, case in (CASES | MORE).items()
        if case.get("srnn", {}).get("neuron") in kinds
    }


@pytest.mark.parametrize("case", composed())
def test_the_graph_has_the_spikes_of_the_network(case: str, tmp_path: Path) -> None:
    recogniser, some = recogniser_of(composed()[case]), clips()
    nir.write(tmp_path / "word.nir", graph_of(recogniser))
    graph = nir.read(tmp_path / "word.nir")
    features = some.inputs(recogniser, False)
    expect_equal(run(graph, recogniser, features), probabilities(recogniser, some.samples))
    with torch.inference_mode():
        expected = recogniser.spotter(features).hidden
    names = [f"hidden_{depth}_spikes" for depth in range(1, len(expected) + 1)]
    found = evaluate(graph, features.permute(2, 0, 1, 3).flatten(2), names)
    for name, spikes in zip(names, expected, strict=True):
        assert spikes.mean() > 0.005
        differing = (found[name] != spikes).any(dim=2).any(dim=0)  # (N,)
        assert differing.float().mean() <= 0.1, name
    metadata = {name: json.loads(value) for name, value in graph.metadata.items()}
    assert metadata["labels"] == LABELS
    assert metadata["dt"] == pytest.approx(recogniser.step / 1000)
    assert "forward Euler" in metadata["integration"]


class LeakyIntegrator(torch.nn.Module):
    """An LI by forward Euler, for nirtorch, which has none."""

    def __init__(self, node: Any, step: float) -> None:
        super().__init__()
        self.gain = torch.from_numpy(step / node.tau)
        self.r, self.leak = torch.from_numpy(node.r), torch.from_numpy(node.v_leak)

    def forward(self, x: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, torch.Tensor]:
        potential = torch.zeros(()) if state is None else state
        potential = potential + self.gain * (self.leak - potential + self.r * x)
        return potential, potential


class Function(torch.nn.Module):
    """A node without state, for nirtorch."""

    def __init__(self, compute: Callable[..., torch.Tensor], **values: Any) -> None:
        super().__init__()
        self.compute = compute
        self.values = {name: torch.from_numpy(value) for name, value in values.items()}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.compute(x, **self.values)


@pytest.mark.parametrize("case", composed())
def test_nirtorch_computes_the_same_with_the_nodes_that_it_lacks(case: str, tmp_path: Path) -> None:
    nirtorch = pytest.importorskip("nirtorch", reason="needs nirtorch, group `test`")
    recogniser, some = recogniser_of(composed()[case]), clips()
    nir.write(tmp_path / "word.nir", graph_of(recogniser))
    graph = nir.read(tmp_path / "word.nir")
    dt, linear = json.loads(graph.metadata["dt"]), torch.nn.functional.linear
    nodes = {
        nir.LI: lambda node: LeakyIntegrator(node, dt),
        nir.Scale: lambda node: Function(lambda x, scale: scale * x, scale=node.scale),
        nir.Threshold: lambda node: Function(
            lambda x, threshold: (x > threshold).float(), threshold=node.threshold
        ),
        # Its own loses the bias.
        nir.Affine: lambda node: Function(linear, weight=node.weight, bias=node.bias),
    }
    module = nirtorch.nir_to_torch(graph, nodes)
    frames = some.inputs(recogniser, False).permute(2, 0, 1, 3).flatten(2)
    state, found = None, []
    with torch.inference_mode():
        for frame in frames:
            potentials, state = module(frame, state)
            found.append(potentials)
    expected = evaluate(graph, frames, [OUTPUT])[OUTPUT]
    differences = (torch.stack(found) - expected).abs().amax(dim=(0, 2))  # (N,)
    assert (differences < 1e-5).float().mean() >= 0.9  # a spike that rounding moves


def test_time_constants_are_in_seconds() -> None:
    recogniser = recogniser_of(composed()["feed-forward, no biases"])
    node = graph_of(recogniser).nodes["readout_potential"]
    steps = recogniser.spotter.network.readout.tau_mem.numpy(force=True)
    # 1 - exp(-1 / tau) is 1 / tau, but for the length of a step.
    assert np.abs(node.tau / (recogniser.step / 1000) - steps).max() < 0.6
    assert (node.r == 1).all()


def test_the_evaluation_follows_the_equations_of_nir() -> None:
    one = np.ones(1, np.float32)
    nodes = {
        INPUT: nir.Input({"input": np.array([1])}),
        "leaky": nir.LI(tau=0.5 * one, r=2 * one, v_leak=one),
        "double": nir.Scale(2 * one),
        "back": nir.Scale(-one),
        OUTPUT: nir.Output({"output": np.array([1])}),
    }
    edges = [(INPUT, "leaky"), ("leaky", "double"), ("double", OUTPUT)]
    graph = nir.NIRGraph(nodes, [*edges, ("leaky", "back"), ("back", "leaky")])
    graph.metadata = {"dt": "0.1"}
    inputs = torch.tensor([1.0, 0.0, 3.0])[:, None, None]
    found = evaluate(graph, inputs, [OUTPUT])[OUTPUT].flatten().tolist()
    potential, expected = 0.0, []
    for value in (1.0, 0.0, 3.0):
        potential += 0.1 / 0.5 * (1 - potential + 2 * (value - potential))
        expected.append(2 * potential)
    assert found == pytest.approx(expected)


def test_the_command_checks_what_it_writes(
    tones: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changes = ["srnn.epochs=2", "srnn.neuron=lif", f"data.dataroot={tones / 'tones'}"]
    trained = train_on_tones(tones, tmp_path / "run", *changes)
    output = tmp_path / "word.nir"
    command = ["export", str(trained), "--to", "nir", "-o", str(output)]
    capsys.readouterr()
    assert cli.run(command) == 0
    text = capsys.readouterr().out
    assert f"{output}: {output.stat().st_size:,} bytes" in text
    assert "time step 0.01 s, forward Euler" in text
    agreed = re.search(r"against `srnn predict`: (\d+) of (\d+) labels agree", text)
    assert agreed
    assert int(agreed[1]) >= 0.98 * int(agreed[2]) > 5
    content = output.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("srnn.export.nir.run", lambda _, __, some: torch.ones(len(some), 4) / 4)
        assert cli.run(command) == 1
    assert "the NIR graph computes something else than" in capsys.readouterr().err
    assert output.read_bytes() == content
    monkeypatch.setitem(sys.modules, "nir", None)
    assert cli.run(command) == 2
    assert "--to nir: expected the package nir, found none" in capsys.readouterr().err


def test_a_changing_threshold_is_refused(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = train_on_tones(tones, tmp_path / "run", "srnn.epochs=1")
    capsys.readouterr()
    assert cli.run(["export", str(trained), "--to", "nir", "-o", str(tmp_path / "a.nir")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "srnn.neuron: --to nir expects one of adaptive_current, lif, found "
        '"adaptive_threshold", whose spikes subtract a threshold that changes: NIR has no node '
        "that multiplies two signals"
    )
    assert not (tmp_path / "a.nir").exists()
