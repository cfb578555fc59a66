# SPDX-License-Identifier: MPL-2.0
"""How a run goes on: without its configuration, with what the command line set, as it is told."""

import json
import re
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from run_results import assert_same_results, metrics
from srnn import cli
from srnn.config import load, to_toml
from srnn.training.examples import Batch
from srnn.training.step import Step

WIDER = ["--set", "srnn.network_size=[20, 16]", "--set", "srnn.seed=3"]
STEPS = 7  # of an epoch


@pytest.fixture(autouse=True)
def _here(tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tones)


@pytest.fixture(scope="module")
def whole(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run with keys set on the command line that nothing interrupted."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tones)
        assert cli.run(["tones.toml", "--run-dir", str(run), *WIDER]) == 0
    return run


def interrupted(
    monkeypatch: pytest.MonkeyPatch,
    *command: str,
    steps: int = 9,
    number: signal.Signals = signal.SIGINT,
) -> None:
    """Run a command, and stop it within a step of training, counted over all epochs."""
    real_step, done = Step.__call__, iter(range(1, 10_000))

    def step(self: Step, batch: Batch) -> None:
        if next(done) == steps:
            signal.raise_signal(number)
        real_step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Step, "__call__", step)
        assert cli.run(list(command)) == 128 + number


def advised(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the arguments of the command line that was said to go on."""
    (line,) = re.findall(r"go on with: pdm run srnn (.*)", capsys.readouterr().err)
    return shlex.split(line)


@pytest.mark.parametrize(
    "again", [[], ["tones.toml"], ["tones.toml", *WIDER], WIDER, ["tones.toml", *WIDER[:2]]]
)
def test_what_the_command_line_set_may_be_left_out_or_said_again(
    again: list[str], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = str(tmp_path / "run")
    interrupted(monkeypatch, "tones.toml", "--run-dir", run, *WIDER)
    assert cli.run([*again, "--run-dir", run, "--resume"]) == 0
    assert_same_results(whole, tmp_path / "run")


def test_the_configuration_of_a_run_notes_what_was_set(whole: Path) -> None:
    note, empty, *rest = (whole / "config.toml").read_text().split("\n")
    assert note == "# set on the command line: srnn.network_size, srnn.seed"
    assert empty == ""
    config = load(whole / "config.toml")
    assert "\n".join(rest) == to_toml(config)
    assert (config.srnn.network_size, config.srnn.seed) == ((20, 16), 3)


@pytest.mark.parametrize(
    ("number", "steps", "state"),
    [
        (signal.SIGINT, 3, "after step 3 of epoch 1"),
        (signal.SIGTERM, 9, "after step 2 of epoch 2"),
        (signal.SIGUSR1, 2 * STEPS, f"after step {STEPS} of epoch 2"),
    ],
)
def test_a_signal_says_what_is_saved_and_how_to_go_on(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    steps: int,
    state: str,
) -> None:
    run = tmp_path / "a run"
    start = ["tones.toml", "--run-dir", str(run), *WIDER]
    interrupted(monkeypatch, *start, steps=steps, number=number)
    error = capsys.readouterr().err
    assert f"saved in {run}/last.safetensors: {state}\n" in error
    (line,) = re.findall(r"go on with: pdm run srnn (.*)", error)
    assert shlex.split(line) == ["--run-dir", str(run), "--resume"]
    assert cli.run(shlex.split(line)) == 0
    assert_same_results(whole, run)


def test_what_a_resumed_run_was_told_is_not_lost_before_it_is_noted(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    again = ["--set", "srnn.epochs=3", "--run-dir", str(run), "--resume"]
    with monkeypatch.context() as patch:
        patch.setattr(
            "srnn.runs.train.make_training_corpus", lambda *_, **__: signal.raise_signal(2)
        )
        assert cli.run(again) == 130
    assert advised(capsys) == again
    assert cli.run(again) == 0
    assert len(metrics(run)) == 3
    assert (
        (run / "config.toml")
        .read_text()
        .startswith("# set on the command line: srnn.network_size, srnn.seed, srnn.epochs\n")
    )
    assert cli.run(["tones.toml", "--run-dir", str(run), "--resume"]) == 0  # it remembers the 3
    assert "this run is finished" in capsys.readouterr().err


def test_another_value_than_the_run_began_with_is_refused(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = whole / "last.safetensors"
    before = last.read_bytes()
    edited = tmp_path / "edited.toml"
    edited.write_text(Path("tones.toml").read_text().replace("batch_size = 16", "batch_size = 8"))
    for command, key, in_run, here in (
        (["tones.toml", "--set", "srnn.seed=4"], "srnn.seed", 3, 4),
        (["--set", "srnn.seed=4"], "srnn.seed", 3, 4),
        ([str(edited)], "srnn.batch_size", 16, 8),
    ):
        assert cli.run([*command, "--run-dir", str(whole), "--resume"]) == 2
        first, *_ = capsys.readouterr().err.splitlines()
        said = f"expected {in_run} as in the run, found {here} in this command"
        assert first == f"{last}: {key}: {said}"
    assert last.read_bytes() == before


def test_a_directory_without_a_run_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("nowhere", "empty"):
        assert cli.run(["--run-dir", str(tmp_path / name), "--resume"]) == 2
        assert capsys.readouterr().err == (
            f"--run-dir {tmp_path / name}: expected a run to go on with, found none: name CONFIG\n"
        )
    assert not (tmp_path / "nowhere").exists()


def test_several_seeds_go_on_as_they_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command = ["tones.toml", *WIDER, "--seeds", "2", "--set", "srnn.epochs=1", "--run-dir"]
    assert cli.run([*command, str(whole)]) == 0
    table = capsys.readouterr().out
    interrupted(monkeypatch, *command, str(parts), steps=3)
    again = advised(capsys)
    assert again[-5:] == ["--run-dir", str(parts), "--seeds", "2", "--resume"]
    assert not (parts / "seed-4").exists()
    assert cli.run(["--run-dir", str(parts), "--resume"]) == 2
    assert "found runs of several seeds: add --seeds N" in capsys.readouterr().err
    assert cli.run(["--run-dir", str(parts), "--seeds", "2", "--resume"]) == 0
    for seed in ("seed-3", "seed-4"):
        assert_same_results(whole / seed, parts / seed)
    assert len(capsys.readouterr().out.splitlines()) == len(table.splitlines())
    one = json.loads((parts / "seed-4" / "test.json").read_text())
    assert one["partition"] == "testing"
