# SPDX-License-Identifier: MPL-2.0
"""Worker processes: their number, environment, signals, and end with the parent process."""

import contextlib
import math
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

_THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


_CONTROL_GROUPS = Path("/sys/fs/cgroup")

# Signals to a process group. SIGTERM is not blocked: a pool ends its workers with it.
_INTERRUPTIONS = ("SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")


def available_cores() -> int:
    """Return the number of cores available to this process, within a container's limits."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota())))


def _quota() -> float:
    """Return the CPU quota of the container's control group, in cores."""
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        limit, period = (_CONTROL_GROUPS / "cpu.max").read_text().split()  # version 2
        return math.inf if limit == "max" else int(limit) / int(period)
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        limit, period = (
            (_CONTROL_GROUPS / "cpu" / f"cpu.cfs_{what}_us").read_text()
            for what in ("quota", "period")
        )
        return int(limit) / int(period) if int(limit) > 0 else math.inf
    return math.inf


@contextmanager
def one_core_each() -> Iterator[None]:
    """Limit processes that are started in the context to one core each.

    They inherit environment variables that linear algebra libraries read when loaded.
    """
    before = {name: os.environ.get(name) for name in _THREAD_LIMITS}
    os.environ.update(dict.fromkeys(_THREAD_LIMITS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def without_main() -> Iterator[None]:
    """Prevent processes that are spawned in the context from importing the user's script.

    The script may train outside ``if __name__ == "__main__"``.
    """
    before = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")  # without a file
    try:
        yield
    finally:
        sys.modules["__main__"] = before


@contextmanager
def interruptions_blocked() -> Iterator[None]:
    """Block Ctrl-C and similar signals in processes that are started in the context.

    The parent process ends them. Its own signals are delivered at the end of the context.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows: signal masks do not exist
        yield
        return
    numbers = {getattr(signal, name) for name in _INTERRUPTIONS if hasattr(signal, name)}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """End this worker process when its parent ends, even if the parent is killed.

    Otherwise the worker would wait for tasks forever.
    """
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)
