# SPDX-License-Identifier: MPL-2.0
"""Runs whose training clips are varied in every epoch: repeatable, and resumed to the same bits."""

import json
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest
import torch

import srnn
from legacy import make_legacy
from run_results import assert_same_results, metrics
from srnn import cli
from srnn.config import load as load_config
from srnn.data.preparation import make_evaluation_corpus, make_training_corpus
from srnn.data.sources.synthetic import corpus as corpora
from srnn.data.sources.synthetic import pronunciation, sentences
from srnn.runs.checkpoint import load_checkpoint
from srnn.runs.parts import task_of
from srnn.training.batch import Batch
from srnn.training.step import Step

CHANGES = (
    "data.sampling=balanced",
    "data.silence_volume=official",
    "data.selection=balanced_accuracy",
    "data.normalisation=standardise",
    "mel.features=log_mel",
    "augment.shift=20",
    "augment.speed=0.15",
    "augment.volume=3",
    "augment.nonwords=0.2",
    "augment.noise=0.5",
    "augment.noise_measure=snr",
    "augment.fresh_silence=true",
    "augment.time_masks=1",
    "augment.time_mask=3",
    "augment.band_masks=1",
    "augment.band_mask=2",
    "augment.warp=0.1",
    "augment.mixup=0.3",
    "srnn.unknown_readouts=3",
)


@pytest.fixture(autouse=True)
def _here(tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tones)


def command(run: Path, *changes: str) -> list[str]:
    keys = (word for key in (*CHANGES, *changes) for word in ("--set", key))
    return ["tones.toml", "--run-dir", str(run), *keys]


@pytest.fixture(scope="module")
def finished(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run that went to its end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tones)
        run = tmp_path_factory.mktemp("runs") / "varied"
        assert cli.run(command(run)) == 0
    return run


def test_same_seed_same_bits(finished: Path, tmp_path: Path) -> None:
    assert cli.run(command(tmp_path / "again")) == 0
    assert_same_results(finished, tmp_path / "again")


@pytest.mark.parametrize(
    "change",
    [
        *("augment.shift", "augment.speed", "augment.volume", "augment.noise"),
        *("augment.fresh_silence", "augment.time_masks", "augment.band_masks", "augment.warp"),
        *("augment.mixup", "augment.nonwords"),
    ],
)
def test_each_kind_of_variation_counts(change: str, finished: Path, tmp_path: Path) -> None:
    off = f"{change}={'false' if change.endswith('silence') else '0'}"
    assert cli.run(command(tmp_path / "other", off, "srnn.epochs=1")) == 0
    losses = [metrics(run)[0]["train_loss"] for run in (finished, tmp_path / "other")]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("steps", [3, 9])
def test_a_run_resumed_within_an_epoch_equals_one_never_interrupted(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    real_step, done = Step.__call__, iter(range(1, 1000))

    def step(self: Step, batch: Batch) -> None:
        if next(done) == steps:
            signal.raise_signal(signal.SIGINT)
        real_step(self, batch)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Step, "__call__", step)
        assert cli.run(command(run)) == 130
    assert cli.run([*command(run), "--resume"]) == 0
    assert_same_results(finished, run)


def test_predictions_are_what_the_test_counted(finished: Path) -> None:
    """Standardised log-mel features, by way of the checkpoint alone."""
    weights = load_checkpoint(finished / "best.safetensors").weights
    assert weights["normaliser.mean"].shape == weights["normaliser.scale"].shape == (2, 8)
    recogniser = srnn.load(finished)
    corpus = make_evaluation_corpus(task_of(recogniser.config), recogniser.labels)
    counted = json.loads((finished / "test.json").read_text())["confusion"]
    for label, name in enumerate(recogniser.labels):
        if name != "_silence_":
            files = [clip.path for clip in corpus.partitions["testing"] if clip.label == label]
            said = Counter(recogniser.predict(file).label for file in files)
            assert [said[other] for other in recogniser.labels] == counted[label]


@pytest.mark.parametrize(("readouts", "kept"), [(3, True), (2, False), (1, False)])
def test_init_keeps_the_readouts_of_unknown_words_where_both_have_as_many(
    readouts: int, kept: bool, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    changes = (
        "srnn.learning_rate=1e-12",
        "srnn.epochs=1",
        'data.words=["high", "low"]',
        f"srnn.unknown_readouts={readouts}",
    )
    assert cli.run([*command(run, *changes), "--init", str(finished)]) == 0
    old, new = (load_checkpoint(path / "best.safetensors").weights for path in (finished, run))
    name = "network.readout.output.weight"
    torch.testing.assert_close(new[name][:3], old[name][[1, 0, 2]])
    unknown = old[name][3 : 3 + readouts]
    assert torch.allclose(new[name][3:], unknown) == kept
    fresh = "none" if kept else "_unknown_"
    assert f"fresh readout for: {fresh}\n" in capsys.readouterr().err


def test_evaluate_repeats_the_test(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["evaluate", str(finished), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((finished / "test.json").read_text())


def test_evaluate_agrees_with_the_test_where_it_folds_the_normalisation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    changes = ["srnn.neuron=adaptive_current", "srnn.batch_norm=true", "srnn.encoder=none"]
    changes += ["srnn.tau_mem_range=[0.1, 0.3]"]  # quick ones fire at once
    assert cli.run(command(run, *changes)) == 0
    assert cli.run(["evaluate", str(run), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    tested = json.loads((run / "test.json").read_text())
    assert min(tested["firing_rate"]) > 0.01
    assert said["loss"] == pytest.approx(tested["loss"], rel=1e-3)
    assert said["spikes"] == pytest.approx(tested["spikes"], rel=1e-2)
    assert said["operations"]["multiply_accumulates"] > 0


def test_masks_alone_leave_the_features_in_memory(tmp_path: Path) -> None:
    run = tmp_path / "run"
    keys = ("augment.time_masks=1", "augment.band_masks=1", "srnn.epochs=1")
    changes = [word for key in keys for word in ("--set", key)]
    assert cli.run(["tones.toml", "--run-dir", str(run), *changes]) == 0
    assert "training: features are kept in main memory" in (run / "train.log").read_text()


def test_noise_needs_background_recordings(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for word in ("low", "high"):
        (tmp_path / "bare" / word).mkdir(parents=True)
        for file in (tones / "tones" / word).iterdir():
            (tmp_path / "bare" / word / file.name).symlink_to(file)
    changes = [f"data.dataroot={tmp_path / 'bare'}", "data.silence=false"]
    changes += ["data.unknown=false", "srnn.unknown_readouts=1"]
    assert cli.run(command(tmp_path / "run", *changes)) == 2
    assert (
        f"augment.noise: expected background recordings in {tmp_path}/bare/_background_noise_, "
        "found none; add some or set augment.noise = 0" in capsys.readouterr().err
    )


def test_synthetic_words_join_the_unknown_in_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("espeakng_loader", reason="needs espeakng-loader, group `synthetic`")
    for module in (corpora, pronunciation):
        monkeypatch.setattr(module, "COMMON_WORDS", ("water", "seven", "apple"))
    shutil.copytree("tones", tmp_path / "tones")
    run = tmp_path / "run"
    changes = [f"data.dataroot={tmp_path / 'tones'}", "data.synthetic_unknown=7"]
    config = load_config("tones.toml", changes)
    corpus = make_training_corpus(task_of(config))
    more = [clip for clip in corpus.partitions["training"] if corpus.is_added(clip)]
    assert {clip.word for clip in more} == {"water", "seven", "apple"}
    assert {corpus.labels[clip.label] for clip in more} == {"_unknown_"}
    assert len(more) == 7
    assert corpus.partitions["training"][-7:] == tuple(more)
    assert not any(map(corpus.is_added, corpus.partitions["validation"]))
    assert cli.run(command(run, *changes, "srnn.epochs=1")) == 0
    assert cli.run(["evaluate", str(run), "--partition", "validation"]) == 0
    noise = next((tmp_path / "tones" / "_background_noise_").iterdir())
    shutil.copyfile(noise, noise.with_name("water.wav"))  # a noise that is held out is no word
    noisy = make_training_corpus(
        task_of(load_config("tones.toml", [*changes, 'data.held_out=["water"]']))
    )
    ((first,), (second,)) = noisy.added, corpus.added
    assert first.folder == second.folder


def test_parts_of_synthetic_sentences_are_negatives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("espeakng_loader", reason="needs espeakng-loader, group `synthetic`")
    monkeypatch.setattr(sentences, "_SENTENCES", 3)
    shutil.copytree("tones", tmp_path / "tones")
    changes = [f"data.dataroot={tmp_path / 'tones'}", "data.negatives=synthetic"]
    config = load_config("tones.toml", [*changes, "data.negative_clips=9"])
    corpus = make_training_corpus(task_of(config))
    parts = [clip for clip in corpus.partitions["training"] if corpus.is_added(clip)]
    assert len(parts) == 9
    assert {corpus.labels[clip.label] for clip in parts} == {"_unknown_"}
    assert all(clip.path.parent.name.startswith("sentences-") for clip in parts)
    run = tmp_path / "run"
    one = [*changes, "data.negative_clips=9", "srnn.epochs=1"]
    assert cli.run(command(run, *one)) == 0
    shutil.rmtree(tmp_path / "tones" / "SyntheticWords")
    assert cli.run(["--run-dir", str(run), "--resume", "--set", "srnn.epochs=2"]) == 2


def test_a_run_that_drew_otherwise_is_not_resumed(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Version 1 of the draws, which files of torch have."""
    run = shutil.copytree(finished, tmp_path / "run")
    make_legacy(run)
    before = (run / "last.pt").read_bytes()
    assert cli.run([*command(run, "srnn.epochs=9"), "--resume"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"{run / 'last.pt'}: expected a run whose augmentation this version of srnn draws (version "
        "2 of the draws), found version 1: finish it with the version that began it, or start a "
        "new run"
    )
    assert (run / "last.pt").read_bytes() == before
    assert srnn.load(run).labels


def test_a_network_of_leaky_integrate_and_fire_neurons_trains(tmp_path: Path) -> None:
    run = tmp_path / "run"
    keys = [
        "srnn.neuron=lif",
        "srnn.firing_start=0.1",
        "srnn.threshold=1.0",
        "srnn.tau_mem=[10, 2]",
    ]
    changes = [word for key in keys for word in ("--set", key)]
    assert cli.run(["tones.toml", "--run-dir", str(run), *changes]) == 0
    assert "adaptation" not in load_checkpoint(run / "best.safetensors").weights
    layer = srnn.load(run).spotter.network.hidden[0]
    assert [name for name, _ in layer.named_parameters() if name.startswith("tau")] == ["tau_mem"]
    assert metrics(run)[-1]["train_loss"] < metrics(run)[0]["train_loss"]
    activity = srnn.load(run).record(torch.randn(2000).numpy())
    assert (activity.layers[1].threshold == 1).all()


def test_a_silent_layer_is_warned_of_once(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tones)
    run = tmp_path / "run"
    changes = ["--set=srnn.threshold=50", "--set=srnn.epochs=3"]
    assert cli.run(["tones.toml", "--run-dir", str(run), *changes]) == 0
    log = (run / "train.log").read_text()
    assert log.count("hidden layer 1 fires hardly ever") == 1
    assert log.count("hidden layer 2 fires hardly ever") == 1
