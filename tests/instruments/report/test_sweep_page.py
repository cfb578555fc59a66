# SPDX-License-Identifier: MPL-2.0
"""Reports about sweeps. Their trials are told to the study; what a worker trains is not needed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pages import page_of

from srnn import cli

optuna = pytest.importorskip("optuna", reason="needs optuna, group `sweep`")

from srnn.instruments.report import sweep_parts  # noqa: E402 (they need optuna)
from srnn.sweeps.importance import NEEDED, Importance, importance  # noqa: E402
from srnn.sweeps.reading import read_sweep  # noqa: E402
from srnn.sweeps.results import RunResult  # noqa: E402
from srnn.sweeps.storage import run_directory, trial_directory  # noqa: E402
from srnn.sweeps.study import Claim, SweepStudy, join  # noqa: E402
from srnn.sweeps.table import rows  # noqa: E402

SWEEP = """
[sweep]
base = "tones.toml"
sampler = "random"
trials = 100
{sweep}
[keys]
srnn.neuron = ["lif", "adaptive_threshold"]
srnn.network_size = [8, [8, 4]]
srnn.batch_norm = [true, false]
srnn.learning_rate = {{ low = 1e-3, high = 1e-1, log = true }}
srnn.threshold = {{ low = 0.2, high = 0.4 }}
"""
PLACE = Path("sweeps/my")


@pytest.fixture(autouse=True)
def _here(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tones", "tones.toml"):
        (tmp_path / name).symlink_to(tones / name)
    monkeypatch.chdir(tmp_path)


@contextmanager
def studied(sweep: str = "") -> Iterator[SweepStudy]:
    Path("my.toml").write_text(SWEEP.format(sweep=sweep))
    with join(read_sweep("my.toml")) as study:
        yield study


@contextmanager
def claimed(study: SweepStudy) -> Iterator[Claim]:
    claim = study.claim()
    assert claim
    with claim.lock:
        yield claim


def finish(study: SweepStudy, accuracies: list[float], spikes: float) -> int:
    """Finish a trial with the accuracy of each seed; return its number."""
    with claimed(study) as claim:
        for seed, accuracy in enumerate(accuracies):
            result = RunResult(accuracy, accuracy / 2, spikes + seed, accuracy - 0.1, 1, 60.0)
            study.add_result(claim, seed, result)
            write_metrics(study, claim, seed, [0.1, accuracy])
        mean = sum(accuracies) / len(accuracies)
        values = [mean, spikes + (len(accuracies) - 1) / 2]
        study.tell(claim, 60.0, values if study.sweep.keys.spikes else values[:1])
        return claim.number


def write_metrics(study: SweepStudy, claim: Claim, seed: int, accuracies: list[float]) -> None:
    run = run_directory(trial_directory(study.sweep, claim.number), seed)
    run.mkdir(parents=True)
    lines = [
        {
            "epoch": epoch,
            "lr": 0.01,
            "train_loss": 1.0,
            "train_accuracy": accuracy,
            "valid_loss": 1.0,
            "valid_accuracy": accuracy,
            "valid_balanced_accuracy": accuracy / 2,
            "firing_rate": [0.1],
            "seconds": 30.0,
            "samples_per_second": 1.0,
        }
        for epoch, accuracy in enumerate(accuracies, start=1)
    ]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def reported(*options: str) -> tuple[Any, dict[str, Any]]:
    assert cli.run(["report", str(PLACE), *options]) == 0
    return page_of(PLACE / "report.html")


def figures() -> set[str]:
    return {path.stem for path in (PLACE / "report-figures").glob("*.svg")}


def test_a_sweep_of_every_state_has_a_page() -> None:
    with studied("seeds = 2\nspikes = true") as study:
        accurate = finish(study, [0.8, 0.9], 500.0)
        sparse = finish(study, [0.7, 0.7], 100.0)
        finish(study, [0.5, 0.5], 600.0)
        with claimed(study) as claim:
            study.fail(claim, 1.0, "loss is <nan>\nat once")
        with claimed(study) as pruned:
            write_metrics(study, pruned, 0, [0.1])
            study.tell(pruned, 1.0, None)
        with claimed(study):  # another worker's, while the report is written
            shown, data = reported()
    tiles = dict(zip(shown.texts["dt"], shown.texts["dd"], strict=True))
    assert tiles["trials"] == "6 of 100"
    assert [tiles[state] for state in ("finished", "pruned", "failed", "running")] == list("3111")
    assert tiles["best accuracy (validation)"] == "85.00% ± 7.07%"
    assert figures() == {"pareto", "pareto-front", "parallel", "history", "curves"}
    assert any(
        "Grey and dotted: 1 pruned and 1 failed" in each for each in shown.texts["figcaption"]
    )
    assert [row["trial"] for row in data["trials"]][:2] == [accurate, sparse]
    assert "85.00% ± 7.07%" in shown.texts["td"]
    assert "500 ± 1" in shown.texts["td"]
    assert {"loss is <nan>", "at once"} <= set(shown.texts["td"])
    assert "srnn.learning_rate" in "".join(shown.texts["pre"])
    assert len(shown.ids) == len(set(shown.ids))


def test_links_lead_to_the_runs_and_to_their_reports() -> None:
    with studied() as study:
        first = finish(study, [0.8], 500.0)
        second = finish(study, [0.7], 600.0)
        missing = finish(study, [0.6], 700.0)
    run = run_directory(PLACE / f"trial-{second:04d}", 0)
    (run / "report.html").touch()
    (PLACE / f"trial-{missing:04d}").rename("moved")
    Path("a b").mkdir()
    out = Path("a b/page.html")
    assert cli.run(["report", str(PLACE), "-o", str(out)]) == 0
    shown, _ = page_of(out)
    links = {address for address in shown.addresses if address.startswith("../")}
    assert links == {
        f"../sweeps/my/trial-{first:04d}",
        f"../sweeps/my/trial-{first:04d}/seed-0",
        f"../sweeps/my/trial-{second:04d}",
        f"../sweeps/my/trial-{second:04d}/seed-0/report.html",
    }
    assert all((out.parent / link).exists() for link in links)
    assert f"{missing}" in shown.texts["th"]


def test_points_tell_their_setting() -> None:
    with studied() as study:
        number = finish(study, [0.8], 500.0)
        (row,) = rows(study)
        reported()
    text = (PLACE / "report.html").read_text()
    tip = f"<title>trial {number}\naccuracy 80.00%\n500 spikes\nsrnn.neuron = "
    assert text.count(tip) == 1
    assert f"srnn.threshold = {row.setting['srnn.threshold']:.4g}" in text


def test_one_objective_has_a_front_too() -> None:
    with studied() as study:
        finish(study, [0.8], 500.0)
        finish(study, [0.7], 100.0)
        finish(study, [0.6], 300.0)
        shown, _ = reported()
    assert "Accuracy was the only objective of this sweep." in shown.texts["p"]
    linked = [text.rstrip("*") for text in shown.texts["a"]]
    on_front, every = ["1", "0"], ["0", "1", "2"]  # the fewest spikes first; the best first
    assert [text for text in linked if text.isdigit()] == on_front + every


def test_no_trial_is_finished_yet(tmp_path: Path) -> None:
    with studied() as study:
        shown, data = reported()
        assert data["trials"] == []
        assert "No trial has begun yet." in shown.texts["p"]
        with claimed(study):
            shown, _ = reported()
        assert "No trial has ended yet." in shown.texts["p"]
        with claimed(study) as claim:
            study.fail(claim, 1.0, "why not")
        shown, _ = reported()
    assert "No trial is finished yet, so there is no Pareto front." in shown.texts["p"]
    assert "No run on this machine has an epoch yet." in shown.texts["p"]
    assert "why not" in shown.texts["td"]
    assert figures() == {"parallel"}


def test_a_damaged_learning_curve_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with studied() as study:
        damaged = finish(study, [0.8], 500.0)
        finish(study, [0.7], 100.0)
        (run_directory(PLACE / f"trial-{damaged:04d}", 0) / "metrics.jsonl").write_text("{")
        shown, _ = reported()
    assert "metrics.jsonl, line 1: expected metrics" in capsys.readouterr().err
    assert any("of the 1 runs with an epoch" in text for text in shown.texts["figcaption"])


def test_a_password_stays_here() -> None:
    address = "postgresql://sweeper:a:se@cret@host/base?sslmode=require&password=hidden"
    Path("my.toml").write_text(SWEEP.format(sweep=f'storage = "{address}"'))
    text = sweep_parts.configuration(read_sweep("my.toml")).blocks[0].code
    assert 'storage = "postgresql://sweeper:...@host/base?sslmode=require&password=..."' in text


# Importance.


def test_importance_needs_trials_and_keys_and_results_that_differ() -> None:
    with studied() as study:
        for _ in range(NEEDED - 1):
            finish(study, [0.5], 100.0)
        shown, data = reported()
        reason = f"{NEEDED} finished trials or more are needed, and there are {NEEDED - 1}"
        assert f"Importance for accuracy is not known: {reason}." in shown.texts["p"]
        assert data["importance"] == {"accuracy": None, "spikes": None}
        finish(study, [0.5], 200.0)
        assert importance(study, rows(study), "accuracy") == "it is the same in all finished trials"


def test_importance_of_constant_keys_is_not_asked_for() -> None:
    text = SWEEP.format(sweep="")
    Path("my.toml").write_text(text[: text.index("[keys]")] + "[keys]\nsrnn.batch_norm = [true]\n")
    with join(read_sweep("my.toml")) as study:
        finish(study, [0.5], 100.0)
        row = rows(study)[0]
        many = [type(row)(**{**vars(row), "number": number}) for number in range(NEEDED)]
        found = importance(study, many, "accuracy")
    assert found == "two keys or more that differ between finished trials are needed"


def test_the_keys_that_matter_exceed_chance() -> None:
    """Accuracy follows the learning rate alone, and spikes the network's size."""
    with studied("spikes = true") as study:
        for _ in range(40):
            with claimed(study) as claim:
                accuracy = 0.5 + claim.params["srnn.learning_rate"]
                spikes = 100.0 if claim.params["srnn.network_size"] == "8" else 200.0
                spikes += 10 * claim.params["srnn.threshold"]
                study.add_result(claim, 0, RunResult(accuracy, accuracy, spikes, None, 1, 1.0))
                study.tell(claim, 1.0, [accuracy, spikes])
        for figure, key in (("accuracy", "learning_rate"), ("spikes", "network_size")):
            found = importance(study, rows(study), figure)
            assert isinstance(found, Importance)
            assert next(iter(found.importances)) == f"srnn.{key}"
            assert sum(found.importances.values()) == pytest.approx(1)
            above = [name for name, each in found.importances.items() if each > found.chance[name]]
            assert above == [f"srnn.{key}"]
        shown, _ = reported()
    assert "importance" in figures()
    texts = " ".join(shown.texts["p"])
    assert "PED-ANOVA: " in texts
    assert "sampler tpe" not in texts  # of which the page warns


def test_importance_is_that_of_the_trials_that_were_read() -> None:
    """A trial that finishes after them, or without the figure, is left out."""
    with studied() as study:
        for number in range(NEEDED):
            finish(study, [0.5 + number / 100], 100.0)
        with claimed(study) as claim:  # finished, without a result
            study.tell(claim, 1.0, [0.9])
        read = rows(study)
        expected = importance(study, read, "accuracy")
        assert isinstance(expected, Importance)
        finish(study, [0.9], 300.0)
        assert importance(study, read, "accuracy") == expected
        assert isinstance(importance(study, rows(study), "accuracy"), Importance)


# What the command takes.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["sweeps/my", "sweeps/my"], "sweeps/my: expected a sweep alone, or runs, found a sweep"),
        (["run", "sweeps/my"], "sweeps/my: expected a sweep alone, or runs, found a sweep and 1"),
        *(
            (["sweeps/my", *option], f"{option[0]}: expected a RUN with it, found the directory of")
            for option in (
                ["--partition", "testing"],
                ["--dataroot", "x"],
                ["--clip", "x.wav"],
                ["--stream"],
                ["--negatives", "x"],
            )
        ),
    ],
)
def test_what_does_not_apply_to_a_sweep_is_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with studied():
        pass
    assert cli.run(["report", *options]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


def test_without_optuna_one_line_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with studied():
        pass
    monkeypatch.setattr("srnn.packages.find_spec", lambda _name: None)
    assert cli.run(["report", str(PLACE)]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("srnn report: expected the package optuna, found none")
    assert errors.count("\n") == 1
