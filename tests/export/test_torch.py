# SPDX-License-Identifier: MPL-2.0
"""``srnn export --to torch``: a program that runs without this package."""

import io
import json
import re
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from exported import CASES, LABELS, Resetting, clips, expect_equal, recogniser_of
from torch import Tensor

from srnn import cli
from srnn.export.clips import probabilities
from srnn.export.program import clip_program
from srnn.export.torch import METADATA, run, to_bytes
from srnn.network.neurons import State, registry
from tone_runs import train_on_tones


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("with_features", [True, False])
def test_the_program_computes_the_network(case: str, with_features: bool) -> None:
    recogniser, some = recogniser_of(CASES[case]), clips()
    program = clip_program(recogniser, with_features)
    assert program.inputs == ["samples" if with_features else "features"]
    module = program.traced.module()
    with torch.inference_mode():
        computed = module(some.inputs(recogniser, with_features))
    expected = probabilities(recogniser, some.samples)
    expect_equal(computed, expected)


@pytest.mark.filterwarnings("ignore:.*buffer is not writable:UserWarning")  # of torch's loader
def test_the_file_runs_without_the_package() -> None:
    recogniser, some = recogniser_of(CASES["as gsc8-small"]), clips()
    content = to_bytes(clip_program(recogniser, True), recogniser)
    computed = run(content, some.inputs(recogniser, True))
    expect_equal(computed, probabilities(recogniser, some.samples))
    extra = {METADATA: ""}
    torch.export.load(io.BytesIO(content), extra_files=extra)
    assert json.loads(extra[METADATA])["labels"] == LABELS
    assert b"site-packages" not in content
    with pytest.raises(RuntimeError, match=r"^the program does not run without this package: \w"):
        run(b"no program", some.inputs(recogniser, True))


def test_the_other_process_finds_packages_where_this_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but this package."""
    monkeypatch.syspath_prepend(tmp_path)
    for content, message in (
        ("raise ImportError('the torch of this folder')", "the torch of this folder"),
        ("import srnn", "import of srnn halted"),
    ):
        (tmp_path / "torch.py").write_text(content)
        with pytest.raises(RuntimeError, match=message):
            run(b"", torch.zeros(1))


def test_neurons_from_outside_the_package_can_be_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._kinds, "resetting", Resetting)
    recogniser, some = recogniser_of({"srnn": {"neuron": "resetting"}}), clips()
    module = clip_program(recogniser, True).traced.module()
    with torch.inference_mode():
        computed = module(some.inputs(recogniser, True))
    expect_equal(computed, probabilities(recogniser, some.samples))


class Branching(Resetting):
    """A neuron whose operations depend on values."""

    name: ClassVar[str] = "branching"

    def step(self, current: Tensor, state: State, parameters: Tensor) -> State:
        if state.spikes.sum() > 0:
            current = current - 1
        return super().step(current, state, parameters)


def test_neurons_that_cannot_be_traced_are_an_error_on_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(registry._kinds, "branching", Branching)
    recogniser = recogniser_of({"srnn": {"neuron": "branching"}})
    with pytest.raises(
        RuntimeError, match=r"^torch\.export cannot trace the network: \w"
    ) as caught:
        clip_program(recogniser, True)
    assert "\n" not in str(caught.value)


def test_the_command_checks_what_it_writes(
    tones: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = f"data.dataroot={tones / 'tones'}"
    run_ = train_on_tones(tones, tmp_path / "run", "srnn.epochs=2", root)
    output = tmp_path / "word.pt2"
    command = ["export", str(run_), "--to", "torch", "-o", str(output)]
    capsys.readouterr()
    assert cli.run([*command, "--no-features"]) == 0
    text = capsys.readouterr().out
    assert f"{output}: {output.stat().st_size:,} bytes, features to probabilities" in text
    assert "checked without this package on " in text
    agreed = re.search(r"against `srnn predict`: (\d+) of (\d+) labels agree", text)
    assert agreed
    assert int(agreed[1]) >= 0.98 * int(agreed[2]) > 5
    content = output.read_bytes()
    monkeypatch.setattr("srnn.export.torch.run", lambda _, inputs: torch.ones(len(inputs), 4) / 4)
    assert cli.run(command) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "the program computes something else than" in last
    assert output.read_bytes() == content
