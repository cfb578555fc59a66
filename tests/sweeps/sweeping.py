# SPDX-License-Identifier: MPL-2.0
"""Small sweeps over the corpus of tones, and workers that a test may kill."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

GRID = """
[sweep]
base = "tones.toml"
sampler = "grid"
{sweep}
[set]
srnn.epochs = 3
srnn.network_size = 8
srnn.checkpoint_minutes = 1e-9
[keys]
srnn.learning_rate = [1e-2, 3e-2]
srnn.threshold = [0.2, 0.3]
"""

SLOW = 300.0  # longer than anything here takes (s)


def go_to(folder: Path, tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to a folder that has the corpus and its configuration."""
    folder.mkdir(exist_ok=True)
    for name in ("tones", "tones.toml"):
        (folder / name).symlink_to(tones / name)
    monkeypatch.chdir(folder)


@contextmanager
def worker(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Start ``srnn sweep`` in the background; kill it at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "srnn", "sweep", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(holds: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait for something that a worker does."""
    deadline = time.monotonic() + SLOW
    while not holds():
        assert time.monotonic() < deadline
        assert process.poll() is None, "it ended"
        time.sleep(0.01)
