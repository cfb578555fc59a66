# SPDX-License-Identifier: MPL-2.0
"""``srnn export --to onnx``: onnxruntime computes what the package does."""

import json
import re
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from exported import CASES, LABELS, RATE, SIZE, Resetting, clips, expect_equal, recogniser_of
from torch import Tensor

from srnn import cli
from srnn.export.clips import probabilities
from srnn.export.onnx import OPSET, model, run_clips, run_steps
from srnn.export.program import Step, clip_program, description, step_program
from srnn.network.neurons import State, registry
from tone_runs import train_on_tones

onnx = pytest.importorskip("onnx", reason="needs onnx, group `export`")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime, group `export`")
pytest.importorskip("onnxscript", reason="needs onnxscript, group `export`")


def metadata(some: Any) -> dict[str, Any]:
    return {each.key: json.loads(each.value) for each in some.metadata_props}


@pytest.mark.parametrize("case", CASES)
def test_clips_are_classified_as_the_package_does(case: str) -> None:
    recogniser, some = recogniser_of(CASES[case]), clips()
    expected = probabilities(recogniser, some.samples)
    with_features = model(clip_program(recogniser, True), description(recogniser))
    expect_equal(run_clips(with_features, some.inputs(recogniser, True)), expected)
    one = run_clips(with_features, some.inputs(recogniser, True)[9:10])  # the number is open
    torch.testing.assert_close(one, expected[9:10], atol=1e-3, rtol=0)
    (opset,) = with_features.opset_import
    assert (opset.domain, opset.version) == ("", OPSET)
    assert metadata(with_features)["labels"] == LABELS
    assert metadata(with_features)["sample_rate"] == RATE
    assert metadata(with_features)["clip"] == SIZE


@pytest.mark.parametrize("case", CASES)
def test_steps_with_state_in_and_out_make_clips(case: str, tmp_path: Path) -> None:
    recogniser, some = recogniser_of(CASES[case]), clips()
    step = Step(recogniser)
    features = some.inputs(recogniser, False)
    initial = step.initial_state(len(features))
    made = model(step_program(recogniser), {"initial_state": {}})
    names = [each.name for each in made.graph.input]
    assert names == ["features", *step.state_names]
    outputs = [each.name for each in made.graph.output]
    assert outputs == ["probabilities", *(f"next_{name}" for name in names[1:])]
    session = onnxruntime.InferenceSession(made.SerializeToString())
    state = [each.numpy() for each in initial]
    for frame in features.unbind(dim=2):
        given = dict(zip(names, [frame.numpy(), *state], strict=True))
        found, *state = session.run(None, given)
    expect_equal(torch.from_numpy(found), probabilities(recogniser, some.samples))
    assert (state[-1] == recogniser.extract.spec.frames).all()


def test_without_features_a_clip_is_a_small_loop_over_steps() -> None:
    recogniser, some = recogniser_of(CASES["as gsc8-small"]), clips()
    made = model(clip_program(recogniser, False), description(recogniser))
    computed = run_clips(made, some.inputs(recogniser, False))
    expect_equal(computed, probabilities(recogniser, some.samples))
    (given,) = made.graph.input
    shape = [each.dim_param or each.dim_value for each in given.type.tensor_type.shape.dim]
    assert (given.name, shape) == ("features", ["clips", *recogniser.extract.spec.shape])
    assert [node.op_type for node in made.graph.node].count("Scan") == 1
    parameters = sum(each.numel() for each in recogniser.spotter.parameters())
    assert made.ByteSize() < 4 * parameters + 20_000


class Bessel(Resetting):
    """A neuron with an operation that ONNX lacks."""

    name: ClassVar[str] = "bessel"

    def step(self, current: Tensor, state: State, parameters: Tensor) -> State:
        return super().step(torch.special.bessel_j0(current), state, parameters)


def test_operations_that_onnx_lacks_are_an_error_on_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._kinds, "bessel", Bessel)
    recogniser = recogniser_of({"srnn": {"neuron": "bessel"}})
    program = clip_program(recogniser, False)
    message = r"^srnn\.neuron: torch\.onnx\.export cannot convert its operations: .*bessel_j0"
    with pytest.raises(RuntimeError, match=message) as caught:
        model(program, description(recogniser))
    assert str(caught.value).isprintable()


@pytest.fixture(scope="module")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "run"
    return train_on_tones(tones, path, "srnn.epochs=3", f"data.dataroot={tones / 'tones'}")


def test_the_command_checks_what_it_writes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    output = tmp_path / "word.onnx"
    assert cli.run(["export", str(run), "--to", "onnx", "-o", str(output)]) == 0
    text = capsys.readouterr().out
    files = {path.name: path for path in tmp_path.iterdir()}
    assert set(files) == {"word.onnx", "word-step.onnx"}
    for path in files.values():
        assert f"{path}: {path.stat().st_size:,} bytes" in text
        assert b"site-packages" not in path.read_bytes()
        assert str(Path(cli.__file__).parent).encode() not in path.read_bytes()
    agreed = re.findall(r"against `srnn predict`: (\d+) of (\d+) labels agree", text)
    assert len(agreed) == 2
    assert all(int(same) >= 0.98 * int(every) > 5 for same, every in agreed)
    for expected in (
        "samples (clips, 2000) to prob",
        "features (clips, 2, 8) and 9 tensors of state",
        "opset 20",
        "the validation partition of",
        "accuracy: the ONNX model ",
        "real-time factor",
    ):
        assert expected in text, expected
    step = onnx.load(tmp_path / "word-step.onnx")
    initial = metadata(step)["initial_state"]
    assert set(initial) == {"hidden_1_adaptation", "hidden_2_adaptation"}  # at the threshold
    assert set(map(type, initial.values())) == {float}
    features = torch.zeros(2, 2, 26, 8)
    assert run_steps(step, features).sum(dim=1).tolist() == pytest.approx([1, 1])


def test_a_model_that_computes_something_else_is_not_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "word.onnx"
    output.write_text("older")
    for function in ("run_clips", "run_steps"):
        with monkeypatch.context() as patch:
            patch.setattr(
                f"srnn.export.onnx.{function}", lambda _, inputs: torch.ones(len(inputs), 4) / 4
            )
            assert cli.run(["export", str(run), "--to", "onnx", "-o", str(output)]) == 1
        last = capsys.readouterr().err.strip().splitlines()[-1]
        assert re.search(r"the ONNX model (of a step )?computes something else than", last)
    assert output.read_text() == "older"
    assert list(tmp_path.iterdir()) == [output]


def test_what_cannot_be_done_is_refused_on_a_line(
    run: Path,
    tones: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refusal(*arguments: str) -> str:
        capsys.readouterr()
        assert cli.run(["export", *arguments]) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    to_onnx, good = [str(run), "--to", "onnx", "-o"], str(tmp_path / "a.onnx")
    (tmp_path / "b.onnx").mkdir()
    assert "expected a name that ends in .onnx" in refusal(*to_onnx, str(tmp_path / "a.pt2"))
    assert "expected a folder at" in refusal(*to_onnx, str(tmp_path / "none" / "a.onnx"))
    assert "expected a file, found a folder" in refusal(*to_onnx, str(tmp_path / "b.onnx"))
    message = refusal(*to_onnx, good, "--weights", "int8")
    assert "--weights: expected --to c with it, found --to onnx" in message
    for option in ("--features", "--no-features"):
        expected = f"{option}: expected --to onnx or torch with it, found --to c"
        assert expected in refusal(str(run), "--to", "c", "-o", str(tmp_path / "c"), option)
    batch = train_on_tones(tones, tmp_path / "batch", "data.normalisation=batch", "srnn.epochs=1")
    for kind, suffix in (("onnx", "onnx"), ("torch", "pt2"), ("nir", "nir")):
        message = refusal(str(batch), "--to", kind, "-o", str(tmp_path / f"a.{suffix}"))
        assert f'data.normalisation: --to {kind} expects "standardise" or "dataset"' in message
    for missing in ("onnx", "onnxruntime", "onnxscript"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            message = refusal(*to_onnx, good)
        assert f"srnn export --to onnx: expected the package {missing}, found none" in message
        assert "`pip install nir onnx onnxruntime onnxscript`" in message
    assert not Path(good).exists()
