# SPDX-License-Identifier: MPL-2.0
"""What worker processes inherit from the process that starts them, and that they end with it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def one_core_each() -> Iterator[None]:
    """Let processes started within work on one core each.

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
def deaf_to_interruption() -> Iterator[None]:
    """Let processes started within ignore Ctrl-C, which reaches them all: we see to their end."""
    may_set_handlers = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if may_set_handlers else None
    try:
        yield
    finally:
        if may_set_handlers:
            signal.signal(signal.SIGINT, handler)


def end_with_parent() -> None:
    """Have this worker process end when the one that started it does, even if that is killed.

    By itself it would finish what it was given, and then wait for more for ever.
    """
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)
