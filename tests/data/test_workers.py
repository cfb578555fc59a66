# SPDX-License-Identifier: MPL-2.0
"""How many cores a process may use, and which signals its workers hear."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from srnn.data import workers
from srnn.data.workers import available_cores, interruptions_blocked


@pytest.fixture(autouse=True)
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where control groups are described, and have 8 cores to share."""
    monkeypatch.setattr(workers, "_CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    return tmp_path


def test_cores_are_those_that_the_process_may_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert available_cores() == 8
    monkeypatch.delattr(os, "sched_getaffinity")
    assert available_cores() == 64
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


@pytest.mark.parametrize(
    ("content", "cores"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("9900000 100000", 8),
        ("none", 8),
    ],
)
def test_a_container_may_have_fewer(groups: Path, content: str, cores: int) -> None:
    (groups / "cpu.max").write_text(f"{content}\n")
    assert available_cores() == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("300000", 3), ("none", 8)])
def test_a_container_of_the_first_version_too(groups: Path, quota: str, cores: int) -> None:
    (groups / "cpu").mkdir()
    (groups / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (groups / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert available_cores() == cores


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be blocked")
def test_processes_started_meanwhile_do_not_hear_signals_and_this_one_does_later() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    program = "import os, signal; os.kill(os.getpid(), signal.SIGUSR1); print('lives')"
    try:
        with interruptions_blocked():
            signal.raise_signal(signal.SIGUSR1)
            child = subprocess.run(
                [sys.executable, "-c", program], capture_output=True, text=True, check=False
            )
            assert heard == []
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (child.stdout, child.returncode) == ("lives\n", 0)
    assert heard == [signal.SIGUSR1]
