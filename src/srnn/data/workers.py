# SPDX-License-Identifier: MPL-2.0
"""Worker processes: how many, what they inherit, and that they end with the process they serve."""

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

# Signals that may reach a whole group of processes. A pool ends its workers by SIGTERM.
_INTERRUPTIONS = ("SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")


def available_cores() -> int:
    """Return how many cores this process may use, in a container as many as it has been given."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota())))


def _quota() -> float:
    """Return how many cores the control group of a container may use on average."""
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

    They inherit the environment, which linear algebra reads when it is loaded.
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
    """Keep processes that are spawned in the context from running the user's script.

    They would import it, and it may train outside ``if __name__ == "__main__"``.
    """
    before = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")  # from no file
    try:
        yield
    finally:
        sys.modules["__main__"] = before


@contextmanager
def deaf_to_interruption() -> Iterator[None]:
    """Block Ctrl-C and the like in processes that are started in the context: we end them.

    A signal to this process is delivered at the end of the context.
    """
    if not hasattr(signal, "pthread_sigmask"):  # as on Windows, where nothing of it is inherited
        yield
        return
    numbers = {getattr(signal, name) for name in _INTERRUPTIONS if hasattr(signal, name)}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Have this worker process end when the one that started it does, even if that is killed.

    It would otherwise finish its task and wait for another one for ever.
    """
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)
