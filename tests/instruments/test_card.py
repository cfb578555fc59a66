# SPDX-License-Identifier: MPL-2.0
"""Model cards, and the networks that travel with the package."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import srnn
from srnn import cli
from srnn.runs.checkpoint import load_checkpoint
from srnn.runs.included import card_of, included
from tone_runs import train_on_tones

NAMES = ["gsc8-best", "gsc8-small"]


@pytest.fixture(scope="module")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("card") / "run"
    changes = ["mel.features=pcen", "data.normalisation=standardise", "srnn.epochs=3"]
    return train_on_tones(tones, path, *changes, f"data.dataroot={tones / 'tones'}")


def test_a_card_has_figures_and_the_file_has_the_network(
    run: Path, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    noise = tmp_path / "noise.wav"
    soundfile.write(noise, np.random.default_rng(0).normal(0, 0.01, 80_000), 8000)
    options = ["--partition", "validation", "--negatives", str(noise), "--into", str(tmp_path)]
    assert cli.run(["card", str(run), *options]) == 0
    text = capsys.readouterr().out
    assert (tmp_path / "run.md").read_text() == text
    for expected in (
        "# run\n",
        "low, high",
        "1,809 parameters",
        "validation, official protocol: accuracy ",
        "signal-to-noise ratio 10 dB",
        "noise.wav: at most 1 an hour: ",
        "licence CC BY 4.0",
    ):
        assert expected in text
    assert max(map(len, text.splitlines())) <= 250
    # The file has the network of the run, and no paths of this machine.
    made, trained = (
        load_checkpoint(tmp_path / "run.safetensors"),
        load_checkpoint(run / "best.safetensors"),
    )
    assert made.weights.keys() == trained.weights.keys()
    for name, weights in made.weights.items():
        assert torch.equal(weights, trained.weights[name])
    assert trained.config["data"]["dataroot"] == str(tones / "tones")
    assert made.config["data"]["dataroot"] == "google"
    assert str(tones).encode() not in (tmp_path / "run.safetensors").read_bytes()
    assert cli.run(["card", str(run), "--into", str(tmp_path / "none")]) == 2


def test_networks_of_the_package_recognise_without_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", np.zeros(16_000), 16_000)
    assert set(NAMES) <= set(included())
    for name in included():
        assert cli.run(["predict", name, "a.wav"]) == 0
        assert capsys.readouterr().out.startswith("a.wav: _silence_ ")
    assert cli.run(["listen", "gsc8-small", "a.wav"]) == 0
    assert srnn.load("gsc8-small").labels[0] == "yes"


def test_networks_of_the_package_are_listed_with_their_cards(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(included())
    assert re.fullmatch(r"gsc8-best +\d+ kB  9\d\.\d\d %  yes no up .* _unknown_", lines[0])
    for name, path in included().items():
        assert cli.run(["models", name]) == 0
        card = capsys.readouterr().out
        assert card == card_of(path).read_text()
        assert "CC BY 4.0" in card
        assert re.search(r"official protocol: accuracy 9\d\.\d\d%", card)
        assert path.stat().st_size < 1_100_000
        assert load_checkpoint(path).config["data"]["dataroot"] == "google"
    assert included()["gsc8-small"].stat().st_size <= 200_000
    assert cli.run(["models", "gsc9"]) == 2
    assert "gsc9: expected one of gsc8-best" in capsys.readouterr().err


def test_a_run_directory_comes_before_a_network_of_its_name(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gsc8-small").symlink_to(run)
    assert srnn.load("gsc8-small").labels[0] == "low"
    assert cli.run(["predict", "gsc8-smal", "a.wav"]) == 2
    assert "a network of the package (gsc8-best, gsc8-" in capsys.readouterr().err
