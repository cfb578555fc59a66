# SPDX-License-Identifier: MPL-2.0
"""Several workers on one machine, which share its cores."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from srnn.data.workers import available_cores
from srnn.training.interrupt import Interrupted, stop_signals

_POLL = 0.2  # seconds


def run_workers(file: Path, jobs: int) -> list[int]:
    """Start workers, wait for all of them, and return their exit codes (-N: ended by signal N).

    Each has its part of the cores: ``OMP_NUM_THREADS`` is their number divided by ``jobs``, unless
    it is set already.

    Parameters
    ----------
    file : Path
        Of the sweep.
    jobs : int >= 1

    Raises
    ------
    Interrupted
        After a signal to stop, when all of them have saved their state and ended.
    """
    threads = str(max(1, available_cores() // jobs))
    environment = {"OMP_NUM_THREADS": threads, **os.environ, "TQDM_DISABLE": "1"}
    command = [sys.executable, "-m", "srnn", "sweep", str(file), "--worker"]
    workers: list[subprocess.Popen[bytes]] = []
    received: list[int] = []

    def pass_on(number: int, _frame: FrameType | None = None) -> None:
        received.append(number)
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(number)

    handlers = {number: signal.signal(number, pass_on) for number in stop_signals()}
    try:
        while len(workers) < jobs and not received:
            # A session of its own: Ctrl-C of the terminal comes from here, once.
            worker = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
            )
            workers.append(worker)
            if received:  # while it was not in the list yet
                worker.send_signal(received[0])
        while any(worker.poll() is None for worker in workers):
            time.sleep(_POLL)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
    if received:
        raise Interrupted(received[0])
    return [worker.returncode for worker in workers]
