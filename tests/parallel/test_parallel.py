# SPDX-License-Identifier: MPL-2.0
"""Several processes take the steps of one, and one of them writes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import shared_steps
import torch
from torch import Tensor

from srnn import cli
from srnn.parallel import ALONE, Group
from srnn.runs.checkpoint import Checkpoint, load_checkpoint
from srnn.training.split import Split

# Augmentations that mix neighbours, dropout, normalisation over the batch, an average.
VARIED = [
    "srnn.batch_norm=true",
    "srnn.dropout=0.1",
    "srnn.averaging=0.9",
    "srnn.firing_penalty=0.1",
    "srnn.batch_size=10",
    "augment.shift=20",
    "augment.mixup=0.3",
    "augment.nonwords=0.2",
    "augment.noise=0.5",
    "augment.fresh_silence=true",
]


class Job:
    """Processes of one thread each, started by torchrun in a folder; their stderr is in a file."""

    def __init__(self, *arguments: str, folder: Path, log: Path, processes: int = 2) -> None:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        self.log = log
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [*launcher, f"--nproc-per-node={processes}", *arguments],
                cwd=folder,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stderr=stderr,
            )

    def finish(self) -> tuple[int, str]:
        """Wait for its end; return exit code and stderr."""
        code = self.process.wait(timeout=300)
        return code, self.log.read_text()

    def workers(self) -> dict[int, int]:
        """Return its processes: rank -> process id."""
        number, found = self.process.pid, {}
        listed = Path(f"/proc/{number}/task/{number}/children").read_text().split()
        for child in map(int, listed):
            variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            for rank in (each[5:] for each in variables if each.startswith(b"RANK=")):
                found[int(rank)] = child
        return found


def options(*changes: str) -> list[str]:
    return [f"--set={change}" for change in changes]


def wait_for(path: Path, text: str = "") -> None:
    """Wait until a file exists and has a text in it."""
    until = time.monotonic() + 200
    while not (path.exists() and text in path.read_text(errors="replace")):
        assert time.monotonic() < until, f"{path}: {text!r} did not come"
        time.sleep(0.05)


def history(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def everything(state: Checkpoint) -> tuple[Tensor, Tensor]:
    """Return all weights, and all of their EMA."""
    assert state.training is not None
    assert state.training.average is not None
    tables = state.weights, state.training.average
    weights, average = (torch.cat([each.flatten() for each in some.values()]) for some in tables)
    return weights, average


Found = dict[tuple[str, str], dict[str, Tensor]]  # by case and backend


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """Return what each of three processes found."""
    folder = tmp_path_factory.mktemp("shared")
    log = folder / "log"
    job = Job(shared_steps.__file__, str(folder), folder=folder, log=log, processes=3)
    code, text = job.finish()
    assert code == 0, text
    return [torch.load(folder / f"{rank}.pt") for rank in range(3)]


@pytest.mark.parametrize("backend", ["reference", "auto"])
@pytest.mark.parametrize("name", shared_steps.CASES)
def test_three_processes_take_the_steps_of_one(
    shared: list[Found], name: str, backend: str
) -> None:
    expected = shared_steps.run(shared_steps.CASES[name], backend)
    tolerance = 1e-9 if backend == "reference" else 2e-4
    assert expected["taken"] == len(shared_steps.SIZES)
    for found in (each[name, backend] for each in shared):
        assert found.keys() == expected.keys()
        for what, tensor in expected.items():
            scale = tensor.abs().max().clamp(min=1e-3)
            error = (found[what] - tensor).abs().max() / scale
            assert error < tolerance, f"{what}: {error}"
    for what, tensor in shared[0][name, backend].items():  # the same bits in all processes
        assert all(torch.equal(each[name, backend][what], tensor) for each in shared), what


@pytest.mark.parametrize(
    ("count", "size", "first", "processes", "before"),
    [(10, 4, 0, 3, 2), (9, 4, 4, 2, 1), (3, 1, 0, 2, 2), (7, 7, 0, 4, 0), (0, 4, 0, 2, 1)],
)
def test_the_shares_of_a_batch_are_the_batch(
    count: int, size: int, first: int, processes: int, before: int
) -> None:
    sequence = 10 * torch.arange(count)
    whole = list(Split(count, size, first).batches(sequence))
    splits = [
        Split(count, size, first, Group(rank, processes), before) for rank in range(processes)
    ]
    taken = [list(split.batches(sequence)) for split in splits]
    for number, batch in enumerate(whole):
        own = [
            parts[number][split.before[number] :]
            for split, parts in zip(splits, taken, strict=True)
        ]
        assert torch.equal(torch.cat(own), batch)
        places = [split.shares[number] for split in splits]
        assert [place.total for place in places] == [len(batch)] * processes
        for place, part, parts in zip(places, own, taken, strict=True):
            mixed, expected = parts[number], batch
            for _ in range(before):
                mixed, expected = mixed + mixed.roll(1), expected + expected.roll(1)
            end = place.first + len(part)
            assert torch.equal(mixed[len(mixed) - len(part) :], expected[place.first : end])


def test_one_process_communicates_with_none() -> None:
    numbers = torch.arange(3.0, requires_grad=True)
    assert ALONE.differentiable_sum(numbers) is numbers
    assert ALONE.broadcast_object("a") == "a"
    assert torch.equal(ALONE.all_gather(numbers), numbers[None])
    assert ALONE.share_of(5) == slice(0, 5)


def test_two_processes_train_as_one_and_either_number_resumes_the_run(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tones)
    several, alone = tmp_path / "several", tmp_path / "alone"
    command = ["-m", "srnn", "tones.toml", "--run-dir", str(several), *options(*VARIED)]
    code, text = Job(*command, folder=tones, log=tmp_path / "log").finish()
    assert code == 0, text
    # One process reports: each line once, and no warning that is not there otherwise.
    assert text.count("the run is in") == 1
    assert "2 processes" in text
    process = subprocess.run(
        [sys.executable, "-m", "srnn", "tones.toml", "--run-dir", str(alone), *options(*VARIED)],
        cwd=tones,
        check=True,
        capture_output=True,
        text=True,
    )
    assert process.stderr.count("WARNING") == text.count("WARNING")
    first, second = history(several), history(alone)
    assert len(first) == len(second) == 2
    for one, other in zip(first, second, strict=True):
        for name in ("train_loss", "valid_loss"):
            assert one[name] == pytest.approx(other[name], rel=1e-3), name
        assert one["lr"] == other["lr"]
    states = [load_checkpoint(run / "last.safetensors") for run in (several, alone)]
    assert len({state.clips for state in states}) == 1
    weights, averages = zip(*(everything(state) for state in states), strict=True)
    for found, expected in (weights, averages):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
    assert sorted(path.name for path in several.iterdir()) == sorted(
        path.name for path in alone.iterdir()
    )

    longer = ["--resume", "--set=srnn.epochs=3"]
    assert cli.run(["--run-dir", str(several), *longer]) == 0
    command = ["-m", "srnn", "--run-dir", str(alone), *longer]
    code, text = Job(*command, folder=tones, log=tmp_path / "log").finish()
    assert code == 0, text
    assert "resuming in epoch 3" in text
    one, other = history(several)[-1], history(alone)[-1]
    assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-3)


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="finds the processes of torchrun in /proc"
)

Begun = tuple[Job, Path]


@pytest.fixture
def begun(tones: Path, tmp_path: Path) -> Iterator[Begun]:
    """Return a long run of two processes in its third epoch; it may be restarted once."""
    run = tmp_path / "run"
    command = ["-m", "srnn", "tones.toml", "--run-dir", str(run), "--resume"]
    command += options("srnn.epochs=100000")
    job = Job("--max-restarts=1", *command, folder=tones, log=tmp_path / "log")
    try:
        wait_for(run / "metrics.jsonl", '"epoch": 2')
        yield job, run
    finally:
        job.process.terminate()  # torchrun ends its processes
        job.process.wait(timeout=120)


@needs_proc
@pytest.mark.parametrize("rank", [0, 1])
def test_after_the_loss_of_a_process_the_job_goes_on_from_its_state(
    begun: Begun, rank: int
) -> None:
    job, run = begun
    before = len(history(run))
    os.kill(job.workers()[rank], signal.SIGKILL)
    wait_for(run / "train.log", "resuming in epoch")
    (resumed,) = re.findall(r"resuming in epoch (\d+)", (run / "train.log").read_text())
    assert int(resumed) > before
    wait_for(run / "metrics.jsonl", f'"epoch": {int(resumed) + 1}')

    # A second time there is no restart: the other process ends, too.
    os.kill(job.workers()[rank], signal.SIGKILL)
    code, text = job.finish()
    assert code == 1
    assert ("another process of the job is gone" in text) == (rank == 1)
    assert load_checkpoint(run / "last.safetensors").epoch >= int(resumed)


@needs_proc
def test_a_signal_to_one_process_stops_all_with_the_state_saved(begun: Begun) -> None:
    job, run = begun
    os.kill(job.workers()[1], signal.SIGTERM)
    wait_for(run / "train.log", "saved in")
    state = load_checkpoint(run / "last.safetensors").training
    assert state is not None
    assert state.progress.epoch >= 3


def test_what_is_wrong_is_said_once(tones: Path, tmp_path: Path) -> None:
    for changes, expected in (
        (["srnn.batch_size=1"], "srnn.batch_size: expected at least 2, the number of processes"),
        (["srnn.epochs=-1"], "srnn.epochs"),
        (["data.words=low,absent"], "found none for 'absent'"),
    ):
        run = str(tmp_path / changes[0])
        command = ["-m", "srnn", "tones.toml", "--run-dir", run, *options(*changes)]
        code, text = Job(*command, folder=tones, log=tmp_path / "log").finish()
        assert code == 1  # torchrun's own
        assert text.count(expected) == 1, text
        assert "Traceback" not in text.partition("torch/distributed")[0], text
