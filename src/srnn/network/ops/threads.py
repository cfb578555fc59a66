# SPDX-License-Identifier: MPL-2.0
"""Threads of the CPU operators: each computes a part of the batch.

After a parallel operation torch's threads spin for a while. Two pools with a thread per core
therefore slow each other down: within `own_cores` torch uses one thread and the operators all.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

_MAX_THREADS = 1024  # threads are started on demand
_MAX_PARTS = 4  # of a thread: each has sums of its own, which are added up
_SOME = 8  # items of a part, if a thread has several
_pool = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="srnn")
_owned = 0


def thread_count() -> int:
    """Return the number of threads of the operators: that of torch outside `own_cores`."""
    return _owned or torch.get_num_threads()


@contextmanager
def own_cores() -> Iterator[None]:
    """Use all of torch's threads for the operators, and one for torch.

    This is a setting of the process: do not enter it in several threads at once.
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


def in_parallel(work: Callable[[int, int], Any], count: int, minimum: int) -> list[Any]:
    """Call ``work(first, last)`` for parts of ``range(count)`` in parallel; return the results.

    Where there are many items, there are several parts for each thread, which takes the next one
    when it is done: a core that has other work as well does fewer.

    Parameters
    ----------
    work : Callable
        Releases the interpreter lock. Its outputs for different parts do not overlap.
    count : int >= 1
    minimum : int >= 1
        Minimum number of items of a thread, if there are several.
    """
    threads = max(1, min(thread_count(), count // minimum))
    if threads == 1:
        return [work(0, count)]
    each = min(_MAX_PARTS, max(1, count // (threads * max(minimum, _SOME))))  # parts of a thread
    parts = threads * each
    bounds = list(itertools.pairwise(count * part // parts for part in range(parts + 1)))
    results: list[Any] = [None] * parts
    remaining = iter(range(parts))  # the interpreter lock makes each step of it atomic

    def take() -> None:
        for part in remaining:
            results[part] = work(*bounds[part])

    others = [_pool.submit(take) for _ in range(threads - 1)]
    take()
    for other in others:
        other.result()
    return results


def _begin_anew() -> None:
    """Make a new pool after a fork: threads do not survive it."""
    global _pool, _owned
    _pool, _owned = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="srnn"), 0


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_begin_anew)
