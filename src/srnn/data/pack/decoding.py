# SPDX-License-Identifier: MPL-2.0
"""Decode many recordings into one file, in worker processes where that is worth it."""

import contextlib
import logging
import multiprocessing
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Literal

from srnn.bars import progress_bar
from srnn.data import audio
from srnn.data.pack.file import SAMPLE, Decoded, Recording, place_of
from srnn.data.workers import (
    available_cores,
    end_with_parent,
    interruptions_blocked,
    one_core_each,
    without_main,
)
from srnn.errors import InputError

_RECORDINGS_A_TASK = 64
_RECORDINGS_WORTH_A_POOL = 5000  # fewer are decoded faster than workers start

_log = logging.getLogger(__name__)


def decode(
    folder: Path, names: Sequence[str], target: Path, workers: int | Literal["auto"]
) -> Decoded:
    """Write the samples of all recordings into ``target``; return where each lies, in order.

    Raises
    ------
    InputError
        If a worker process dies.
    """
    processes = available_cores() if workers == "auto" else workers
    tasks = [
        names[first : first + _RECORDINGS_A_TASK]
        for first in range(0, len(names), _RECORDINGS_A_TASK)
    ]
    job = partial(_decode_some, folder=folder, target=target)
    results = None
    if processes and len(names) >= _RECORDINGS_WORTH_A_POOL:
        try:
            results = _in_processes(processes, job, tasks)
        # No semaphores, a full /dev/shm, or too many processes.
        except (OSError, ImportError, NotImplementedError) as error:
            _log.warning(
                "data.workers: cannot start worker processes (%s): the main process decodes", error
            )
    if results is None:
        alone = partial(job, taken=_Counter())
        results = (alone(task) for task in tasks)
    decoded = Decoded([], {})
    bar = progress_bar(desc="packing", total=len(names), unit="clip")
    with contextlib.closing(results), bar:
        for some in results:
            decoded.recordings.extend(some.recordings)
            decoded.unreadable.update(some.unreadable)
            bar.update(len(some.recordings) + len(some.unreadable))
    return decoded


@dataclass
class _Counter:
    """Replaces the shared counter where there is one process."""

    value: int = 0

    def get_lock(self) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()


def _decode_some(
    names: Sequence[str], folder: Path, target: Path, taken: "Synchronized[int] | _Counter"
) -> Decoded:
    """Decode a few recordings and append them; ``taken`` counts all samples so far."""
    decoded = Decoded([], {})
    with target.open("rb+") as file:
        for name in names:
            problems: list[str] = []
            try:
                samples, rate = audio.decode(folder / name, problems.append)
            except audio.UnreadableError as error:
                decoded.unreadable[name] = error.found
                continue
            with taken.get_lock():
                offset = taken.value
                taken.value += len(samples)
            file.seek(place_of(offset))
            content = samples.astype(SAMPLE, copy=False).data
            file.write(content)
            checksum = zlib.crc32(content)
            place = name, offset, len(samples), rate, checksum
            decoded.recordings.append(Recording(*place, "; ".join(problems)))
    return decoded


_Job = Callable[[Sequence[str]], Decoded]


def _in_processes(
    processes: int, job: Callable[..., Decoded], tasks: Iterable[Sequence[str]]
) -> Generator[Decoded, None, None]:
    """Do ``job`` for each task in worker processes; return a generator of the results, in order.

    Raises
    ------
    OSError, ImportError, NotImplementedError
        If worker processes cannot be started.
    """
    # Spawned, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with interruptions_blocked():  # starts a process, too
        shared = partial(job, taken=context.Value("q", 0))
    pool = ProcessPoolExecutor(processes, context, _take_on, (shared,))
    try:
        with one_core_each(), interruptions_blocked(), without_main():
            results = pool.map(_work, tasks)
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    return _results(pool, results)


def _results(
    pool: ProcessPoolExecutor, results: Iterator[Decoded]
) -> Generator[Decoded, None, None]:
    try:
        yield from results
    except BrokenProcessPool as error:
        raise InputError(
            "data.workers: expected worker processes that finish, found one that died (killed, or "
            "out of memory): run again, with fewer if memory is short"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_job: _Job  # of this worker: shared memory can be passed only when a process starts


def _take_on(job: _Job) -> None:
    global _job
    _job = job
    end_with_parent()


def _work(names: Sequence[str]) -> Decoded:
    return _job(names)
