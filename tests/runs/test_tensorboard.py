# SPDX-License-Identifier: MPL-2.0
"""Event files for TensorBoard, read back by its own reader."""

import errno
import io
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import SessionStartInfo

from run_results import RUN_FILES, assert_same_results, metrics
from srnn import cli
from srnn.runs import tensorboard
from srnn.runs.checkpoint import load_checkpoint
from srnn.training.batch import Batch
from srnn.training.loop import Trainer
from srnn.training.step import Step

ON = ("--set", "logger.tensorboard=true")
COLUMNS = {
    "loss/training": "train_loss",
    "loss/validation": "valid_loss",
    "accuracy/training": "train_accuracy",
    "accuracy/validation": "valid_accuracy",
    "accuracy/validation_balanced": "valid_balanced_accuracy",
    "speed/learning_rate": "lr",
    "speed/clips_per_second": "samples_per_second",
}
RESULTS = {
    "result/validation_accuracy",
    "result/validation_balanced_accuracy",
    "result/testing_accuracy",
    "result/testing_balanced_accuracy",
    "result/spikes_per_inference",
    "result/best_epoch",
}


@pytest.fixture(autouse=True)
def _here(tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tones)
    monkeypatch.setattr(tensorboard, "_BUDGET", 1e6)  # pictures in every epoch, however short


@pytest.fixture(scope="module")
def finished(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run that went to its end."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tones)
        patch.setattr(tensorboard, "_BUDGET", 1e6)
        assert cli.run(["tones.toml", "--run-dir", str(run), *ON]) == 0
    return run


def events(run: Path) -> EventAccumulator:
    everything = {"scalars": 0, "images": 0, "histograms": 0, "tensors": 0}
    return EventAccumulator(str(run / "tensorboard"), everything).Reload()


def curve(found: EventAccumulator, tag: str) -> Any:
    return [(event.step, event.value) for event in found.Scalars(tag)]


def hyperparameters(found: EventAccumulator) -> dict[str, Any]:
    content = found.PluginTagToContent("hparams")[metadata.SESSION_START_INFO_TAG]
    start: SessionStartInfo = metadata.parse_session_start_info_plugin_data(content)
    return {
        name: getattr(value, str(value.WhichOneof("kind"))) for name, value in start.hparams.items()
    }


def interrupted(patch: pytest.MonkeyPatch, steps: int, *command: str) -> None:
    """Begin a run, and stop it within a step of training, counted over all epochs."""
    real_step, done = Step.__call__, iter(range(1, 10_000))

    def step(self: Step, batch: Batch) -> None:
        if next(done) == steps:
            signal.raise_signal(signal.SIGTERM)
        real_step(self, batch)

    with patch.context() as inner:
        inner.setattr(Step, "__call__", step)
        assert cli.run(list(command)) == 143


def expect_curves(run: Path, epochs: int) -> EventAccumulator:
    """Expect each epoch once in each curve, as ``metrics.jsonl`` has it."""
    found, lines = events(run), metrics(run)
    for tag, column in COLUMNS.items():
        expected = [(line["epoch"], pytest.approx(line[column])) for line in lines]
        assert curve(found, tag) == expected, tag
    for layer in (0, 1):
        rates = [(line["epoch"], pytest.approx(line["firing_rate"][layer])) for line in lines]
        assert curve(found, f"firing_rate/layer_{layer + 1}") == rates
    assert len(lines) == epochs
    return found


def test_each_epoch_is_written(finished: Path) -> None:
    assert {each.name for each in finished.iterdir()} - {".lock"} == {*RUN_FILES, "tensorboard"}
    found = expect_curves(finished, 2)
    for tag in ("spikes", "confusion/validation"):
        assert [event.step for event in found.Images(tag)] == [1, 2]
        for event in found.Images(tag):
            with Image.open(io.BytesIO(event.encoded_image_string)) as image:
                pixels = np.asarray(image.convert("L"))
            assert min(pixels.shape) >= 300
            assert pixels.std() > 5  # something is drawn
    assert curve(found, "encoder/encoder.threshold")[0] == (0, pytest.approx(0.05))


def test_histograms_are_those_of_the_weights(finished: Path) -> None:
    found, last = events(finished), load_checkpoint(finished / "last.safetensors").weights
    tags = found.Tags()["histograms"]
    assert {"time_constants/hidden.0.tau_mem", "time_constants/hidden.1.tau_adapt"} <= {*tags}
    assert {"weights/hidden.1.recurrent.weight", "weights/readout.output.bias"} <= {*tags}
    for tag in tags:
        first, *_, final = found.Histograms(tag)
        weights = last[f"network.{tag.partition('/')[2]}"].double()
        assert (first.step, final.step) == (0, 2)
        value = final.histogram_value
        assert value.num == weights.numel()
        assert (value.min, value.max) == (weights.min(), weights.max())
        assert value.sum == pytest.approx(float(weights.sum()), abs=1e-4)


def test_runs_are_compared_by_their_keys_and_results(finished: Path) -> None:
    found, lines = events(finished), metrics(finished)
    test = json.loads((finished / "test.json").read_text())
    best = load_checkpoint(finished / "best.safetensors").epoch
    expected = {
        "validation_accuracy": lines[best - 1]["valid_accuracy"],
        "validation_balanced_accuracy": lines[best - 1]["valid_balanced_accuracy"],
        "testing_accuracy": test["accuracy"],
        "testing_balanced_accuracy": test["balanced_accuracy"],
        "spikes_per_inference": test["spikes"],
        "best_epoch": best,
    }
    for name, value in expected.items():
        assert curve(found, f"result/{name}") == [(3, pytest.approx(value))]
    keys = hyperparameters(found)
    assert keys["srnn.learning_rate"] == 3e-2
    assert keys["srnn.network_size"] == "[24, 24]"
    assert keys["augment.fresh_silence"] == "false"
    assert keys["srnn.schedule"] == "step"
    assert not {"srnn.epochs", "data.dataroot", "logger.tensorboard"} & keys.keys()
    content = found.PluginTagToContent("hparams")
    assert set(content) == {metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG}


def test_training_is_the_same_without_it(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert cli.run(["tones.toml", "--run-dir", str(run)]) == 0
    assert not (run / "tensorboard").exists()
    for name in ("best", "last"):
        one, other = (load_checkpoint(each / f"{name}.safetensors") for each in (run, finished))
        assert all(torch.equal(one.weights[key], other.weights[key]) for key in other.weights)
    assert (run / "test.json").read_text() == (finished / "test.json").read_text()


@pytest.mark.parametrize("steps", [3, 9])
def test_a_resumed_run_continues_its_curves(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """It was stopped within the first or the second epoch."""
    run = tmp_path / "run"
    command = ["tones.toml", "--run-dir", str(run), *ON]
    interrupted(monkeypatch, steps, *command)
    assert cli.run([*command, "--resume"]) == 0
    assert_same_results(finished, run)
    found = expect_curves(run, 2)
    assert [event.step for event in found.Images("spikes")] == [1, 2]
    assert {*found.Tags()["scalars"]} >= RESULTS
    whole = events(finished)
    assert hyperparameters(found) == hyperparameters(whole)
    assert found.Tags() == whole.Tags()


def test_an_epoch_that_was_written_and_not_saved_is_not_there_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, real_save = tmp_path / "run", Trainer.save
    command = ["tones.toml", "--run-dir", str(run), *ON]

    def save(trainer: Trainer) -> None:
        if trainer.progress.epoch == 3:
            raise KeyboardInterrupt
        real_save(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", save)
        assert cli.run(command) != 0
    assert [step for step, _ in curve(events(run), "loss/training")] == [1, 2]
    assert cli.run([*command, "--resume"]) == 0
    found = expect_curves(run, 2)
    assert [event.step for event in found.Histograms("weights/hidden.0.input.weight")] == [0, 1, 2]


def test_an_extended_run_has_one_result(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    assert cli.run(["--run-dir", str(run), "--resume", "--set", "srnn.epochs=3"]) == 0
    found = expect_curves(run, 3)
    for tag in RESULTS:
        assert [event.step for event in found.Scalars(tag)] == [4]


def test_it_is_turned_on_later(tmp_path: Path) -> None:
    """The curves have the earlier epochs, too."""
    run = tmp_path / "run"
    assert cli.run(["tones.toml", "--run-dir", str(run)]) == 0
    extended = ["--run-dir", str(run), "--resume", "--set", "srnn.epochs=3"]
    assert cli.run([*extended, *ON]) == 0
    found = expect_curves(run, 3)
    assert [event.step for event in found.Images("spikes")] == [3]


def test_each_seed_has_its_own(tmp_path: Path) -> None:
    command = ["tones.toml", "--run-dir", str(tmp_path), "--seeds", "2", *ON]
    assert cli.run(command) == 0
    for seed in (0, 1):
        run = tmp_path / f"seed-{seed}"
        found = expect_curves(run, 2)
        assert hyperparameters(found)["srnn.seed"] == seed
        assert {*found.Tags()["scalars"]} >= RESULTS


def test_pictures_keep_to_their_part_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the first epoch are there all the same; the scalars are those of every epoch."""
    monkeypatch.setattr(tensorboard, "_BUDGET", 1e-9)
    run = tmp_path / "run"
    assert cli.run(["tones.toml", "--run-dir", str(run), *ON, "--set", "srnn.epochs=3"]) == 0
    found = expect_curves(run, 3)
    assert [event.step for event in found.Images("spikes")] == [1]
    assert [event.step for event in found.Histograms("weights/hidden.0.input.weight")] == [0, 1]


def test_a_missing_package_is_named_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    run = tmp_path / "run"
    assert cli.run(["tones.toml", "--run-dir", str(run), *ON]) == 2
    assert capsys.readouterr().err == (
        "logger.tensorboard: expected the package tensorboard, found none: run `pip install "
        "tensorboard` (or `pdm install -G tensorboard`)\n"
    )
    assert not (run / "config.toml").exists()
    assert cli.run(["tones.toml", "--run-dir", str(run), "--set", "srnn.epochs=1"]) == 0


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert cli.run(["tones.toml", "--run-dir", str(run)]) == 0
    (run / "tensorboard").write_text("a file")
    capsys.readouterr()
    extended = ["--run-dir", str(run), "--resume", "--set", "srnn.epochs=3", *ON]
    assert cli.run(extended) == 2
    assert f"{run}/tensorboard: cannot be written" in capsys.readouterr().err.splitlines()[-1]


def test_training_goes_on_when_the_disk_is_full(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.utils.tensorboard import SummaryWriter

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SummaryWriter, "add_image", refuse)
    run = tmp_path / "run"
    assert cli.run(["tones.toml", "--run-dir", str(run), *ON]) == 0
    warning = f"{run}/tensorboard ends here: it cannot be written (No space left on device)"
    assert (run / "train.log").read_text().count(warning) == 1
    assert_same_results(finished, run)
