# SPDX-License-Identifier: MPL-2.0
"""Model cards, and the networks that travel with the package."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import soundfile
import torch

import srnn
from srnn import cli
from srnn.instruments.card import public
from srnn.instruments.listening.calibration import Calibration
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


def test_a_file_that_is_passed_on_has_no_paths(run: Path) -> None:
    checkpoint = load_checkpoint(run / "best.safetensors")
    data: dict[str, Any] = {
        "cache": "/home/alice/packs",
        "negatives": ["/home/alice/talks/", "/home/alice/b/*.wav", "synthetic", "noise.wav"],
        "test_url": "file:///home/alice/test.tar.gz",
        "gsc_url": "/home/alice/words.tsv",
    }
    config = {**checkpoint.config, "data": checkpoint.config["data"] | data}
    published = public(replace(checkpoint, config=config))
    assert "alice" not in str(published.config)
    found = published.parsed_config().data
    assert found.negatives == ("talks", "*.wav", "synthetic", "noise.wav")
    assert (found.test_url, found.gsc_url) == ("test.tar.gz", "words.tsv")
    address = "https://example.org/words.tar.gz"
    with_user = address.replace("//", "//alice:secret@")
    config["data"] |= {"gsc_url": with_user, "test_url": "speech_commands_test_set_v0.02"}
    found = public(replace(checkpoint, config=config)).parsed_config().data
    assert (found.gsc_url, found.test_url) == (address, "speech_commands_test_set_v0.02")


@pytest.fixture(scope="module")
def shared(run: Path, tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run as one file, with thresholds, far from the run and its data."""
    place = tmp_path_factory.mktemp("shared")
    quiet = place / "quiet.wav"
    soundfile.write(quiet, np.random.default_rng(1).normal(0, 1e-3, 20 * 8000), 8000)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tones)
        assert cli.run(["calibrate", str(run), "--negatives", str(quiet)]) == 0
        file = place / "tones.srnn"
        options = ["--partition", "validation", "--into", str(file)]
        assert cli.run(["card", str(run), *options]) == 0
    return file


def test_a_run_becomes_one_file(
    run: Path,
    tones: Path,
    shared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "b.srnn"
    file.write_bytes(shared.read_bytes())
    made, trained = load_checkpoint(file), load_checkpoint(run / "best.safetensors")
    for name, weights in made.weights.items():
        assert torch.equal(weights, trained.weights[name])
    assert made.labels == trained.labels
    assert made.config["data"]["dataroot"] == "google"
    capsys.readouterr()
    assert cli.run(["models", "b.srnn"]) == 0
    card = capsys.readouterr().out
    assert card == made.card
    assert card.startswith("# tones.srnn\n")
    assert "thresholds of the keywords for 1 false alarms an hour" in card
    # What is done with a run can be done with the file.
    clip = str(next((tones / "tones" / "low").iterdir()))
    assert cli.run(["predict", "b.srnn", clip]) == 0
    answer = capsys.readouterr().out
    assert cli.run(["predict", str(run), clip]) == 0
    assert capsys.readouterr().out == answer
    root = ["--dataroot", str(tones / "tones")]
    assert cli.run(["evaluate", "b.srnn", *root, "--json"]) == 0
    assert cli.run(["evaluate", "b.srnn", *root, "--stream", "--partition", "validation"]) == 0
    assert "at the calibrated thresholds: " in capsys.readouterr().out
    assert cli.run(["listen", "b.srnn", clip]) == 0
    assert "listening: windows, calibrated thresholds" in capsys.readouterr().err
    assert cli.run(["listen", "b.srnn", clip, "--mode", "stateful"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line.startswith("b.srnn: expected a calibration for listen.mode = stateful")
    assert cli.run(["report", "b.srnn", "-o", "page.html", *root]) == 0
    # It can be passed on again, and thresholds are kept.
    Path("again").mkdir()
    options = ["--partition", "validation", *root, "--into", "again"]
    assert cli.run(["card", "b.srnn", *options]) == 0
    again = load_checkpoint(Path("again/b.safetensors"))
    assert again.calibration == made.calibration
    assert again.card == ""
    with safetensors.safe_open(file, "numpy") as content:
        assert {"card", "calibration", "sha256", "labels"} <= content.metadata().keys()


def test_a_file_that_was_passed_on_is_checked(
    shared: Path,
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    def refusal(*arguments: str) -> str:
        capsys.readouterr()
        assert cli.run(list(arguments)) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    checkpoint = load_checkpoint(shared)
    replace(checkpoint, calibration={"thresholds": 1}).save(Path("a.srnn"))
    assert "a.srnn: expected a calibration, found " in refusal("listen", "a.srnn", "a.wav")
    replace(checkpoint, card="\x1b[2Ja card\n").save(Path("a.srnn"))
    assert cli.run(["models", "a.srnn"]) == 0
    assert capsys.readouterr().out == "\\x1b[2Ja card\n"
    plain = str(run / "best.safetensors")
    assert "or a file with a model card, found none" in refusal("models", plain)
    for place in ("none/a.srnn", "none"):
        expected = "expected a folder, or a file NAME.srnn in one, found none"
        assert f"--into {place}: {expected}" in refusal("card", str(run), "--into", place)
    damaged = shared.read_bytes().replace(b"false alarms an hour", b"false alarms a month")
    Path("b.srnn").write_bytes(damaged)
    assert refusal("predict", "b.srnn", "a.wav") == (
        "b.srnn: expected a checkpoint of srnn, found a damaged file"
    )
    # Thresholds of another network are not passed on.
    other = tmp_path / "other"
    other.mkdir()
    (other / "calibration.json").write_bytes((run / "calibration.json").read_bytes())
    replace(checkpoint, epoch=1, card="", calibration=None).save(other / "best.safetensors")
    message = refusal("card", "other", "--into", "c.srnn")
    remedy = "calibrate anew, or remove calibration.json"
    expected = "expected a calibration of the network in other, found one of another: "
    assert f"{expected}{remedy}" in message
    made = Calibration.model_validate_json((run / "calibration.json").read_bytes())
    made.model_copy(update={"mode": "stateful"}).save(other)
    message = refusal("card", "other", "--into", "c.srnn")
    assert message == (
        "other/calibration.json: expected a calibration for listen.mode = windows, found one for "
        f"stateful: {remedy}"
    )
    assert not Path("c.srnn").exists()
    Path("d.srnn").mkdir()
    message = refusal("card", str(run), "--into", "d.srnn")
    assert message.endswith("a file NAME.srnn in one, found a folder of that name")


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
