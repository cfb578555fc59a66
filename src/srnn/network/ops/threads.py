# SPDX-License-Identifier: MPL-2.0
"""Who works on the processor's cores: a few threads of our own, each on its part of the batch.

Torch's threads, once they have done something together, wait for more in a busy loop for a while.
Two pools that both want all cores therefore hinder each other: within `own_cores`, torch computes
in one thread and ours have the cores.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

_MOST_THREADS = 1024  # none exists before it has something to do
_pool = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="srnn")
_owned = 0


def thread_count() -> int:
    """Return how many threads the operators use: as many as torch, but see `own_cores`."""
    return _owned or torch.get_num_threads()


@contextmanager
def own_cores() -> Iterator[None]:
    """Give the operators all threads that torch has; torch itself computes in one meanwhile.

    Holds for the whole process: not to be entered by several of its threads at once.
    """
    global _owned
    before, outer = torch.get_num_threads(), _owned
    _owned = thread_count()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _owned = outer


def spread(work: Callable[[int, int], Any], count: int, minimum: int) -> list[Any]:
    """Call ``work(first, last)`` for parts of ``range(count)`` at once; return what they return.

    Parameters
    ----------
    work : Callable
        Releases the interpreter lock; what it writes for different parts does not overlap.
    count : int >= 1
    minimum : int >= 1
        Items below which a part is not worth a thread of its own.
    """
    parts = max(1, min(thread_count(), count // minimum))
    bounds = [count * part // parts for part in range(parts + 1)]
    if parts == 1:
        return [work(0, count)]
    others = [_pool.submit(work, *part) for part in itertools.pairwise(bounds[1:])]
    return [work(bounds[0], bounds[1]), *(other.result() for other in others)]


def _begin_anew() -> None:
    """Forget, after a fork, the threads of the process before: they have not survived it."""
    global _pool, _owned
    _pool, _owned = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="srnn"), 0


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_begin_anew)
