# SPDX-License-Identifier: MPL-2.0
"""The energy of trained networks: in test.json, the log and the report; keys of older runs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli

from srnn import cli
from srnn.runs.checkpoint import load_checkpoint
from srnn.runs.included import included
from tone_runs import train_on_tones


@pytest.fixture(scope="module")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("energy") / "run"
    return train_on_tones(tones, path, "srnn.epochs=1", "energy.addition=1.5")


@pytest.fixture(autouse=True)
def _here(tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tones)


def evaluated(capsys: pytest.CaptureFixture[str], run: Path, *options: str) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.run(["evaluate", str(run), "--json", *options]) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def test_a_run_ends_with_the_energy_of_its_network(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = json.loads((run / "test.json").read_text())
    energy = test["energy"]
    assert energy["costs"]["addition"] == 1.5
    assert energy["total"]["accumulates"] == pytest.approx(test["operations"]["accumulates"])
    spikes = [row["spikes"] for row in energy["layers"] if row["name"].startswith("hidden")]
    assert spikes == test["spikes_of_layers"]
    assert sum(spikes) == pytest.approx(test["spikes"])
    assert evaluated(capsys, run)["energy"] == energy
    log = (run / "train.log").read_text().splitlines()
    (head,) = (place for place, line in enumerate(log) if "an inference" in line)
    assert f"{energy['total']['total_nj']:,.0f}" in "".join(log[head:])
    said = " ".join(line.split("INFO", 1)[-1].strip() for line in log[head:])
    assert energy["verdict"] in said


def test_evaluate_takes_other_costs(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = evaluated(capsys, run)["energy"]["total"]
    after = evaluated(capsys, run, "--set", "energy.access_8kb=0", "--set", "energy.addition=3")
    total = after["energy"]["total"]
    assert total["memory_nj"] < before["memory_nj"]
    assert total["operations_nj"] > before["operations_nj"]
    assert total["accumulates"] == before["accumulates"]
    capsys.readouterr()
    assert cli.run(["evaluate", str(run)]) == 0
    text = capsys.readouterr().out
    assert "this network" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--set", "mel.fmax=50"], "--set mel.fmax=50: expected a key of [energy]"),
        (["--set", "energy.additon=5"], "did you mean energy.addition?"),
        (["--set", "energy.addition=-1"], "--set energy.addition: expected a number from 0"),
        (["--robustness", "--set", "energy.addition=1"], "expected it without --robustness"),
        (["--stream", "--set", "energy.addition=1"], "expected a key of [listen]"),
    ],
)
def test_other_keys_are_refused(
    run: Path, capsys: pytest.CaptureFixture[str], options: list[str], error: str
) -> None:
    assert cli.run(["evaluate", str(run), *options]) == 2
    assert error in capsys.readouterr().err


def test_runs_without_the_table_have_its_defaults(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As runs of earlier versions are: they are evaluated and resumed."""
    for name in ("best", "last"):
        checkpoint = load_checkpoint(run / f"{name}.safetensors")
        config = {table: keys for table, keys in checkpoint.config.items() if table != "energy"}
        assert len(config) == len(checkpoint.config) - 1
        replace(checkpoint, config=config).save(tmp_path / f"{name}.safetensors")
    whole = (run / "config.toml").read_text()
    (tmp_path / "config.toml").write_text(whole[: whole.index("[energy]")])
    (tmp_path / "metrics.jsonl").write_text((run / "metrics.jsonl").read_text())
    assert evaluated(capsys, tmp_path)["energy"]["costs"]["addition"] == 0.9
    options = ["--set", "srnn.epochs=2", "--set", "energy.access_dram=700"]
    assert cli.run(["--run-dir", str(tmp_path), "--resume", *options]) == 0
    assert tomli.loads((tmp_path / "config.toml").read_text())["energy"]["access_dram"] == 700
    assert json.loads((tmp_path / "test.json").read_text())["energy"]["costs"]["addition"] == 0.9


def test_networks_of_the_package_have_no_table_and_load() -> None:
    for path in included().values():
        assert load_checkpoint(path).parsed_config().energy.multiply_add == 4.6
