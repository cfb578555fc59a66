# SPDX-License-Identifier: MPL-2.0
"""Reports as pages: what they say, that they need nothing else, and that wrong input is named."""

import base64
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from pages import Page, page_of

from srnn import cli, load
from srnn.instruments.report import compare
from srnn.instruments.report.collect import measure, read_run, time_constants
from srnn.runs.checkpoint import load_checkpoint
from tone_runs import train_on_tones

MEGABYTE = 2**20


@pytest.fixture(scope="module")
def runs(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two seeds of one configuration, ``a`` and ``b``, and another, ``c``."""
    folder = tmp_path_factory.mktemp("report")
    place = f"data.dataroot={tones / 'tones'}"
    train_on_tones(tones, folder / "a", place)
    train_on_tones(tones, folder / "b", place, "srnn.seed=1")
    changes = ("srnn.neuron=adaptive_current", "srnn.encoder=none")
    train_on_tones(tones, folder / "c", place, *changes)
    return folder


@pytest.fixture(scope="module")
def page(runs: Path) -> tuple[Page, dict[str, Any]]:
    assert cli.run(["report", str(runs / "a")]) == 0
    return page_of(runs / "a" / "report.html")


def test_the_page_holds_the_numbers_of_test_json(
    page: tuple[Page, dict[str, Any]], runs: Path
) -> None:
    shown, data = page
    test = json.loads((runs / "a" / "test.json").read_text())
    assert data["a"]["test"] == test
    measured = data["a"]["measured"]  # anew, by this report
    for name in ("accuracy", "confusion", "spikes", "per_class", "operations"):
        assert measured[name] == test[name]
    values = shown.texts["dd"]
    low, high = test["interval"]
    assert f"{test['accuracy']:.2%}" in values
    assert f"{low:.2%} to {high:.2%}" in values
    assert f"{test['spikes']:,.0f}" in values
    recall = test["per_class"]["low"]
    assert f"{recall:.1%}" in shown.texts["td"]
    assert f"{test['loss']:.4f}" in shown.texts["td"]
    energy = test["energy"]["total"]["total_nj"]
    assert f"{energy:,.0f}" in shown.texts["td"]


def test_the_page_needs_nothing_from_elsewhere(
    page: tuple[Page, dict[str, Any]], runs: Path
) -> None:
    shown, _ = page
    for address in shown.addresses:
        assert address.startswith(("#", "data:")), address
    text = (runs / "a" / "report.html").read_text("utf-8")
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert "url(http" not in without_names
    assert "@import" not in without_names
    assert len(text) < 5 * MEGABYTE


def test_ids_are_unique_and_references_have_targets(page: tuple[Page, dict[str, Any]]) -> None:
    shown, _ = page
    assert len(shown.ids) == len(set(shown.ids))
    for address in shown.addresses:
        if address.startswith("#"):
            assert address[1:] in shown.ids, address


def test_colours_follow_the_page_from_light_to_dark(runs: Path, page: object) -> None:
    text = (runs / "a" / "report.html").read_text("utf-8")
    svgs = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(svgs) > 5
    for svg in svgs:
        assert "light-dark(" in svg or "<image" in svg
        assert ": #1a1a1a" not in svg  # ink, which dark paper would hide


def test_wrong_clips_can_be_heard(page: tuple[Page, dict[str, Any]], runs: Path) -> None:
    shown, data = page
    sounds = [each for each in shown.addresses if each.startswith("data:audio/wav;base64,")]
    test = data["a"]["test"]
    wrong = sum(map(sum, test["confusion"])) - sum(
        row[index] for index, row in enumerate(test["confusion"])
    )
    assert len(sounds) == min(12, wrong) + 1  # and the typical clip
    for each in sounds:
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(each.partition(",")[2])))
        assert (rate, len(samples)) == (8000, 2000)
        assert np.abs(samples).max() > 0


def test_figures_lie_beside_the_page(runs: Path, page: object) -> None:
    files = {each.name for each in (runs / "a" / "report-figures").iterdir()}
    names = (
        "loss",
        "accuracy",
        "confusion",
        "recall",
        "clip",
        "time-constants-1",
        "firing-layer-2",
    )
    for name in names:
        assert {f"{name}.svg", f"{name}.png"} <= files
    assert (runs / "a" / "report-figures" / "clip.png").read_bytes().startswith(b"\x89PNG")


def test_the_most_surely_wrong_come_first_and_firing_is_counted(runs: Path) -> None:
    run = read_run(runs / "a")
    found = measure(run, "testing", None, 5)
    confidences = [each.probability for each in found.wrong]
    assert len(confidences) > 1
    assert confidences == sorted(confidences, reverse=True)
    assert all(each.label != each.predicted for each in found.wrong)
    assert found.typical
    assert found.typical.label == found.typical.predicted
    # A clip has the label and the probability that `predict` gives its samples.
    prediction = load(runs / "a").predict_waveform(found.typical.samples)
    assert prediction.label == found.typical.predicted
    assert prediction.probability == pytest.approx(found.typical.probability, abs=1e-5)
    rates = found.evaluation.firing_rate
    assert rates
    for mean, rate in zip(found.mean_firing, rates, strict=True):
        assert mean.mean() == pytest.approx(rate, rel=1e-6)


def test_time_constants_before_training_are_those_that_training_drew(runs: Path) -> None:
    run = read_run(runs / "a")
    before = run.time_constants_before
    assert set(before) == {
        *(f"tau_{kind}, layer {n}" for kind in ("mem", "adapt") for n in (1, 2)),
        "tau_mem, readout",
    }
    # Two epochs of small steps move none of them far; those of another seed are others.
    after = time_constants(run.recogniser.spotter.network)
    other = read_run(runs / "b").time_constants_before
    for name in before:
        assert 0 < np.abs(after[name] - before[name]).max() < 3
        assert np.abs(other[name] - before[name]).max() > 0.1


def test_decays_are_shown_as_time_constants(runs: Path) -> None:
    network = read_run(runs / "c").recogniser.spotter.network
    found = time_constants(network)
    alpha = dict(network.named_parameters())["hidden.0.alpha"]
    expected = -1 / torch.log(alpha.detach()).numpy()
    assert found["tau_mem, layer 1"] == pytest.approx(expected, rel=1e-3)


def test_runs_side_by_side_name_the_keys_that_differ(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "three.html"
    names = [str(runs / name) for name in "abc"]
    assert cli.run(["report", *names, "-o", str(out)]) == 0
    shown, data = page_of(out)
    assert set(data) == {"a", "b", "c"}
    heads = shown.texts["th"]
    assert heads.index("srnn.neuron") < heads.index("validation accuracy")
    assert "srnn.seed" not in heads
    accuracies = [data[name]["test"]["accuracy"] for name in "ab"]
    mean, std = np.mean(accuracies), np.std(accuracies, ddof=1)
    assert f"{mean:.2%} ± {std:.2%}" in shown.texts["td"]
    assert {"comparison", "run-1", "run-2", "run-3"} <= set(shown.ids)
    assert len(shown.ids) == len(set(shown.ids))


def test_groups_are_the_seeds_of_one_configuration(runs: Path) -> None:
    found = compare.groups([read_run(runs / name) for name in "bca"])
    assert [[run.name for run in group.runs] for group in found] == [["a", "b"], ["c"]]
    assert found[1].keys == {"srnn.neuron": '"adaptive_current"', "srnn.encoder": '"none"'}


def test_a_recording_of_the_user_is_shown(runs: Path, tmp_path: Path, tones: Path) -> None:
    own = next((tones / "tones" / "low").glob("*.wav"))
    out = tmp_path / "own.html"
    assert cli.run(["report", str(runs / "a"), "--clip", str(own), "-o", str(out)]) == 0
    shown, _ = page_of(out)
    prediction = load(runs / "a").predict(own)
    text = f"{own.name}: {prediction.label}, {prediction.probability:.1%}."
    assert text in shown.texts["p"]


@pytest.fixture
def moved(runs: Path, tmp_path: Path, tones: Path) -> Path:
    """Return a copy of run ``a`` whose data set is nowhere."""
    path = tmp_path / "moved"
    shutil.copytree(runs / "a", path, ignore=shutil.ignore_patterns("report*"))
    checkpoint = load_checkpoint(path / "best.safetensors")
    config = checkpoint.config | {"data": checkpoint.config["data"] | {"dataroot": "nowhere"}}
    replace(checkpoint, config=config).save(path / "best.safetensors")
    return path


def test_without_its_data_a_report_has_what_the_files_tell(moved: Path) -> None:
    assert cli.run(["report", str(moved)]) == 0
    shown, data = page_of(moved / "report.html")
    assert data["moved"]["measured"] is None
    texts = " ".join(shown.texts["p"])
    assert "The clips were not measured: " in texts
    assert "nowhere" in texts
    test = data["moved"]["test"]
    assert f"{test['accuracy']:.2%}" in shown.texts["dd"]
    names = {each.name for each in (moved / "report-figures").iterdir()}
    assert {"confusion.svg", "loss.svg", "energy.svg"} <= names
    assert "clip.svg" not in names


def test_results_of_older_versions_lack_fields(moved: Path) -> None:
    test = json.loads((moved / "test.json").read_text())
    for name in ("energy", "calibration_error", "spikes_of_layers"):
        del test[name]
    (moved / "test.json").write_text(json.dumps(test))
    lines = [json.loads(line) for line in (moved / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["valid_balanced_accuracy"]
    (moved / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert cli.run(["report", str(moved)]) == 0
    shown, _ = page_of(moved / "report.html")
    assert "energy" not in shown.ids
    assert "classes" in shown.ids


def test_a_data_set_that_was_named_and_is_missing_is_an_error(
    moved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["report", str(moved), "--dataroot", str(tmp_path / "nothing")]) == 2
    assert "nothing" in capsys.readouterr().err
    assert not (moved / "report.html").exists()


def test_a_run_that_is_being_trained_has_a_report(moved: Path) -> None:
    """Its best weights are written before the metrics of their epoch, and it has no test.json."""
    (moved / "test.json").unlink()
    first, *_ = (moved / "metrics.jsonl").read_text().splitlines(keepends=True)
    (moved / "metrics.jsonl").write_text(first)
    checkpoint = load_checkpoint(moved / "best.safetensors")
    replace(checkpoint, epoch=2).save(moved / "best.safetensors")
    assert cli.run(["report", str(moved)]) == 0
    shown, _ = page_of(moved / "report.html")
    assert "There is no test.json either." in shown.texts["p"]


def test_runs_of_the_same_name_are_told_apart(runs: Path, tmp_path: Path) -> None:
    for group, name in (("x", "a"), ("y", "b")):
        shutil.copytree(
            runs / name, tmp_path / group / "seed", ignore=shutil.ignore_patterns("report*")
        )
    places = [str(tmp_path / group / "seed") for group in "xy"]
    assert cli.run(["report", *places, "-o", str(tmp_path / "both.html")]) == 0
    _, data = page_of(tmp_path / "both.html")
    assert set(data) == {"x/seed", "y/seed"}


def test_a_run_with_init_starts_from_those_time_constants(
    runs: Path, tmp_path: Path, tones: Path
) -> None:
    run = tmp_path / "further"
    options = ["--init", str(runs / "b"), f"--set=data.dataroot={tones / 'tones'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tones)
        assert cli.run(["tones.toml", "--run-dir", str(run), "--set=srnn.epochs=1", *options]) == 0
    before = read_run(run).time_constants_before
    learnt = time_constants(read_run(runs / "b").recogniser.spotter.network)
    for name, values in learnt.items():
        if name != "tau_mem, readout":  # that of each label
            assert before[name] == pytest.approx(values)


def test_a_network_of_the_package_has_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    soundfile.write("noise.wav", rng.normal(0, 0.1, 16_000), 16_000)
    assert cli.run(["report", "gsc8-small", "--clip", "noise.wav"]) == 0
    shown, data = page_of(tmp_path / "report.html")
    assert data["gsc8-small"]["metrics"] == []
    assert {"overview", "clip", "neurons", "configuration"} <= set(shown.ids)


def test_a_report_may_have_streams(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "streams.html"
    options = ["--stream", "--partition", "validation", "-o", str(out)]
    assert cli.run(["report", str(runs / "c"), *options]) == 0
    shown, _ = page_of(out)
    assert "streams" in shown.ids
    assert (tmp_path / "streams-figures" / "streams.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["{a}", "{b}", "--clip", "x.wav"], "--clip: expected one RUN with it, found 2"),
        (["{a}", "--negatives", "x"], "--negatives: expected --stream with it"),
        (["{a}", "-o", "{a}/no/x.html"], "expected a folder at"),
        (["nothing"], "nothing: expected a run directory"),
        (["{a}", "--clip", "no.wav"], "no.wav"),
    ],
)
def test_wrong_input_is_named_on_one_line(
    runs: Path, arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {name: str(runs / name) for name in "ab"}
    capsys.readouterr()
    assert cli.run(["report", *(each.format(**places) for each in arguments)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert expected in errors[-1]


def test_damaged_files_of_a_run_are_named(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(runs / "a", damaged)
    for name, content in (
        ("metrics.jsonl", b"{"),
        ("metrics.jsonl", b"{}"),
        ("metrics.jsonl", b"\xff"),
        ("test.json", b"[]"),
    ):
        whole = (damaged / name).read_bytes()
        (damaged / name).write_bytes(content)
        assert cli.run(["report", str(damaged)]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert str(damaged / name) in error
        assert "expected" in error
        (damaged / name).write_bytes(whole)
