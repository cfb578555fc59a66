# SPDX-License-Identifier: MPL-2.0
"""Timing in turns, each on its best number of threads, or in a process of its own.

Times of one machine vary with what else it does: the ratio of two things timed in turns says more
than either.
"""

import math
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing.context import BaseContext
from typing import NamedTuple, TypeVar

import torch

from srnn.data.workers import one_core_each
from srnn.network.ops.threads import own_cores

_Result = TypeVar("_Result")

_PATIENCE = 30.0  # for the works of one comparison (s)
_FEWEST_ROUNDS = 3
_SLOW_IMPORTS = ("torch._dynamo",)  # of torch's optimizers, when they are first used


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch work on one thread within the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


Regime = Callable[[], AbstractContextManager[object]]
"""Who works on the cores: a context manager that a work is run in."""

TORCH: tuple[Regime, ...] = (nullcontext, one_torch_thread)
"""Torch works on all of them, as it does by default, or on one: small products gain nothing."""

ENGINE: tuple[Regime, ...] = (own_cores,)
"""The engine's own threads work on them, and torch keeps out of their way."""


class Work(NamedTuple):
    """A timed function and its thread regimes; the fastest regime counts."""

    run: Callable[[], object]
    regimes: tuple[Regime, ...] = TORCH


def medians(
    works: Mapping[str, Work], device: torch.device, *, rounds: int, turn: float
) -> dict[str, float]:
    """Return the median time of a call of each work (s).

    Every round gives each work a turn, and every other round goes through them backwards.

    Parameters
    ----------
    works : mapping of str to Work
    device : torch.device
        Where they work: it is waited for at both ends of a turn.
    rounds : int >= 1
        Fewer, but three at least, where all together would take more than half a minute.
    turn : float > 0
        Minimum duration of a turn (s): a work that takes less is called several times in a record.
    """
    prepared = {name: _prepare(work, device, turn) for name, work in works.items()}
    round_takes = sum(calls * taken for _, calls, taken in prepared.values())
    rounds = min(rounds, max(_FEWEST_ROUNDS, int(_PATIENCE / (round_takes or 1))))
    times: dict[str, list[float]] = {name: [] for name in works}
    order = list(works)
    for _ in range(rounds):
        for name in order:
            regime, calls, _ = prepared[name]
            times[name].append(_mean_time(works[name].run, regime, calls, device))
        order.reverse()
    return {name: statistics.median(taken) for name, taken in times.items()}


def _prepare(work: Work, device: torch.device, turn: float) -> tuple[Regime, int, float]:
    """Warm up; return the fastest regime, the calls that make a turn, and what one takes (s)."""
    times = []
    for regime in work.regimes:
        first, second = (_mean_time(work.run, regime, 1, device) for _ in range(2))
        if second < turn:  # the first may have compiled kernels and filled caches
            second = _mean_time(work.run, regime, math.ceil(turn / second), device)
        times.append(min(first, second))
    fastest = min(times)
    return work.regimes[times.index(fastest)], math.ceil(turn / fastest), fastest


def _mean_time(
    run: Callable[[], object], regime: Regime, calls: int, device: torch.device
) -> float:
    with regime():
        finish(device)
        started = time.perf_counter()
        for _ in range(calls):
            run()
        finish(device)
        return (time.perf_counter() - started) / calls


def finish(device: torch.device) -> None:
    """Wait until a device is idle."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def fresh_process_context() -> BaseContext:
    """Return how to start processes that are fresh and whose libraries keep to one core.

    They are forked, where that is possible, from a process that has imported what the bench needs
    and used nothing of it.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["srnn.instruments.bench", *_SLOW_IMPORTS])
    return context


def in_fresh_process(function: Callable[..., _Result], *args: object) -> _Result:
    """Return what ``function`` returns in a process of its own, on one core."""
    with one_core_each(), ProcessPoolExecutor(1, fresh_process_context()) as pool:
        return pool.submit(function, *args).result()
