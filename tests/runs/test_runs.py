# SPDX-License-Identifier: MPL-2.0
"""Runs from TOML to predictions, on a small corpus of tones, within this process."""

import json
import re
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import srnn
from legacy import make_legacy
from run_results import (
    RUN_FILES,
    assert_same_results,
    assert_same_tensors,
    metrics,
    without_times,
)
from srnn import cli
from srnn.config import load as load_config
from srnn.config import to_toml
from srnn.data import audio
from srnn.data.preparation import (
    expect_data_sets,
    make_evaluation_corpus,
    make_training_corpus,
)
from srnn.errors import InputError
from srnn.features.normaliser import Normaliser
from srnn.runs import evaluation as testing
from srnn.runs.checkpoint import Checkpoint, load_checkpoint
from srnn.runs.directory import RunDirectory, new_run_path
from srnn.runs.parts import network_of, spec_of, task_of
from srnn.runs.recorder import RunRecorder
from srnn.runs.seeds import summary
from srnn.runs.start import Start
from srnn.runs.train import train
from srnn.training import examples
from srnn.training.batch import Batch
from srnn.training.cuda_graph import GraphedStep
from srnn.training.display import Pace
from srnn.training.examples import make_examples
from srnn.training.live import LiveLine, LiveState
from srnn.training.loop import Trainer, TrainingData
from srnn.training.progress import Progress
from srnn.training.spotter import Spotter
from srnn.training.step import Step

CPU = torch.device("cpu")
LABELS = ["low", "high", "_silence_", "_unknown_"]
EXTENDED = ("--set", "srnn.epochs=3")


@pytest.fixture(scope="module")
def finished(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run that went to its end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tones)
        run = tmp_path_factory.mktemp("runs") / "finished"
        assert cli.run(["tones.toml", "--run-dir", str(run)]) == 0
    return run


@pytest.fixture(autouse=True)
def _here(tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tones)


def stop_after(steps: int, number: signal.Signals, patch: pytest.MonkeyPatch) -> None:
    """Let a signal come within the given step of training, counted over all epochs."""
    real_step, done = Step.__call__, iter(range(1, 10_000))

    def step(self: Step, batch: Batch) -> None:
        if next(done) == steps:
            signal.raise_signal(number)
        real_step(self, batch)

    patch.setattr(Step, "__call__", step)


def test_a_run_leaves_what_the_contract_names(finished: Path) -> None:
    assert {file.name for file in finished.iterdir()} - {".lock"} == RUN_FILES
    assert (finished / "config.toml").read_text() == to_toml(load_config("tones.toml"))
    lines = metrics(finished)
    assert [line["epoch"] for line in lines] == [1, 2]
    for line in lines:
        assert list(line) == [
            "epoch",
            "lr",
            "train_loss",
            "train_accuracy",
            "valid_loss",
            "valid_accuracy",
            "valid_balanced_accuracy",
            "firing_rate",
            "seconds",
            "samples_per_second",
        ]
        assert len(line["firing_rate"]) == 2
    test = json.loads((finished / "test.json").read_text())
    assert test["partition"] == "testing"
    assert test["labels"] == LABELS
    assert sum(test["counts"].values()) == sum(map(sum, test["confusion"]))
    low, high = test["interval"]
    assert 0 <= low <= test["accuracy"] <= high <= 1
    recalls = [recall for recall in test["per_class"].values() if recall is not None]
    assert test["balanced_accuracy"] == pytest.approx(sum(recalls) / len(recalls))
    counts = test["counts"].values()
    assert test["majority_share"] == max(counts) / sum(counts)


def test_best_epoch_is_kept(finished: Path) -> None:
    lines = metrics(finished)
    best = max(lines, key=lambda line: line["valid_accuracy"])
    assert load_checkpoint(finished / "best.safetensors").epoch == best["epoch"]
    assert load_checkpoint(finished / "last.safetensors").epoch == lines[-1]["epoch"]


def test_tones_are_learnt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert cli.run(["tones.toml", "--run-dir", str(run), "--set", "srnn.epochs=12"]) == 0
    assert json.loads((run / "test.json").read_text())["accuracy"] > 0.7
    assert metrics(run)[0]["train_loss"] > 2 * metrics(run)[-1]["train_loss"]
    assert capsys.readouterr().out == ""


def test_log_tells_what_a_reader_needs(finished: Path) -> None:
    log = (finished / "train.log").read_text()
    for text in (
        "network_size = 24",
        "device: cpu",
        f"torch {torch.__version__}",
        "labels: 0 low, 1 high, 2 _silence_, 3 _unknown_",
        "parameters: ",
        "epoch  loss  acc.   loss  acc.  acc.       firing per s  left",
        "balanced accuracy",
        "best epoch: ",
        "95 % interval",
        f"the run is in {finished}",
    ):
        assert text in log
    one = r"[01]\.\d{3} +\d+(\.\d)?%"  # loss and accuracy
    for epoch, training, left in ((0, "", ""), (1, one, r"\d+ +\d+s"), (2, one, r"\d+ +0s")):
        line = rf" {epoch}/2 +{training} +{one} +[\d.]+%\*? +0\.\d{{3}} 0\.\d{{3}} *{left}\n"
        assert re.search(line, log), line


def test_the_terminal_shows_what_was_changed_and_the_file_everything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert cli.run(["tones.toml", "--run-dir", str(run), "--set", "srnn.epochs=1"]) == 0
    told, log = capsys.readouterr().err, (run / "train.log").read_text()
    assert "keys that differ from the defaults:\n  data.dataroot = " in told
    assert "  srnn.network_size = 24\n" in told
    assert "encoder_threshold" not in told
    assert to_toml(load_config("tones.toml", ["srnn.epochs=1"])) in log
    assert told.count("\n") < 60  # all keys alone are more
    long = [line for line in told.splitlines() if len(line) > 80]
    assert all(str(tmp_path) in line or "clips in" in line or "data set" in line for line in long)
    assert "kernels" not in told  # they are at hand
    assert "\r" not in told  # it is no terminal
    assert "WARNING" not in told


def test_the_live_line_tells_the_state_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, LiveState]] = []

    def show(line: LiveLine, step: int, state: LiveState) -> None:
        told.append((step, state))

    monkeypatch.setattr(LiveLine, "is_due", lambda line: True)
    monkeypatch.setattr(LiveLine, "show", show)
    assert cli.run(["tones.toml", "--run-dir", str(tmp_path / "run")]) == 0
    steps = -(
        -len(make_training_corpus(task_of(load_config("tones.toml"))).partitions["training"]) // 16
    )
    assert [step for step, _ in told] == 2 * list(range(1, steps + 1))
    shape = r"loss \d\.\d{3}, acc\. \d+(\.\d)?%, \d+(s|min) left, firing 0\.\d{3}, \d+ clips/s"
    for _, state in told:
        assert re.fullmatch(shape, ", ".join(state.parts())), state
    for (_, state), line in zip(told[steps - 1 :: steps], metrics(tmp_path / "run"), strict=True):
        assert (state.loss, state.accuracy) == (line["train_loss"], line["train_accuracy"])


def test_the_live_line_does_not_wait_for_a_gpu() -> None:
    """Between the looks at how steps went it repeats what was read at the last one."""

    def refuse() -> None:
        raise AssertionError

    pace = Pace(epochs=2, steps=10)
    pace.add_step(1.0)
    trainer: Any = SimpleNamespace(
        device=torch.device("cuda"),
        progress=Progress(step=1, seconds=1.0),
        _pace=pace,
        _live=LiveState(),
        _clips_seen=lambda: 16,
        _read_totals=refuse,
    )
    assert Trainer._live_state(trainer).parts() == ["19s left", "16 clips/s"]
    trainer._live = LiveState(0.5, 0.25, 0.125)
    assert Trainer._live_state(trainer) == (0.5, 0.25, 0.125, 16.0, 19.0)


def test_a_run_of_a_version_without_balanced_accuracy_is_resumed(
    finished: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    make_legacy(run)
    content = torch.load(run / "last.pt", weights_only=True)
    for line in content["training"]["progress"]["history"]:
        del line["valid_balanced_accuracy"]
    torch.save(content, run / "last.pt")
    assert cli.run(["tones.toml", "--run-dir", str(run), "--resume", *EXTENDED]) == 0
    old, older, new = (line["valid_balanced_accuracy"] for line in metrics(run))
    assert (old, older) == (None, None)
    assert 0 <= new <= 1
    assert "balanced" in summary([RunDirectory(run)])


def test_a_run_with_checkpoints_of_an_earlier_version_goes_on(
    finished: Path, tmp_path: Path
) -> None:
    """Its files are replaced, and it ends as if this version had begun it."""
    run, own = (shutil.copytree(finished, tmp_path / name) for name in ("run", "own"))
    make_legacy(run)
    before = srnn.load(run).predict_waveform(np.ones(2000, np.float32))
    assert before == srnn.load(own).predict_waveform(np.ones(2000, np.float32))
    assert cli.run(["tones.toml", "--run-dir", str(run)]) == 2
    for each in (run, own):
        assert cli.run(["tones.toml", "--run-dir", str(each), "--resume", *EXTENDED]) == 0
    assert_same_results(own, run)
    assert {file.name for file in run.glob("*.pt")} <= {"best.pt"}
    assert (run / "best.pt").exists() != (run / "best.safetensors").exists()


def test_same_seed_same_bits(finished: Path, tmp_path: Path) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    assert cli.run(["tones.toml", "--run-dir", str(again)]) == 0
    assert cli.run(["tones.toml", "--run-dir", str(other), "--set", "srnn.seed=1"]) == 0
    assert_same_results(finished, again)
    assert without_times(metrics(finished)) != without_times(metrics(other))


def test_features_computed_for_each_batch_train_to_the_same_bits(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "_MAIN_MEMORY", 0)
    run = tmp_path / "run"
    assert cli.run(["tones.toml", "--run-dir", str(run)]) == 0
    assert_same_results(finished, run)
    assert "training: features are kept in main memory" in (finished / "train.log").read_text()
    for name in ("training", "validation", "testing"):
        told = f"{name}: features are computed for each batch, from the pack"
        assert told in (run / "train.log").read_text()


@pytest.mark.usefixtures("finished")
def test_other_features_and_clips_need_no_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(audio, "decode", refuse)
    command = ["tones.toml", "--run-dir", str(tmp_path / "run"), "--set", "srnn.epochs=1"]
    changes = ["mel.n_mels=12", "mel.fmax=3000", "srnn.size=1500", "srnn.sample_rate=6000"]
    changes += ["data.words=['low']", "srnn.seed=1"]
    assert cli.run([*command, *(word for key in changes for word in ("--set", key))]) == 0


@pytest.mark.parametrize(
    ("steps", "number", "code"),
    [
        *((3, signal.SIGINT, 130), (9, signal.SIGTERM, 143), (2, signal.SIGHUP, 129)),
        *((5, signal.SIGUSR1, 138), (8, signal.SIGUSR2, 140), (6, signal.SIGXCPU, 152)),
    ],
)
def test_resumed_run_equals_one_never_interrupted(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
    number: signal.Signals,
    code: int,
) -> None:
    run = tmp_path / "run"
    command = ["tones.toml", "--run-dir", str(run)]
    with monkeypatch.context() as patch:
        stop_after(steps, number, patch)
        assert cli.run(command) == code
    assert not (run / "test.json").exists()
    assert cli.run([*command, "--resume"]) == 0
    assert_same_results(finished, run)
    assert "resuming in epoch" in (run / "train.log").read_text()


def test_a_signal_that_is_ignored_from_the_start_stays_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As nohup has SIGHUP ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop_after(3, signal.SIGHUP, monkeypatch)
        assert cli.run(["tones.toml", "--run-dir", str(tmp_path / "run")]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("numbers", [("SIGXCPU", "SIGXCPU"), ("SIGUSR2", "SIGTERM", "SIGTERM")])
def test_signals_that_clusters_repeat_do_not_keep_the_state_from_being_saved(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: tuple[str, ...]
) -> None:
    run, real_save, first = tmp_path / "run", Trainer.save, getattr(signal, numbers[0])
    command = ["tones.toml", "--run-dir", str(run)]

    def save(trainer: Trainer) -> None:
        for name in numbers[1:]:
            signal.raise_signal(getattr(signal, name))
        real_save(trainer)

    with monkeypatch.context() as patch:
        stop_after(9, first, patch)
        patch.setattr(Trainer, "save", save)
        code = cli.run(command)
    assert code == 128 + (signal.SIGTERM if len(numbers) == 3 else first)
    assert cli.run([*command, "--resume"]) == 0
    assert_same_results(finished, run)


def test_a_run_is_trained_in_another_thread(tmp_path: Path) -> None:
    """Where nobody may handle signals."""
    settings, run = load_config("tones.toml"), RunDirectory(tmp_path / "run")
    with run.prepared(resume=False), ThreadPoolExecutor(1) as pool:
        pool.submit(train, settings, run, Start()).result()
    assert run.test.exists()


@pytest.mark.parametrize(
    "lost", [(), ("last.safetensors", "best.safetensors")], ids=["whole", "before a state"]
)
def test_a_run_resumed_elsewhere_asks_for_its_data_set(
    lost: tuple[str, ...],
    finished: Path,
    tones: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It downloads nothing into a new place, and leaves nothing there."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("srnn.data.sources.folder.archives.download", refuse)
    run = shutil.copytree(finished, tmp_path / "run")
    for name in lost:
        (run / name).unlink()
    shutil.copy(tones / "tones.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    command = ["tones.toml", "--run-dir", str(run), "--resume", "--set", "srnn.epochs=3"]
    assert cli.run(command) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"data.dataroot = 'tones': expected the data set {load_config('tones.toml').data.gsc_url} "
        f"that the run in {run} began with, found none in {tmp_path / 'tones'}: name its folder "
        "by --set data.dataroot=DIR"
    )
    assert not (tmp_path / "tones").exists()


@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        (["data.gsc_url=synthetic"], "synthetic data set synthetic-"),
        (["data.gsc_url=https://example.org/clips.tar"], "data set clips "),
        (
            ["data.test_url=speech_commands_test_set_v0.01"],
            "test archive speech_commands_test_set_v0.01 ",
        ),
        (["data.synthetic_unknown=20"], "folder SyntheticWords of synthetic words "),
    ],
)
def test_of_all_data_sets_of_a_run_none_is_made_where_it_was_not(
    tones: Path, tmp_path: Path, keys: list[str], missing: str
) -> None:
    place = tmp_path / "empty" if "gsc_url" in keys[0] else tones / "tones"
    config = load_config("tones.toml", [*keys, f"data.dataroot={place}"])
    with pytest.raises(InputError) as error:
        expect_data_sets(task_of(config), tmp_path / "run")
    assert str(error.value).startswith(f"data.dataroot = '{place}': expected the {missing}")
    assert not (tmp_path / "empty").exists()


def test_a_run_resumed_elsewhere_goes_on_with_the_data_set_that_is_named(
    finished: Path, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    shutil.copy(tones / "tones.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    command = ["tones.toml", "--run-dir", str(run), "--resume", "--set", "srnn.epochs=3"]
    assert cli.run([*command, "--set", f"data.dataroot={tones / 'tones'}"]) == 0
    assert len(metrics(run)) == 3


def test_several_seeds_make_a_run_each_and_a_table(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["tones.toml", "--run-dir", str(tmp_path), "--seeds", "2"]
    assert cli.run(command) == 0
    out, told = capsys.readouterr()
    title, heads, *rows, empty, parameters = out.splitlines()
    assert title.split() == ["validation", "testing", "best"]
    assert heads.split()[:4] == ["accuracy", "balanced", "accuracy", "balanced"]
    assert max(map(len, (title, heads, *rows))) <= 80
    assert (empty, parameters[:12]) == ("", "parameters: ")
    assert [row.split()[0] for row in rows] == ["seed-0", "seed-1", "mean", "std"]
    assert all(cell.endswith("%") for row in rows for cell in row.split()[1:5])
    zero, one, mean, _ = (float(row.split()[1].rstrip("%")) for row in rows)
    best = max(line["valid_accuracy"] for line in metrics(finished))
    assert zero == pytest.approx(100 * best, abs=0.01)
    assert mean == pytest.approx((zero + one) / 2, abs=0.01)
    assert_same_results(finished, tmp_path / "seed-0")
    assert told.count("keys that differ from the defaults") == 1
    for number in (1, 2):
        assert told.count(f"run {number} of 2, seed {number - 1}\n") == 1
        log = (tmp_path / f"seed-{number - 1}" / "train.log").read_text()
        assert f"run {number} of 2, seed {number - 1}\n" in log
        assert "keys that differ from the defaults" in log
    assert cli.run([*command, "--resume"]) == 0
    assert capsys.readouterr().out == out


def test_a_seed_that_diverges_leaves_the_others_and_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real_step, done = Step.__call__, iter(range(1, 100))

    def step(self: Step, batch: Batch) -> None:
        if next(done) == 3:  # of the first run
            with torch.no_grad():
                self.spotter.network.encoder.threshold.fill_(torch.nan)
        real_step(self, batch)

    monkeypatch.setattr(Step, "__call__", step)
    command = ["tones.toml", "--run-dir", str(tmp_path), "--seeds", "2"]
    assert cli.run([*command, "--set", "srnn.epochs=1"]) == 1
    out, error = capsys.readouterr()
    assert [row.split()[0] for row in out.splitlines()[2:-2]] == ["seed-1", "mean", "std"]
    assert re.search(r"seed-0: epoch 1, step 3: expected finite .*; the other seeds go on", error)
    assert "the other seeds go on" in (tmp_path / "seed-0" / "train.log").read_text()


def test_training_ends_where_nothing_gets_better(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ["srnn.learning_rate=1e-12", "srnn.patience=2", "srnn.epochs=9"]
    sets = [word for key in keys for word in ("--set", key)]
    command = ["tones.toml", "--run-dir", str(tmp_path / "run"), *sets]
    assert cli.run(command) == 0
    assert len(metrics(tmp_path / "run")) == 3
    assert (tmp_path / "run" / "test.json").exists()
    assert cli.run([*command, "--resume"]) == 0
    assert "this run is finished" in capsys.readouterr().err


def test_several_seeds_are_all_checked_before_the_first_is_trained(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, tmp_path / "seed-1")
    assert cli.run(["tones.toml", "--run-dir", str(tmp_path), "--seeds", "2"]) == 2
    assert not (tmp_path / "seed-0").exists()
    last_seed = ["--set", f"srnn.seed={2**32 - 1}", "--run-dir", str(tmp_path / "other")]
    assert cli.run(["tones.toml", *last_seed, "--seeds", "2"]) == 2
    assert "--set srnn.seed: expected an integer from 0 to" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("steps", [9, 14])  # in mid-epoch; the last of all
def test_a_resumed_run_has_the_same_averages_dropout_and_learning_rates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    keys = ["srnn.averaging=0.8", "srnn.warmup_epochs=1", "srnn.schedule=cosine"]
    keys += ["srnn.neuron=adaptive_current", "srnn.batch_norm=true", "srnn.dropout=0.2"]
    options = [word for key in keys for word in ("--set", key)]
    assert cli.run(["tones.toml", "--run-dir", str(whole), *options]) == 0
    command = ["tones.toml", "--run-dir", str(parts), *options]
    with monkeypatch.context() as patch:
        stop_after(steps, signal.SIGTERM, patch)
        assert cli.run(command) == 143
    assert cli.run([*command, "--resume"]) == 0
    assert_same_results(whole, parts)


@pytest.mark.parametrize("averaging", [0.0, 0.8])
def test_what_is_validated_and_kept_is_the_average(tmp_path: Path, averaging: float) -> None:
    run = tmp_path / "run"
    keys = [f"srnn.averaging={averaging}", "srnn.epochs=1", "srnn.batch_norm=true"]
    options = [word for key in keys for word in ("--set", key)]
    assert cli.run(["tones.toml", "--run-dir", str(run), *options]) == 0
    best, last = (
        load_checkpoint(run / "best.safetensors"),
        load_checkpoint(run / "last.safetensors"),
    )
    assert last.training
    assert bool(last.training.average) == bool(averaging)
    assert_same_tensors(best.weights, last.training.average or last.weights)
    for name in ("network.hidden.0.input.weight", "network.hidden.0.norm.mean"):
        assert torch.equal(best.weights[name], last.weights[name]) == (not averaging)


def test_a_run_is_not_overwritten(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (finished / "metrics.jsonl").read_bytes()
    assert cli.run(["tones.toml", "--run-dir", str(finished)]) == 2
    assert capsys.readouterr().err == (
        f"--run-dir {finished}: expected a directory without a run, found config.toml; "
        "add --resume to continue that run, or choose another directory\n"
    )
    assert (finished / "metrics.jsonl").read_bytes() == before


def test_resuming_a_finished_run_changes_nothing(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: (finished / name).read_bytes() for name in RUN_FILES}
    assert cli.run(["tones.toml", "--run-dir", str(finished), "--resume"]) == 0
    assert {name: (finished / name).read_bytes() for name in RUN_FILES} == before
    assert "this run is finished, nothing is left to do" in capsys.readouterr().err


def test_resuming_with_another_configuration_is_refused(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ["--set", "srnn.seed=7", "--set", "mel.n_mels=9", "--set", "data.workers=1"]
    assert cli.run(["tones.toml", "--run-dir", str(finished), "--resume", *changes]) == 2
    last = finished / "last.safetensors"
    assert capsys.readouterr().err.splitlines() == [
        f"{last}: srnn.seed: expected 0 as in the run, found 7 in this command",
        f"{last}: mel.n_mels: expected 8 as in the run, found 9 in this command",
        f"{last}: leave out CONFIG and --set to go on with the run as it is, or start a new run",
    ]


def test_resume_without_a_saved_state_starts_from_the_beginning(
    tmp_path: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert cli.run(["tones.toml", "--run-dir", str(run), "--resume"]) == 0
    assert "last.safetensors is missing: starting from the beginning" in capsys.readouterr().err
    assert_same_results(finished, run)


def test_more_epochs_go_on_from_a_finished_run(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    command = ["tones.toml", "--run-dir", str(run), "--resume", "--set", "srnn.epochs=3"]
    assert cli.run(command) == 0
    assert [line["epoch"] for line in metrics(run)] == [1, 2, 3]
    assert cli.run([*command[:-1], "srnn.epochs=1"]) == 2


def test_a_run_older_than_a_key_that_changes_no_number_goes_on(
    finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    last: Any = load_checkpoint(run / "last.safetensors")
    del last.config["cuda"]["graphs"]
    last.save(run / "last.safetensors")
    (run / "config.toml").write_text((run / "config.toml").read_text().replace("graphs = true", ""))
    command = ["tones.toml", "--run-dir", str(run), "--resume", "--set", "srnn.epochs=3"]
    assert cli.run([*command, "--set", "cuda.graphs=false"]) == 0
    assert "graphs = false" in (run / "config.toml").read_text()


@pytest.mark.parametrize("graphs", [True, False])
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_the_definition_is_recorded_too_and_recording_is_a_switch_of_its_own(
    backend: str, graphs: bool, tmp_path: Path
) -> None:
    keys = [f"srnn.backend={backend}", f"cuda.graphs={str(graphs).lower()}"]
    config = load_config("tones.toml", keys)
    corpus = make_training_corpus(task_of(config))
    spec = spec_of(config)
    clips = make_examples(corpus, ["training"], spec, CPU, memory_budget=0)["training"]
    spotter = Spotter(Normaliser(None), network_of(config, len(corpus.labels)))
    recorder = RunRecorder(RunDirectory(tmp_path), config, corpus.labels, "")
    data = TrainingData(corpus, clips, clips, np.arange)
    gpu = torch.device("cuda")
    trainer = Trainer(config.srnn, spotter, data, recorder, gpu, graphs=config.cuda.graphs)
    assert isinstance(trainer._train_on, GraphedStep if graphs else Step)


def test_resuming_on_other_clips_is_refused(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, run = tmp_path / "corpus", tmp_path / "run"
    shutil.copytree(tones / "tones", corpus)
    command = ["tones.toml", "--run-dir", str(run), "--set", f"data.dataroot={corpus}"]
    assert cli.run([*command, "--set", "srnn.epochs=1"]) == 0
    next((corpus / "other").iterdir()).unlink()
    before = (run / "last.safetensors").read_bytes()
    assert cli.run([*command, "--resume", "--set", "srnn.epochs=2"]) == 2
    assert "expected the clips that the run began with" in capsys.readouterr().err
    assert (run / "last.safetensors").read_bytes() == before


def test_a_directory_at_work_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunDirectory(tmp_path / "run").prepared(resume=False):
        assert cli.run(["tones.toml", "--run-dir", str(tmp_path / "run")]) == 2
    assert "found another process at work in it" in capsys.readouterr().err


def test_new_runs_have_directories_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len({new_run_path("x") for _ in range(5)}) == 5


def test_a_file_of_the_users_is_not_overwritten(tmp_path: Path, tones: Path) -> None:
    shutil.copy(tones / "tones.toml", tmp_path / "config.toml")
    before = (tmp_path / "config.toml").read_bytes()
    assert cli.run([str(tmp_path / "config.toml"), "--run-dir", str(tmp_path)]) == 2
    assert (tmp_path / "config.toml").read_bytes() == before


def test_a_state_that_is_damaged_is_named_and_the_best_weights_offered(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    command = ["tones.toml", "--run-dir", str(run), "--resume", "--set", "srnn.epochs=3"]
    best = f"{run}/best.safetensors"
    offer = f"{best}: the best weights so far: --init {best} starts a new run from them"
    whole = (run / "last.safetensors").read_bytes()

    (run / "last.safetensors").write_bytes(whole[:-1000])
    assert cli.run(command) == 2
    error, second = capsys.readouterr().err.splitlines()
    assert error.startswith(
        f"{run}/last.safetensors: expected a checkpoint of srnn, found a damaged"
    )
    assert second == offer

    (run / "last.safetensors").unlink()
    assert cli.run(command) == 2
    assert offer in capsys.readouterr().err

    (run / "last.safetensors").write_bytes(whole)
    (run / "best.safetensors").unlink()
    assert cli.run(command) == 2
    assert f"{run}/best.safetensors: expected a checkpoint" in capsys.readouterr().err
    assert (run / "last.safetensors").read_bytes() == whole


def test_a_state_of_weights_only_cannot_be_resumed(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    shutil.copy(run / "best.safetensors", run / "last.safetensors")
    command = ["tones.toml", "--run-dir", str(run), "--resume", "--set", "srnn.epochs=3"]
    assert cli.run(command) == 2
    assert (
        "last.safetensors: expected a state to resume from, found weights only"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_stopped_before_it_has_a_state_starts_again_from_the_same_weights(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command = ["tones.toml", "--init", str(finished)]
    assert cli.run([*command, "--run-dir", str(whole)]) == 0
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "validate", lambda _: signal.raise_signal(number))
        assert cli.run([*command, "--run-dir", str(parts)]) == code
    again = ["srnn", "--run-dir", str(parts), "--resume"]
    error = capsys.readouterr().err
    assert f"nothing is saved in {parts} yet\n" in error
    assert f"go on with: pdm run {' '.join(again)}\n" in error
    assert cli.run(again[1:]) == 0
    assert_same_results(whole, parts)


def test_a_run_stopped_before_it_has_a_configuration_is_told_to_begin_as_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "srnn.runs.train.make_training_corpus", lambda *_, **__: signal.raise_signal(signal.SIGTERM)
    )
    begun = ["tones.toml", "--set", "srnn.epochs=3", "--run-dir", str(tmp_path / "run")]
    assert cli.run(begun) == 143
    assert f"go on with: pdm run srnn {' '.join(begun)} --resume\n" in capsys.readouterr().err


def test_the_last_step_of_an_epoch_is_judged_by_what_it_leads_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    keys = ["srnn.learning_rate=1000", "srnn.batch_size=500"]  # one step an epoch
    sets = [word for key in keys for word in ("--set", key)]
    assert cli.run(["tones.toml", "--run-dir", str(run), *sets]) == 1
    *_, error = capsys.readouterr().err.splitlines()
    assert re.search(r"found a mean loss of \S+ in validation; ", error)
    epoch = int(error.removeprefix("epoch ").partition(":")[0])
    assert [line["epoch"] for line in metrics(run)] == list(range(1, epoch))
    assert load_checkpoint(run / "best.safetensors").epoch < epoch


def test_numbers_that_are_not_finite_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, real_step, done = tmp_path / "run", Step.__call__, iter(range(1, 100))

    def step(self: Step, batch: Batch) -> None:
        if next(done) == 11:  # 7 steps are an epoch
            with torch.no_grad():
                self.spotter.network.encoder.threshold.fill_(torch.nan)
        real_step(self, batch)

    monkeypatch.setattr(Step, "__call__", step)
    assert cli.run(["tones.toml", "--run-dir", str(run)]) == 1
    *_, error = capsys.readouterr().err.splitlines()
    assert error.startswith(
        "epoch 2, step 4: expected finite numbers and losses below 139 in each step and 5.5 on "
        "average, found a loss of "
    )
    assert "; encoder.threshold: 1 of 1 values not finite" in error
    assert re.search(r"; clips: (\w+/\w+\.wav, ){2}\w+/\w+\.wav and 13 more", error)
    assert [line["epoch"] for line in metrics(run)] == [1]
    last = load_checkpoint(run / "last.safetensors")
    assert last.training
    assert (last.training.progress.epoch, last.training.progress.step) == (2, 0)
    log = (run / "train.log").read_text()
    assert log.count("_nohash_0.wav") >= 12
    assert "parameters at epoch 2, step 4:\nencoder.threshold: 1 of 1 values" in log


def test_a_learning_rate_beyond_reason_ends_in_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    command = ["tones.toml", "--run-dir", str(run), "--set", "srnn.learning_rate=10"]
    assert cli.run([*command, "--set", "srnn.epochs=20"]) == 1
    *_, error = capsys.readouterr().err.splitlines()
    assert re.match(
        r"epoch 1: expected .* found a mean loss of .* in training; readout\..*; clips: all; ",
        error,
    )
    assert error.endswith(
        "a lower srnn.learning_rate (now 10) or with srnn.gradient_clip (now 0, any length)"
    )
    assert not (run / "test.json").exists()
    load_checkpoint(run / "last.safetensors")


def test_time_constants_stay_in_their_range_whatever_the_learning_rate(tmp_path: Path) -> None:
    run = tmp_path / "run"
    changes = ["srnn.tau_learning_rate=1000", "srnn.tau_range=[2.0, 210.0]"]
    sets = [word for change in changes for word in ("--set", change)]
    assert cli.run(["tones.toml", "--run-dir", str(run), *sets]) == 0
    weights = load_checkpoint(run / "last.safetensors").weights
    taus = torch.cat([value for name, value in weights.items() if ".tau_" in name])
    assert taus.min() == 2
    assert taus.max() == 210


def test_a_full_disk_ends_the_log_but_not_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "train.log").symlink_to("/dev/full")
    assert cli.run(["tones.toml", "--run-dir", str(run)]) == 0
    error = capsys.readouterr().err
    assert error.count(f"{run}/train.log ends here: it cannot be written (No space left") == 1
    assert (run / "test.json").exists()


def test_training_hears_nothing_of_what_is_held_out(tmp_path: Path, tones: Path) -> None:
    corpus = tmp_path / "corpus"
    shutil.copytree(tones / "tones", corpus)
    shutil.copytree(corpus / "other", corpus / "another")
    shutil.copy(
        corpus / "_background_noise_" / "noise.wav", corpus / "_background_noise_" / "x.wav"
    )
    keys = [f"data.dataroot={corpus}", 'data.held_out=["another", "x"]', "augment.noise=1.0"]
    made = make_training_corpus(task_of(load_config("tones.toml", keys)))
    heard, validated = (
        {f"{clip.word}/{clip.path.stem[:1]}" for clip in made.partitions[name]} - {""}
        for name in ("training", "validation")
    )
    assert "_background_noise_/n" in heard
    assert "_background_noise_/x" not in heard
    assert not any(word.startswith("another") for word in heard)
    assert "_background_noise_/x" in validated
    assert any(word.startswith("another") for word in validated)
    assert [stretch.name for stretch in made.background("training")] == [
        "_background_noise_/noise.wav"
    ]


@pytest.mark.parametrize(
    ("held_out", "change", "message"),
    [
        ("nowhere", "data.unknown=true", "none named 'nowhere'"),
        ("low", "data.words=all", "none named 'low'"),
        ("other", "data.unknown=false", "none named 'other'"),
        ("noise", "data.unknown=true", r"all of \S+/_background_noise_ held out"),
    ],
)
def test_what_cannot_be_held_out_is_named(held_out: str, change: str, message: str) -> None:
    config = load_config("tones.toml", [f'data.held_out=["{held_out}"]', change])
    with pytest.raises(InputError, match=rf"(?m)^data\.held_out: .* found {message}$"):
        make_training_corpus(task_of(config))


def test_evaluate_downloads_nothing(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["evaluate", str(finished)]) == 2
    assert capsys.readouterr().err.startswith("data.dataroot = 'tones', where training was: ")
    assert not (tmp_path / "tones").exists()


def test_evaluate_repeats_the_test(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["evaluate", str(finished), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((finished / "test.json").read_text())


def test_evaluate_leaves_the_recogniser_on_its_device(
    finished: Path, tones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recogniser = srnn.load(finished)
    clip = next((tones / "tones" / "low").iterdir())
    before, devices = recogniser.predict(clip), []

    def evaluate(spotter: Spotter, *_: object) -> None:
        devices.append({each.device.type for each in spotter.state_dict().values()})

    monkeypatch.setattr(testing, "make_device", lambda _: torch.device("meta"))
    monkeypatch.setattr(testing, "make_examples", lambda *_, **__: {"testing": None})
    monkeypatch.setattr(testing, "evaluate_examples", evaluate)
    testing.evaluate(recogniser, "testing")
    assert devices == [{"meta"}]
    assert recogniser.predict(clip) == before


def test_evaluate_validation_of_a_checkpoint_file(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = finished / "best.safetensors"
    assert cli.run(["evaluate", str(best), "--partition", "validation", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    line = metrics(finished)[load_checkpoint(best).epoch - 1]
    assert result["accuracy"] == line["valid_accuracy"]
    assert result["balanced_accuracy"] == line["valid_balanced_accuracy"]
    assert result["loss"] == line["valid_loss"]
    assert result["firing_rate"] == line["firing_rate"]


def test_evaluate_prints_a_table(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["evaluate", str(finished)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("testing: accuracy ")
    assert "balanced accuracy" in out[0]
    assert re.fullmatch(r"\d+ clips, \d+\.\d\d% of them \w+", out[2])
    assert out[3].startswith("accuracy without silence: ")
    inference = r"an inference: [\d,]+ spikes, [\d,]+ accumulates, 0 multiply-accumulates"
    assert out[4].startswith("expected calibration error of the probabilities: ")
    assert re.fullmatch(inference, out[6])
    (head,) = (place for place, line in enumerate(out) if line.endswith("  taken for"))
    assert out[7].startswith("an inference  ")  # its energy
    assert any(line.startswith("this network ") for line in out[8:head])
    *rows, unknown, silence = out[head + 1 :]
    assert [line.split()[0] for line in rows] == LABELS
    start = "clips of each"
    assert re.fullmatch(
        rf"{start} word in _unknown_ that were taken for _unknown_: other \d/3", unknown
    )
    assert re.fullmatch(
        rf"{start} recording in _silence_ that were taken for _silence_: noise\s\d/3", silence
    )


def test_evaluate_on_a_test_archive(
    finished: Path, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "archive"
    silence = np.zeros(2_000, np.float32)
    for label, word in (("low", "low"), ("high", "high"), ("_unknown_", "other")):
        (archive / label).mkdir(parents=True)
        for source in sorted((tones / "tones" / word).iterdir())[:3]:
            shutil.copy(source, archive / label / f"{word}_{source.name}.wav")
    (archive / "_silence_").mkdir()
    soundfile.write(archive / "_silence_" / "1254.wav", silence, 8_000)
    assert cli.run(["evaluate", str(finished), "--dataroot", str(archive), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["counts"] == {"low": 3, "high": 3, "_silence_": 1, "_unknown_": 3}


def test_test_archive_by_configuration(tmp_path: Path, tones: Path) -> None:
    archive = tmp_path / "SpeechCommands" / "speech_commands_test_set_v0.01"
    shutil.copytree(tones / "tones" / "low", archive / "low")
    shutil.copytree(tones / "tones" / "other", archive / "_unknown_")
    for word in ("low", "high", "_background_noise_"):
        shutil.copytree(
            tones / "tones" / word, tmp_path / "SpeechCommands" / "speech_commands_v0.01" / word
        )
    overrides = [
        f"data.dataroot={tmp_path}",
        "data.test_url=speech_commands_test_set_v0.01",
        "data.unknown=true",
    ]
    config = load_config("tones.toml", overrides)
    corpus = make_training_corpus(task_of(config))
    assert corpus.counts("testing") == {"low": 40, "high": 0, "_silence_": 0, "_unknown_": 40}
    assert corpus.counts("training")["low"] > 20
    again = make_evaluation_corpus(task_of(config), corpus.labels)
    assert again.partitions["testing"] == corpus.partitions["testing"]
    archive.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"^data\.test_url: expected the test archive that train"):
        make_evaluation_corpus(task_of(config), corpus.labels)
    without = make_evaluation_corpus(task_of(config), corpus.labels, partition="validation")
    assert without.partitions["validation"] == corpus.partitions["validation"]


def test_evaluate_without_a_data_set(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["evaluate", str(finished), "--dataroot", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"--dataroot {tmp_path}: expected one data set")


def test_predict_answers_for_each_file(
    finished: Path, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stereo = tmp_path / "long.flac"
    noise = 0.01 * np.random.default_rng(0).normal(size=(3 * 44_100, 2))
    soundfile.write(stereo, noise, 44_100)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    missing = tmp_path / "missing.wav"
    clip = next((tones / "tones" / "low").iterdir())
    files = [str(path) for path in (clip, broken, missing, stereo)]
    assert cli.run(["predict", str(finished), *files, "--json"]) == 2
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["file"] for answer in answers] == files
    assert ["error" in answer for answer in answers] == [False, True, True, False]
    for answer in (answers[0], answers[3]):
        assert list(answer["probabilities"]) == LABELS
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert answer["probability"] == answer["probabilities"][answer["label"]]


def test_predict_prints_the_most_probable_words(
    finished: Path, tones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = next((tones / "tones" / "low").iterdir())
    assert cli.run(["predict", str(finished), str(clip), "--top", "3"]) == 0
    printed = capsys.readouterr().out
    name, _, answer = printed.rstrip().partition(": ")
    assert name == str(clip)
    shares = [float(word.rstrip("%")) for word in answer.split()[1::2]]
    assert len(shares) == 3
    assert shares == sorted(shares, reverse=True)


def test_prediction_does_not_depend_on_batch_mates(finished: Path) -> None:
    recogniser = srnn.load(finished)
    config = load_config("tones.toml")
    corpus = make_training_corpus(task_of(config))
    clips = corpus.partitions["validation"]
    spec = spec_of(config)
    made = make_examples(corpus, ["validation"], spec, CPU, memory_budget=0)
    (batch,) = made["validation"].batches(torch.arange(len(clips)), len(clips), CPU)
    together = recogniser.spotter(batch.features).log_probabilities.exp()
    for clip, probabilities in zip(clips, together, strict=True):
        if clip.frames == -1:
            alone = list(recogniser.predict(clip.path).probabilities.values())
            assert alone == pytest.approx(probabilities.tolist(), abs=1e-5)


def test_a_run_on_other_frames_goes_on_and_passes_its_weights_on_only_to_such(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    framing = ["--set", "mel.window=20", "--set", "mel.hop=2.5"]
    command = ["tones.toml", "--run-dir", str(run)]
    assert cli.run([*command, *framing]) == 0
    recogniser = srnn.load(run)
    assert spec_of(recogniser.config).shape == (2, 101, 8)
    assert len(recogniser.spotter(torch.ones(1, 2, 101, 8)).inputs) == 101
    assert cli.run(["evaluate", str(run)]) == 0
    assert cli.run([*command, *framing, "--resume", "--set", "srnn.epochs=3"]) == 0
    capsys.readouterr()
    others = ["--set", "mel.window=30", "--set", "mel.hop=10"]
    assert cli.run([*command, *others, "--resume"]) == 2
    found = capsys.readouterr().err.splitlines()
    assert all(any(key in line for line in found) for key in ("mel.window", "mel.hop"))
    assert cli.run(["tones.toml", "--run-dir", str(other), *framing, "--init", str(finished)]) == 2
    found = capsys.readouterr().err.splitlines()
    assert all(any(f"--init: {key}" in line for line in found) for key in ("mel.window", "mel.hop"))
    framing[-1] = "mel.hop=5"
    assert cli.run(["tones.toml", "--run-dir", str(other), *framing, "--init", str(run)]) == 2
    assert "--init: mel.hop" in capsys.readouterr().err


def test_a_run_older_than_the_framing_keys_goes_on(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for name in ("last.safetensors", "best.safetensors"):
        checkpoint: Any = load_checkpoint(run / name)
        del checkpoint.config["mel"]["window"], checkpoint.config["mel"]["hop"]
        checkpoint.save(run / name)
    toml = (run / "config.toml").read_text()
    (run / "config.toml").write_text(
        toml.replace("window = 30.0\n", "").replace("\nhop = 10.0\n", "\n")
    )
    assert "hop" not in (run / "config.toml").read_text()
    assert cli.run(["evaluate", str(run)]) == 0
    command = [str(run / "config.toml"), "--run-dir", str(run), "--resume"]
    assert cli.run([*command, "--set", "srnn.epochs=3"]) == 0
    assert "hop = 10.0\n" in (run / "config.toml").read_text()


@pytest.mark.filterwarnings("default:.* mel bands stay empty")
def test_bands_that_a_short_window_leaves_empty_are_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ("mel.window=5", "mel.hop=5", "mel.n_mels=40", "srnn.epochs=1")
    sets = [word for key in keys for word in ("--set", key)]
    assert cli.run(["tones.toml", "--run-dir", str(tmp_path / "run"), *sets]) == 0
    (warning,) = (line for line in capsys.readouterr().err.splitlines() if "mel bands" in line)
    assert " of 40 mel bands stay empty" in warning
    assert "40 samples, 200 Hz apart" in warning


def test_init_keeps_the_readout_of_shared_labels(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ["tones.toml", "--run-dir", str(run), "--init", str(finished)]
    changes = ["--set", 'data.words=["other", "low"]', "--set", "srnn.learning_rate=1e-12"]
    assert cli.run([*command, *changes, "--set", "data.unknown=false"]) == 0
    old, new = (
        load_checkpoint(finished / "best.safetensors"),
        load_checkpoint(run / "best.safetensors"),
    )
    assert new.labels == ["other", "low", "_silence_"]
    for name, weights in new.weights.items():
        if name.startswith("network.readout."):
            torch.testing.assert_close(weights[1:], old.weights[name][[0, 2]])
            assert not torch.allclose(weights[0], old.weights[name][1])
        else:
            torch.testing.assert_close(weights, old.weights[name])


def test_a_run_goes_on_only_from_the_weights_it_began_with(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, fresh, other = tmp_path / "one", tmp_path / "fresh", tmp_path / "other"
    short, longer = (["--set", f"srnn.epochs={epochs}"] for epochs in (1, 2))
    init = ["--init", str(finished)]
    assert cli.run(["tones.toml", "--run-dir", str(one), *short, *init]) == 0
    seed = ["--set", "srnn.seed=1"]
    assert cli.run(["tones.toml", "--run-dir", str(fresh), *short, *seed]) == 0
    shutil.copytree(one, other)
    again = ["tones.toml", "--resume", *longer, "--run-dir"]
    capsys.readouterr()
    assert cli.run([*again, str(one), "--init", str(fresh)]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"--init: expected the weights that the run in {one} began from, found others"
    )
    assert cli.run([*again, str(fresh), *init, *seed]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"--init: expected none, as the run in {fresh} began without, found one"
    )
    assert cli.run([*again, str(one), *init]) == 0
    assert cli.run([*again, str(other)]) == 0
    assert_same_results(one, other)


def test_what_another_run_heard_is_not_unheard(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["tones.toml", "--run-dir", str(tmp_path / "run"), "--init", str(finished)]
    changes = ["--set", 'data.held_out=["other"]', "--set", "srnn.epochs=1"]
    assert cli.run([*command, *changes]) == 0
    assert (
        "data.held_out: the weights of --init may have been trained on other"
        in capsys.readouterr().err
    )


def test_keys_without_effect_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["tones.toml", "--run-dir", str(tmp_path / "run"), "--set", "srnn.epochs=1"]
    assert cli.run([*command, "--set", "srnn.neuron=adaptive_current"]) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if "WARNING" in line]
    found = [line.partition("WARNING")[2].strip() for line in warnings[:2]]
    assert found == [
        'srnn.tau_mem = [5.0, 1.0] has no effect beside srnn.neuron = "adaptive_current"',
        'srnn.threshold = 0.3 has no effect beside srnn.neuron = "adaptive_current"',
    ]


def test_init_from_another_network_names_the_keys(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = (
        "data.dataroot=nowhere",
        "srnn.network_size=[24, 13]",
        "srnn.tau_range=[1, 500]",
        "mel.delta_order=0",
    )
    changes = [word for key in keys for word in ("--set", key)]
    command = ["tones.toml", "--run-dir", str(tmp_path / "run"), "--init", str(finished)]
    assert cli.run([*command, *changes]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert not {file.name for file in (tmp_path / "run").iterdir()} - {".lock", "train.log"}
    assert lines[-3:] == [
        f"--init: {key}: expected {here} as in this command, found {there} in the run that it names"
        for key, here, there in (
            ("srnn.network_size", "[24, 13]", "[24, 24]"),
            ("srnn.tau_range", "[1.0, 500.0]", "[0.1, 10000.0]"),
            ("mel.delta_order", "0", "1"),
        )
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('data.words=["low", "hihg"]', "data.words: expected recordings of each word"),
        ("data.dataroot=nowhere", "data.gsc_url"),
        ("srnn.epoch=3", "--set srnn.epoch: unknown key; did you mean srnn.epochs?"),
        ("srnn.epochs=0", "--set srnn.epochs: expected an integer from 1 to 1000000, found 0"),
    ],
)
def test_bad_input_is_named_in_one_line(
    change: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    overrides = ["--set", change, "--set", "data.gsc_url=none", "--set", "logger.level=ERROR"]
    assert cli.run(["tones.toml", "--run-dir", str(tmp_path / "run"), *overrides]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_checkpoints_that_are_none(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = (finished / "best.safetensors").read_bytes()
    (tmp_path / "cut.pt").write_bytes(good[: len(good) // 2])
    (tmp_path / "text.pt").write_text("no weights here")
    torch.save({"weights": torch.ones(3)}, tmp_path / "foreign.pt")
    torch.save(Checkpoint, tmp_path / "class.pt")
    soundfile.write(tmp_path / "sound.pt", np.zeros(100), 8_000, format="WAV")
    for name in ("cut.pt", "text.pt", "foreign.pt", "class.pt", "sound.pt", "missing.pt", "."):
        assert cli.run(["predict", str(tmp_path / name), "x.wav"]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"{tmp_path / name}: expected ")
        assert error.count("\n") == 1


@pytest.mark.parametrize("named", [True, False])
def test_without_a_graphics_card_the_cpu_is_used_with_a_warning_if_one_was_asked_for(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    Path("unnamed.toml").write_text(Path("tones.toml").read_text().partition("[cuda]")[0])
    command = ["unnamed.toml", "--run-dir", str(tmp_path / "run"), "--set", "srnn.epochs=1"]
    assert cli.run([*command, *(("--set", "cuda.cuda=true") if named else ())]) == 0
    error = capsys.readouterr().err
    level = "WARNING" if named else "INFO   "
    assert f"{level} cuda.cuda = true, but no CUDA device: computing on the CPU" in error
    assert "device: cpu" in error


CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_runs_on_the_embedded_corpus(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("espeakng_loader", reason="needs espeakng-loader, group `synthetic`")
    monkeypatch.chdir(tmp_path)
    settings = load_config(path)
    sizes = ", ".join("6" for _ in settings.srnn.layer_sizes)
    keys = ["data.gsc_url=synthetic", "data.dataroot=corpora", "data.synthetic_clips=20"]
    keys += ["data.workers=0", f"srnn.network_size=[{sizes}]", "srnn.epochs=1", "cuda.cuda=false"]
    if settings.data.synthetic_unknown:
        keys += ["data.synthetic_unknown=20"]
    if settings.data.words != "all":
        keys += ['data.words=["yes", "no"]']
    sets = [word for key in keys for word in ("--set", key)]
    assert cli.run([str(path), "--run-dir", "run", *sets]) == 0
    assert json.loads(Path("run/test.json").read_text())["accuracy"] is not None


def test_a_run_on_synthetic_voices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("espeakng_loader", reason="needs espeakng-loader, group `synthetic`")
    monkeypatch.chdir(tmp_path)
    Path("voices.toml").write_text(
        '[data]\ngsc_url = "synthetic"\nwords = ["yes", "no"]\nunknown = false\n'
        "synthetic_clips = 20\nworkers = 0\n[srnn]\nnetwork_size = 8\nepochs = 1\n"
    )
    assert cli.run(["voices.toml", "--run-dir", "run", "--set", "cuda.cuda=false"]) == 0
    assert {file.name for file in Path("run").iterdir()} - {".lock"} == RUN_FILES
    test = json.loads(Path("run/test.json").read_text())
    assert test["counts"] == {"yes": 2, "no": 2, "_silence_": 2}
    assert "or real voices instead of synthetic ones" in capsys.readouterr().err
    assert cli.run(["evaluate", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == test
    shutil.rmtree("google")
    assert cli.run(["evaluate", "run"]) == 2
    error = capsys.readouterr().err
    assert "where training was: expected the synthetic data set synthetic-" in error
    assert not Path("google").exists()
