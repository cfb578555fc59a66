# SPDX-License-Identifier: MPL-2.0
"""Training in processes of their own, which a test may signal, starve and watch.

The long form of a test starts the command as a user does, in a new interpreter. The short form
forks a process that has loaded everything: seconds less each time.
"""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import Protocol

import torch
from tqdm import tqdm

from srnn import cli

_SLOW = 120.0  # longer than anything here takes (s); no test waits for ever

_fork_server = multiprocessing.get_context("forkserver")
_fork_server.set_forkserver_preload(
    ["librosa", "scipy.signal", "srnn.runs.evaluate", "srnn.runs.train", "torch._dynamo"]
)


class Training(Protocol):
    """A process that runs the command ``srnn``."""

    pid: int

    def ended(self, seconds: float) -> int | None:
        """Wait; return the exit code, or -N where signal N ended it, or None: it still runs."""


class _Command:
    def __init__(self, arguments: Sequence[str], output: Path, threads: int) -> None:
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "srnn", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            )
        self.pid = self._process.pid

    def ended(self, seconds: float) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None


class _Fork:
    def __init__(
        self, arguments: Sequence[str], output: Path, before: Callable[[], None] | None
    ) -> None:
        place = Path.cwd()
        self._process = _fork_server.Process(target=_run, args=(arguments, output, place, before))
        self._process.start()
        assert self._process.pid
        self.pid = self._process.pid

    def ended(self, seconds: float) -> int | None:
        self._process.join(seconds)
        return self._process.exitcode


def _run(
    arguments: Sequence[str], output: Path, place: Path, before: Callable[[], None] | None
) -> None:
    with output.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(place)
    tqdm.set_lock(threading.RLock())  # its own one asks to be cleaned up after a kill
    torch.set_num_threads(1)
    if before:
        before()
    sys.exit(cli.run(arguments))


@contextlib.contextmanager
def training(
    arguments: Sequence[str],
    output: Path,
    *,
    fork: bool,
    threads: int = 1,
    before: Callable[[], None] | None = None,
) -> Iterator[Training]:
    """Start a training run in the current directory; at the end of the context it is gone.

    Parameters
    ----------
    arguments : list of str
        Of the command ``srnn``.
    output : Path
        File for what it prints.
    fork : bool
        Whether to fork a process that has loaded everything instead of starting the command.
    threads : int
        Of a command; a fork has one.
    before : Callable, optional
        Called in the fork before the command runs.
    """
    process = _Fork(arguments, output, before) if fork else _Command(arguments, output, threads)
    try:
        yield process
    finally:
        send(process, signal.SIGKILL)
        process.ended(_SLOW)


def send(process: Training, number: signal.Signals) -> None:
    """Send a signal to a process, unless it has ended."""
    if process.ended(0) is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def load_ahead() -> None:
    """Begin to load what forks need."""
    forkserver.ensure_running()


def exit_code(process: Training) -> int:
    """Wait for the end of a process that ends by itself."""
    code = process.ended(_SLOW)
    assert code is not None, f"still running after {_SLOW:.0f} s"
    return code


def wait_until(happened: Callable[[], bool], process: Training) -> bool:
    """Wait for something that a process brings about; False if the process ends before."""
    deadline = time.monotonic() + _SLOW
    while not happened():
        if process.ended(0) is not None:
            return False
        assert time.monotonic() < deadline, f"waited in vain for {_SLOW:.0f} s"
        time.sleep(0.002)
    return True


def say(text: str) -> None:
    """Print a line for whoever watches (pytest -s)."""
    sys.stdout.write(f"\n{text}")
