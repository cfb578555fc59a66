# SPDX-License-Identifier: MPL-2.0
"""The command line as a user sees it: a process with exit code, stdout and stderr."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import srnn
from srnn import cli
from srnn.commands import train
from srnn.config import load, to_toml

ROOT = Path(__file__).parents[1]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "srnn", *arguments]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, check=False
    )


def test_version_and_help(tmp_path: Path) -> None:
    version = run(tmp_path, "--version")
    assert (version.returncode, version.stdout) == (0, f"srnn {srnn.__version__}\n")
    shown = run(tmp_path, "--help")
    assert shown.returncode == 0
    for text in ("Examples:", "srnn config-v1-cuda.toml", "evaluate", "predict", "train"):
        assert text in shown.stdout


@pytest.mark.parametrize("arguments", [[], ["predict"], ["x.toml"]])
def test_the_short_option_shows_the_help_too(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for option in ("-h", "--help"):
        assert cli.run([*arguments, option]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert shown[0].startswith("Usage: srnn ")


@pytest.mark.parametrize(
    ("pdm", "started", "on_path", "program"),
    [
        (True, "/env/bin/srnn", True, "pdm run srnn"),
        (False, "/env/bin/srnn", True, "srnn"),
        (False, "/env/bin/srnn", False, "/env/bin/srnn"),
        (False, "/env/lib/srnn/__main__.py", True, f"{sys.executable} -m srnn"),
    ],
)
def test_advice_starts_the_program_as_it_was_started(
    pdm: bool,
    started: str,
    on_path: bool,
    program: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PDM_PROJECT_ROOT", raising=False)
    if pdm:
        monkeypatch.setenv("PDM_PROJECT_ROOT", str(ROOT))
    if on_path:
        (tmp_path / "srnn").write_text("#!/bin/sh\n")
        (tmp_path / "srnn").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", [started])
    assert train._shell("x.toml") == f"{program} x.toml"


def test_help_does_not_wait_for_torch() -> None:
    program = "import sys, srnn.cli; print('torch' in sys.modules, 'librosa' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False False\n"


def test_config_is_printed_to_stdout_and_nothing_else(tones: Path) -> None:
    done = run(tones, "config", "tones.toml", "--set", "srnn.epochs=5")
    assert done.returncode == 0
    assert done.stdout == to_toml(load(tones / "tones.toml", ["srnn.epochs=5"]))
    assert done.stderr == ""


def test_a_bare_name_is_found_from_any_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "config", "config-v1-cuda.toml").returncode == 0
    assert cli.run(["config", "no-such.toml"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("no-such.toml: expected a TOML file, found nothing at ")
    assert "configs/no-such.toml" in error


def test_debug_adds_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["config", "no-such.toml", "--debug"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1].startswith("no-such.toml: expected")
    assert cli.run(["--debug", "no-such.toml"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == lines[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.toml", "--resume"], "x.toml: expected a TOML file"),
        (["--unknown"], "No such option"),
        (["predict", "run"], "Missing argument 'FILE...'"),
        (["predict", "nowhere", "x.wav"], "nowhere: expected a run directory"),
        (["evaluate", "nowhere"], "nowhere: expected a run directory"),
        (["evaluate", "nowhere", "--partition", "training"], "Invalid value for '--partition'"),
        (["train"], "Missing argument 'CONFIG'"),
        (["train"], "; usage: srnn train [OPTIONS] [CONFIG]"),
        (["predict"], "Missing argument 'RUN'; usage: srnn predict [OPTIONS] RUN FILE..."),
        (["predict", "x"], "Missing argument 'FILE...'; usage: srnn predict [OPTIONS] RUN FILE..."),
        (["config"], "Missing argument 'CONFIG'; usage: srnn config [OPTIONS] CONFIG"),
        (["evaluate", "x", "y"], "(y); usage: srnn evaluate [OPTIONS] RUN"),
        (["evalute", "run"], "evalute: unknown command; did you mean evaluate?"),
        (["train.toml"], "train.toml: expected a TOML file"),
        (["--set", "srnn.epochs=1", "x.toml"], "x.toml: expected a TOML file"),
        (["bench", "--json", "nowhere/x.json"], "--json nowhere/x.json: expected an existing"),
    ],
)
def test_misuse_gives_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    out, error = capsys.readouterr()
    assert message in error
    assert error.count("\n") == 1
    assert out == ""


def test_resume_needs_a_run_directory(tones: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([str(tones / "tones.toml"), "--resume"]) == 2
    assert capsys.readouterr().err == "--resume: expected --run-dir DIR with it, found none\n"


def test_an_unforeseen_failure_is_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("srnn.config.load", fail)
    assert cli.run(["config", "x.toml"]) == 1
    error = capsys.readouterr().err
    assert error == "OSError: [Errno 28] No space left on device (--debug shows where)\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)]
)
def test_a_signal_ends_training_with_its_state_saved(
    tones: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """A real signal to a real process whose stderr is a pipe."""
    directory = tmp_path / "run"
    arguments = ("tones.toml", "--run-dir", str(directory), "--set", "srnn.epochs=100000")
    with subprocess.Popen(
        command(*arguments, "--set", "srnn.schedule=constant"),
        cwd=tones,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PDM_PROJECT_ROOT": str(ROOT)},
    ) as process:
        metrics = directory / "metrics.jsonl"
        while not metrics.exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        out, error = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ""
    assert "\r" not in error
    assert re.search(
        rf"saved in {directory}/last.safetensors: after (step \d+ of epoch \d+|epoch \d+)$",
        error.splitlines()[-3],
    )
    assert error.splitlines()[-2].endswith(
        f"go on with: pdm run srnn --run-dir {directory} --resume"
    )
    assert error.splitlines()[-1] == f"stopped by {number.name}"
    assert (directory / "last.safetensors").exists()
    epochs = [json.loads(line)["epoch"] for line in metrics.read_text().splitlines()]
    assert epochs == list(range(1, len(epochs) + 1))
    assert {path.name for path in directory.glob(".*")} <= {".lock"}
