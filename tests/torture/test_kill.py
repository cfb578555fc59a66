# SPDX-License-Identifier: MPL-2.0
"""Runs that are killed or told to stop, again and again, end with the bits of one left alone.

The same holds for the packing of recordings.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from processes import exit_code, say, send, training, wait_until

from run_results import RUN_FILES, expect_the_same, metrics, without_times
from srnn.data import audio
from srnn.data.pack.opening import open_pack
from srnn.data.sources.folder import source as folders
from srnn.runs.checkpoint import load_checkpoint
from srnn.training.examples import Batch
from srnn.training.step import Step

EVERY_STEP, NEVER = 1e-9, 0.0  # srnn.checkpoint_minutes


@dataclass(frozen=True)
class Undisturbed:
    """A run that was left alone, and how to repeat it."""

    arguments: list[str]
    run: Path
    seconds: float  # from the start of the process to its end
    training_seconds: float  # of them in training

    def command(self, run: Path) -> list[str]:
        return [*self.arguments, "--run-dir", str(run), "--resume"]


Leave = Callable[[float], Undisturbed]


@pytest.fixture(scope="module")
def leave(tones: Path, full: bool, tmp_path_factory: pytest.TempPathFactory) -> Leave:
    """Return a function that lets a run alone, for some ``srnn.checkpoint_minutes``."""

    @cache
    def run(minutes: float) -> Undisturbed:
        keys = [f"data.dataroot={tones / 'tones'}", "data.cache=cache"]
        keys += [f"srnn.epochs={50 if full else 8}", f"srnn.checkpoint_minutes={minutes}"]
        arguments = [str(tones / "tones.toml"), *sets(keys)]
        place = tmp_path_factory.mktemp("undisturbed")
        with contextlib.chdir(place):
            started = time.monotonic()
            complete([*arguments, "--run-dir", "run"], full)
            seconds = time.monotonic() - started
        spent = sum(line["seconds"] for line in metrics(place / "run"))
        say(f"undisturbed: {seconds:.1f} s, {spent:.1f} s of them in training")
        return Undisturbed(arguments, place / "run", seconds, spent)

    with contextlib.chdir(tmp_path_factory.mktemp("first")):
        # What is compiled or loaded only once is ready then.
        keys = [f"data.dataroot={tones / 'tones'}", "srnn.epochs=1"]
        complete([str(tones / "tones.toml"), *sets(keys), "--run-dir", "run"], full)
    return run


def sets(keys: list[str]) -> list[str]:
    return [word for key in keys for word in ("--set", key)]


def complete(arguments: list[str], full: bool) -> None:
    """Let a run go to its end."""
    with training(arguments, Path("out"), fork=not full) as process:
        assert exit_code(process) == 0, Path("out").read_text()


def new_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to a new folder: a run in it packs its recordings anew."""
    folder.mkdir()
    monkeypatch.chdir(folder)


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from the one that takes its place, None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def place(run: Path) -> tuple[int, int]:
    """Return how far a run has come: epoch and step."""
    if not (run / "last.safetensors").exists():
        return (0, 0)
    state = load_checkpoint(run / "last.safetensors").training
    assert state
    return state.progress.epoch, state.progress.step


def expect_whole(run: Path, undisturbed: Path) -> None:
    """Hold what lies in a run directory, at any moment, to what may lie there."""
    files = {file.name for file in run.iterdir()} if run.exists() else set()
    assert files <= {".lock", *RUN_FILES, *(f".{name}.part" for name in RUN_FILES)}
    assert "last.safetensors" in files or "best.safetensors" not in files
    for name in files & {"best.safetensors", "last.safetensors"}:
        load_checkpoint(run / name)
    if "metrics.jsonl" in files:
        lines = without_times(metrics(run))
        assert lines == without_times(metrics(undisturbed))[: len(lines)]
    if "test.json" in files:
        assert (run / "test.json").read_text() == (undisturbed / "test.json").read_text()


def interrupt(
    undisturbed: Undisturbed,
    run: Path,
    number: signal.Signals,
    rng: random.Random,
    full: bool,
) -> tuple[int, tuple[int, int]]:
    """Go on with a run and send it a signal at a random moment.

    Return its exit code, and the place it had reached in that moment. Half of the moments are any
    moment of a run; half lie behind a state that was just saved.
    """
    last = run / "last.safetensors"
    before, started = identity(last), time.monotonic()
    with training(undisturbed.command(run), Path("out"), fork=not full) as process:
        if rng.random() < 0.5:
            process.ended(rng.uniform(0, undisturbed.seconds))
        elif wait_until(lambda: identity(last) != before, process):
            process.ended(rng.uniform(0, undisturbed.training_seconds / 5))
        elapsed, reached = time.monotonic() - started, place(run)
        send(process, number)
        code = exit_code(process)
    files = " ".join(sorted(file.name for file in run.iterdir())) if run.exists() else "nothing"
    epoch, step = place(run)
    code_and_place = f"exit code {code:4}, epoch {epoch:2}, step {step}"
    say(f"{number.name} after {elapsed:5.2f} s: {code_and_place}; there: {files}")
    return code, reached


def test_killed_runs_end_with_the_same_bits(
    leave: Leave, tmp_path: Path, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = leave(EVERY_STEP)
    rng, count, kills, runs = random.Random(5), 50 if full else 3, 0, 0
    while kills < count:
        runs += 1
        new_place(tmp_path / str(runs), monkeypatch)
        run, code = Path("run").absolute(), -1
        while code and kills < count:
            code, reached = interrupt(undisturbed, run, signal.SIGKILL, rng, full)
            assert code in (0, -signal.SIGKILL), Path("out").read_text()
            assert place(run) >= reached
            kills += code != 0
            expect_whole(run, undisturbed.run)
        complete(undisturbed.command(run), full)
        expect_the_same(run, undisturbed.run)
    say(f"{kills} kills, {runs} runs: all ended with the same bits\n")


def test_terminated_runs_end_with_the_same_bits(
    leave: Leave, tmp_path: Path, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = leave(NEVER)
    rng, count, stops, runs = random.Random(6), 20 if full else 2, 0, 0
    while stops < count:
        runs += 1
        new_place(tmp_path / str(runs), monkeypatch)
        run, code = Path("run").absolute(), -1
        while code and stops < count:
            code, reached = interrupt(undisturbed, run, signal.SIGTERM, rng, full)
            output = Path("out").read_text()
            lines = output.splitlines()
            assert "Traceback" not in output
            if code == -signal.SIGTERM:  # before Python was ready, or after it was done
                assert not lines or "next, your own recording" in lines[-1]
            elif code:
                assert (code, lines[-1]) == (143, "stopped by SIGTERM"), output
            else:  # it came too late
                assert reached >= (len(metrics(run)) - 1, 0)
            assert place(run) >= reached
            stops += code != 0
            expect_whole(run, undisturbed.run)
        complete(undisturbed.command(run), full)
        expect_the_same(run, undisturbed.run)
    say(f"{stops} stops, {runs} runs: all ended with the same bits\n")


def test_a_second_ctrl_c_leaves_at_once(
    leave: Leave, tmp_path: Path, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = leave(EVERY_STEP)
    new_place(tmp_path / "run", monkeypatch)
    run = Path("run").absolute()
    arguments = undisturbed.command(run)
    press = partial(press_ctrl_c_twice, 9)
    with training(arguments, Path("out"), fork=True, before=press) as process:
        assert exit_code(process) == 130
    output = Path("out").read_text()
    assert "stopped by SIGINT" not in output
    assert "the step goes on" not in output
    assert place(run) == (2, 1)
    complete(undisturbed.command(run), full)
    expect_the_same(run, undisturbed.run)


def press_ctrl_c_twice(steps: int) -> None:
    """Let Ctrl-C be pressed twice within the given step of training, counted over all epochs."""
    real_step, done = Step.__call__, iter(range(1, 10_000))

    def step(self: Step, batch: Batch) -> None:
        if next(done) == steps:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            sys.stderr.write("the step goes on\n")
        real_step(self, batch)

    pytest.MonkeyPatch().setattr(Step, "__call__", step)


def test_a_killed_packer_takes_its_workers_with_it(tmp_path: Path, full: bool) -> None:
    """And whoever packs next, at once, packs what the recordings hold."""
    rng, random_sound, folder = random.Random(7), np.random.default_rng(7), tmp_path / "set"
    (folder / "on").mkdir(parents=True)
    for number in range(12):  # compressed, so that they take a while
        sound = 0.1 * random_sound.normal(size=16_000 * 10)
        path = folder / "on" / f"{number:02}_nohash_0.wav"
        soundfile.write(path, sound, 16_000, format="OGG", subtype="VORBIS")
    script = Path(__file__).with_name("packing.py")
    for number in range(20 if full else 1):
        cache = tmp_path / str(number)
        packer = subprocess.Popen(
            [sys.executable, script, folder, cache], stderr=subprocess.PIPE, start_new_session=True
        )
        assert packer.stderr
        try:
            assert [packer.stderr.readline() for _ in range(2)] == [b"ready\n", b"ready\n"]
            time.sleep(rng.uniform(0, 0.15))
            packer.kill()
            packer.wait()
            left = sorted(f"{file.suffix} {file.stat().st_size:9,}" for file in cache.iterdir())
            say(f"killed a packer; there: {'; '.join(left)}")
            opened = open_pack(folders.read(folder), str(cache), workers=0)
            for name in opened.recordings:
                np.testing.assert_array_equal(opened[name], audio.decode(folder / name)[0])
            assert len(opened.recordings) == 12
            packer.communicate(timeout=60)  # until nobody is left who has its stderr open
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(packer.pid, signal.SIGKILL)
            packer.wait()
            packer.stderr.close()
