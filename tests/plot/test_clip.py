# SPDX-License-Identifier: MPL-2.0
"""The whole picture of a clip, from Python and by `srnn predict --raster`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import srnn
from srnn import cli, plot
from srnn.network.activity import Activity, activity
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import AdaptiveThreshold
from tone_runs import train_on_tones


def recorded(**options: Any) -> Activity:
    torch.manual_seed(0)
    network = SpikingNetwork(12, [9, 7], 3, neuron=AdaptiveThreshold(0.3), **options).eval()
    for layer in network.hidden:
        torch.nn.init.normal_(layer.input.weight, std=3)  # type: ignore[union-attr, arg-type]
    return activity(network, torch.randn(1, 3, 20, 4))


def drawn(activity: Activity, **options: Any) -> Figure:
    return plot.clip(np.zeros(1600), 8000, activity, ["a", "b", "c"], 10, **options)


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left").split(":")[0] for axes in figure.axes]


def test_a_clip_has_all_its_panels_on_one_time_axis() -> None:
    figure = drawn(recorded(), title="a$b$.wav")
    found = titles(figure)
    assert found[:3] == ["waveform", "features", "events of the encoder"]
    assert found[3:5] == ["layer 1", "layer 2"]
    assert all(name.endswith("of layer 2") for name in found[5:-1])
    assert figure.axes[-1].get_ylabel() == "probability (%)"
    assert {axes.get_xlim() for axes in figure.axes} == {(-5, 195)}
    assert [axes.get_xlabel() for axes in figure.axes] == [*[""] * (len(found) - 1), "time (ms)"]
    assert figure.get_suptitle() == r"a\$b\$.wav"


def test_nothing_of_a_clip_is_cut_off() -> None:
    figure = drawn(recorded(), title="a")
    figure.draw_without_rendering()
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox()
    assert box.x0 >= -0.02
    assert box.y0 >= -0.02
    assert box.x1 <= width + 0.02
    assert box.y1 <= height + 0.02


def test_features_that_are_not_encoded_are_drawn_once() -> None:
    found = titles(drawn(recorded(encoder_threshold=None)))
    assert found[:3] == ["waveform", "features", "layer 1"]


def test_neurons_of_another_layer() -> None:
    found = titles(drawn(recorded(), layer=0, neurons=[3, 8]))
    assert found[5:-1] == ["neuron 3 of layer 1", "neuron 8 of layer 1"]
    for options, error in (
        ({"layer": 2}, "layer: expected one from 0 to 1, found 2"),
        ({"neurons": [7]}, "index: expected a neuron from 0 to 6, found 7"),
    ):
        with pytest.raises(srnn.InputError, match=error):
            drawn(recorded(), **options)


@pytest.fixture(scope="module")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "plot"
    return train_on_tones(tones, path, "srnn.epochs=1")


@pytest.fixture
def tone(tones: Path) -> Path:
    return min((tones / "tones" / "low").iterdir())


def test_predict_draws_and_prints_what_it_does_without(
    run: Path, tone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(*options: str) -> str:
        assert cli.run(["predict", str(run), str(tone), *options]) == 0
        return capsys.readouterr().out

    for name, begin in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")):
        assert printed("--raster", str(tmp_path / name)) == printed()
        assert (tmp_path / name).read_bytes().startswith(begin)
    assert json.loads(printed("--json", "--raster", str(tmp_path / "b.png"))) == json.loads(
        printed("--json")
    )
    assert (tmp_path / "b.png").exists()


def test_predict_refuses_what_it_cannot_draw_before_it_loads_the_run(
    tone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "x.png"
    for options, error in (
        ([tone, "--raster", tmp_path / "x.tune"], "x.tune: expected a file name ending in one of "),
        ([tone, "--raster", tmp_path / "no" / "x.png"], f"expected a folder at {tmp_path / 'no'}"),
        ([tone, tone, "--raster", picture], "--raster: expected one recording, found 2"),
        ([tone.parent, "--raster", picture], "--raster: expected one recording, found 40"),
        ([tone, "--all", "--raster", picture], "--raster: expected it without --all, found both"),
    ):
        assert cli.run(["predict", str(tmp_path / "no run"), *map(str, options)]) == 2
        assert error in capsys.readouterr().err
    assert not picture.exists()


def test_a_recording_that_cannot_be_read_leaves_no_picture(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF")
    assert cli.run(["predict", str(run), str(bad), "--raster", str(tmp_path / "x.png")]) == 2
    assert "bad.wav: " in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


def test_the_last_probabilities_are_the_prediction_and_the_waveform_is_the_clip(
    run: Path, tone: Path
) -> None:
    recogniser = srnn.load(run)
    found = recogniser.record(tone)
    np.testing.assert_allclose(
        found.probabilities[-1], [*recogniser.predict(tone).probabilities.values()], atol=1e-5
    )
    assert recogniser.waveform(tone).shape == (2000,)
    assert recogniser.step == 10
    assert found.features.shape == (2, len(found.inputs), 8)
