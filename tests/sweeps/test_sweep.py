# SPDX-License-Identifier: MPL-2.0
"""Whole sweeps: workers that join, are stopped and killed; samplers, pruning, two objectives."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from sweeping import GRID, SLOW, go_to, wait_until, worker

from run_results import assert_same_results, metrics
from srnn import cli
from srnn.runs.checkpoint import load_checkpoint
from srnn.training.batch import Batch
from srnn.training.step import Step

optuna = pytest.importorskip("optuna", reason="needs optuna, group `sweep`")

from srnn.sweeps.reading import read_sweep  # noqa: E402 (they need optuna)
from srnn.sweeps.storage import JOURNAL  # noqa: E402
from srnn.sweeps.study import join  # noqa: E402
from srnn.sweeps.table import rows  # noqa: E402


@pytest.fixture(autouse=True)
def _here(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_to(tmp_path / "here", tones, monkeypatch)


@pytest.fixture(scope="module")
def undisturbed(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a grid of four settings, trained by one worker in peace."""
    with pytest.MonkeyPatch.context() as patch:
        go_to(tmp_path_factory.mktemp("undisturbed"), tones, patch)
        sweep = Path("grid.toml")
        sweep.write_text(GRID.format(sweep="seeds = 2"))
        assert cli.run(["sweep", "grid.toml"]) == 0
        return Path("sweeps/grid").absolute()


def listed(capsys: pytest.CaptureFixture[str], file: str = "my.toml") -> list[dict[str, Any]]:
    """Return the trials as ``--status --json`` prints them."""
    capsys.readouterr()
    assert cli.run(["sweep", file, "--status", "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def expect_the_grid(found: list[dict[str, Any]], undisturbed: Path, place: Path) -> None:
    """Check that each setting was trained once, to the bits of a sweep left in peace."""
    settings = [tuple(row["setting"].values()) for row in sorted(found, key=lambda r: r["trial"])]
    assert settings == [(rate, level) for rate in (1e-2, 3e-2) for level in (0.2, 0.3)]
    assert {row["state"] for row in found} == {"finished"}
    runs = sorted(path.relative_to(place) for path in place.glob("trial-*/seed-*"))
    assert len(runs) == 8
    assert runs == sorted(path.relative_to(undisturbed) for path in undisturbed.glob("trial-*/*-*"))
    for run in runs:
        assert_same_results(undisturbed / run, place / run)


def begun(place: Path) -> list[Path]:
    """Return the runs that have a state within an epoch, or after one."""
    return [
        path.parent
        for path in place.glob("trial-*/seed-*/last.safetensors")
        if not (path.parent / "test.json").exists()
    ]


def test_a_killed_workers_trial_goes_on_and_each_is_trained_once(
    undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("my.toml").write_text(GRID.format(sweep="seeds = 2"))
    place = Path("sweeps/my")
    with worker("my.toml") as victim:
        wait_until(lambda: bool(begun(place)), victim)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        (killed,) = begun(place)
        last = load_checkpoint(killed / "last.safetensors").training
        assert last
        with worker("my.toml") as one, worker("my.toml") as other:
            outputs = [process.communicate(timeout=SLOW)[0] for process in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], outputs
    both = "".join(outputs)
    assert both.count("trial 0 goes on, as its worker is gone") == 1
    assert [both.count(f"trial {number} begins") for number in range(4)] == [0, 1, 1, 1]
    assert "resuming in epoch" in (killed / "train.log").read_text()
    expect_the_grid(listed(capsys), undisturbed, place)


def test_an_interrupted_sweep_goes_on(
    undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C of two jobs: one line says how to go on, and the same command does."""
    Path("my.toml").write_text(GRID.format(sweep="seeds = 2"))
    place = Path("sweeps/my")
    with worker("my.toml", "--jobs", "2") as jobs:
        wait_until(lambda: len(begun(place)) == 2, jobs)
        jobs.send_signal(signal.SIGINT)
        output, _ = jobs.communicate(timeout=SLOW)
    assert jobs.returncode == 130, output
    assert "the study is in sweeps/my: the same command goes on with it" in output
    assert {row["state"] for row in listed(capsys)} <= {"running", "finished"}
    assert cli.run(["sweep", "my.toml"]) == 0
    assert "goes on, as its worker is gone" in capsys.readouterr().err
    expect_the_grid(listed(capsys), undisturbed, place)


def test_the_table_has_the_best_first(
    undisturbed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(undisturbed.parents[1])
    found = listed(capsys, "sweeps/grid")
    means = [sum(result["accuracy"] for result in row["results"].values()) / 2 for row in found]
    assert means == sorted(means, reverse=True)
    assert [row["best"] for row in found] == [True, False, False, False]
    run = Path(found[0]["path"]) / "seed-1"
    best = load_checkpoint(run / "best.safetensors")
    result = found[0]["results"]["1"]
    assert result["epoch"] == best.epoch
    assert result["accuracy"] == metrics(run)[best.epoch - 1]["valid_accuracy"]
    assert result["testing_accuracy"] == json.loads((run / "test.json").read_text())["accuracy"]
    assert best.config["srnn"]["learning_rate"] == found[0]["setting"]["srnn.learning_rate"]
    assert cli.run(["sweep", "grid.toml", "--status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "study grid: 4 of 4 trials: 4 finished"
    assert lines[4].split()[:2] == [f"{found[0]['trial']}*", "finished"]
    assert f"{means[0]:.2%} ± " in lines[4]
    assert cli.run(["sweep", "grid.toml"]) == 0  # nothing is left to do
    assert " begins" not in capsys.readouterr().err


def test_a_changed_file_is_another_study(
    undisturbed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(undisturbed.parents[1])
    text = Path("grid.toml").read_text()
    Path("other.toml").write_text(
        text.replace("seeds = 2", "seeds = 3\nname = 'grid'").replace("8", "9")
    )
    assert cli.run(["sweep", "other.toml"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "other.toml: sweep.seeds: expected 2 as in the study grid, found 3",
        "other.toml: srnn.network_size: expected [8, 8] as in the study grid, found [9, 9]",
        "other.toml: to begin another study, change sweep.name (and sweep.directory)",
    ]


RANGE = """
[sweep]
base = "tones.toml"
sampler = "{sampler}"
{sweep}
[set]
srnn.epochs = {epochs}
srnn.network_size = 8
[keys]
srnn.learning_rate = {{low = {low}, high = 1e-1, log = true}}
"""


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_draws_depend_on_the_seed_and_the_number_alone(
    sampler: str, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = []
    for name in ("one", "two"):
        text = RANGE.format(sampler=sampler, sweep="trials = 2", epochs=1, low=1e-3)
        Path(f"{name}.toml").write_text(text)
        assert cli.run(["sweep", f"{name}.toml"]) == 0
        found = sorted(listed(capsys, f"{name}.toml"), key=lambda row: int(row["trial"]))
        drawn.append([row["setting"]["srnn.learning_rate"] for row in found])
    assert drawn[0] == drawn[1]
    assert drawn[0][0] != drawn[0][1]
    assert all(1e-3 <= rate <= 1e-1 for rate in drawn[0])


def test_no_setting_is_drawn_twice(capsys: pytest.CaptureFixture[str]) -> None:
    text = RANGE.format(sampler="random", sweep="trials = 9", epochs=1, low=1e-3)
    i = text.index("srnn.learning_rate")
    Path("my.toml").write_text(text[:i] + "srnn.threshold = [0.2, 0.3]\n")
    assert cli.run(["sweep", "my.toml"]) == 0
    assert "100 settings in a row had been tried already" in capsys.readouterr().err
    found = listed(capsys)
    assert sorted(row["setting"]["srnn.threshold"] for row in found) == [0.2, 0.3]


@pytest.mark.parametrize("method", ["asha", "hyperband"])
def test_trials_that_are_behind_end_early(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The first learns something, the others nothing: their learning rate is too low."""
    text = RANGE.format(sampler="grid", sweep="", epochs=4, low=1e-3)
    i = text.index("[keys]")
    Path("my.toml").write_text(
        f"{text[:i]}[pruning]\nmethod = '{method}'\nreduction = 2\n"
        "[keys]\nsrnn.learning_rate = [3e-2, 1e-12, 2e-12, 3e-12]\n"
    )
    assert cli.run(["sweep", "my.toml"]) == 0
    assert "is pruned: " in capsys.readouterr().err
    first, *others = sorted(listed(capsys), key=lambda row: int(row["trial"]))
    assert first["state"] == "finished"
    pruned = [row for row in others if row["state"] == "pruned"]
    assert pruned
    for row in pruned:
        run = Path(row["path"]) / "seed-0"
        assert len(metrics(run)) < 4
        assert not (run / "test.json").exists()
        assert row["last"] == max(line["valid_accuracy"] for line in metrics(run))
    assert cli.run(["sweep", "my.toml", "--status"]) == 0
    assert f"({pruned[0]['last']:.2%})" in capsys.readouterr().out


def test_two_objectives_have_a_front(capsys: pytest.CaptureFixture[str]) -> None:
    text = RANGE.format(sampler="tpe", sweep="trials = 4\nspikes = true", epochs=1, low=1e-3)
    Path("my.toml").write_text(text)
    assert cli.run(["sweep", "my.toml"]) == 0
    found = listed(capsys)
    points = [(r["results"]["0"]["accuracy"], r["results"]["0"]["spikes"]) for r in found]
    for row, (accuracy, spikes) in zip(found, points, strict=True):
        beaten = any(
            a >= accuracy and s <= spikes and (a, s) != (accuracy, spikes) for a, s in points
        )
        assert row["best"] == (not beaten)


def test_a_setting_whose_keys_do_not_go_together_fails_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = RANGE.format(sampler="random", sweep="trials = 12", epochs=1, low=1e-3)
    i = text.index("[keys]")
    Path("my.toml").write_text(
        text[:i] + "[keys]\nmel.hop = [10.0, 20.0]\nmel.window = [30.0, 15.0]\n"
    )
    assert cli.run(["sweep", "my.toml"]) == 0
    found = listed(capsys)
    (failed,) = (row for row in found if row["state"] == "failed")
    assert failed["setting"] == {"mel.hop": 20.0, "mel.window": 15.0}
    assert failed["failure"].startswith("my.toml: keys.mel.hop: expected a number <= ")
    assert [row["state"] for row in found].count("finished") == 3


def test_a_setting_that_diverges_fails_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real_step, done = Step.__call__, iter(range(1, 100))

    def step(self: Step, batch: Batch) -> None:
        if next(done) == 3:  # of the first trial
            with torch.no_grad():
                self.spotter.network.encoder.threshold.fill_(torch.nan)
        real_step(self, batch)

    monkeypatch.setattr(Step, "__call__", step)
    text = RANGE.format(sampler="random", sweep="trials = 2", epochs=1, low=1e-3)
    Path("my.toml").write_text(text)
    assert cli.run(["sweep", "my.toml"]) == 0
    finished, failed = listed(capsys)
    assert (finished["trial"], finished["state"]) == (1, "finished")
    assert (failed["trial"], failed["state"]) == (0, "failed")
    assert failed["failure"].startswith("epoch 1, step 3: expected finite ")
    assert cli.run(["sweep", "my.toml", "--status"]) == 0
    assert "trial 0 failed: epoch 1, step 3: " in capsys.readouterr().out


def test_hours_are_a_budget(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.toml").write_text(
        RANGE.format(sampler="random", sweep="hours = 1e-7", epochs=1, low=1e-3)
    )
    assert cli.run(["sweep", "my.toml"]) == 0
    (row,) = listed(capsys)
    assert row["seconds"] > 3600 * 1e-7


def test_a_journal_whose_end_is_missing_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    """As where a disk was full, or a machine lost its power, within a line."""
    text = RANGE.format(sampler="random", sweep="trials = 1", epochs=1, low=1e-3)
    Path("my.toml").write_text(text)
    assert cli.run(["sweep", "my.toml"]) == 0
    with (Path("sweeps/my") / JOURNAL).open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    Path("my.toml").write_text(text.replace("trials = 1", "trials = 2"))
    assert cli.run(["sweep", "my.toml"]) == 0
    assert [row["state"] for row in listed(capsys)] == ["finished"] * 2


def test_looking_at_a_study_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.toml").write_text(
        RANGE.format(sampler="random", sweep="trials = 1", epochs=1, low=1e-3)
    )
    assert cli.run(["sweep", "my.toml"]) == 0
    journal = Path("sweeps/my") / JOURNAL
    content = journal.read_bytes()
    assert [row["state"] for row in listed(capsys)] == ["finished"]
    assert journal.read_bytes() == content

    lines = content.splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]))  # of the study, none of the trial
    assert cli.run(["sweep", "my.toml", "--status"]) == 0
    warning = "the study has 0 trials, and not those of trial-0000"
    assert warning in capsys.readouterr().err

    journal.write_bytes(b"\xb2\x00nonsense\n" + content)
    assert cli.run(["sweep", "my.toml", "--status"]) == 2
    error = capsys.readouterr().err
    assert error == f"{journal}: expected the journal of a study, found a damaged file\n"
    journal.unlink()
    assert cli.run(["sweep", "my.toml", "--status"]) == 2
    assert "expected a study my, found none yet" in capsys.readouterr().err
    assert not journal.exists()


def test_a_worker_waits_for_the_trial_of_another(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes over when the other one is gone."""
    text = RANGE.format(sampler="random", sweep="trials = 1", epochs=1, low=1e-3)
    Path("my.toml").write_text(text)
    claim = join(read_sweep("my.toml")).claim()
    assert claim

    def end_the_other(_seconds: float) -> None:
        with claim.lock:
            return

    monkeypatch.setattr("srnn.sweeps.worker.time.sleep", end_the_other)
    assert cli.run(["sweep", "my.toml"]) == 0
    output = capsys.readouterr().err
    assert "trials of other workers: 0; waiting for them" in output
    assert "trial 0 goes on" in output
    (row,) = rows(join(read_sweep("my.toml")))
    assert row.state == "finished"
    assert row.mean("accuracy") == row.results[0].accuracy


def test_jobs_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    from srnn.sweeps import jobs

    environments = []
    real = subprocess.Popen

    def popen(command: list[str], env: dict[str, str], **rest: Any) -> "subprocess.Popen[bytes]":
        environments.append(env)
        return real(["true"], env=env, **rest)

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("srnn.sweeps.jobs.subprocess.Popen", popen)
    monkeypatch.setattr(jobs, "available_cores", lambda: 8)
    assert jobs.run_workers(Path("my.toml"), 3) == [0, 0, 0]
    assert [each["OMP_NUM_THREADS"] for each in environments] == ["2"] * 3
