# SPDX-License-Identifier: MPL-2.0
"""Examples: the features and labels of a partition, and the batches made of them.

Legend: N examples, B batch, C channels, T frames, M mel bands.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from srnn.data.corpus import Clip
from srnn.features.reference import MelSpec
from srnn.training.hearing import hear

_THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_CLIPS_A_TASK = 16
_CLIPS_WORTH_A_POOL = 2000  # fewer are done sooner than worker processes have started


class Examples(NamedTuple):
    """A partition as tensors: ``features`` (N, C, T, M) float32 and ``labels`` (N,) int64."""

    features: Tensor
    labels: Tensor

    def batches(self, order: Tensor, size: int, device: torch.device) -> Iterator["Examples"]:
        """Yield the examples at ``order`` in batches of ``size``; the last may be smaller."""
        for first in range(0, len(order), size):
            indices = order[first : first + size]
            yield Examples(
                _on_device(self.features[indices], device), _on_device(self.labels[indices], device)
            )


class Extractor:
    """Turns clips into examples in worker processes; a context manager, which ends them.

    Parameters
    ----------
    spec : MelSpec
    workers : int >= 0 or "auto"
        Processes to spread the work over: 0 works in this one, "auto" takes one a core. Never
        changes a number.
    """

    def __init__(self, spec: MelSpec, workers: int | Literal["auto"]) -> None:
        self.spec = spec
        self._processes = (os.cpu_count() or 1) if workers == "auto" else workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def examples(self, clips: Sequence[Clip], title: str) -> Examples:
        """Compute the features of ``clips``, in their order, under a progress bar named ``title``.

        Raises
        ------
        InputError
            If one of the files is no recording.
        """
        work = partial(hear, spec=self.spec)
        if self._processes and len(clips) >= _CLIPS_WORTH_A_POOL:
            with _conditions_for_workers():
                results = self._started_pool().map(work, clips, chunksize=_CLIPS_A_TASK)
        else:
            results = map(work, clips)
        features = torch.empty(len(clips), *self.spec.shape)
        bar = tqdm(results, title, total=len(clips), unit="clip", leave=False, disable=None)
        for row, array in zip(features, bar, strict=True):
            row.copy_(torch.from_numpy(array))
        return Examples(features, torch.from_numpy(np.array([c.label for c in clips], np.int64)))

    def _started_pool(self) -> ProcessPoolExecutor:
        if not self._pool:
            # Spawned, not forked: torch's threads do not survive a fork.
            self._pool = ProcessPoolExecutor(
                self._processes,
                multiprocessing.get_context("spawn"),
            )
        return self._pool


@contextmanager
def _conditions_for_workers() -> Iterator[None]:
    """Let processes started within work on one core each and ignore Ctrl-C, which reaches them all.

    Both are inherited: the linear algebra of numpy reads the environment when it is loaded.
    """
    before = {name: os.environ.get(name) for name in _THREAD_LIMITS}
    os.environ.update(dict.fromkeys(_THREAD_LIMITS, "1"))
    may_set_handlers = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if may_set_handlers else None
    try:
        yield
    finally:
        if may_set_handlers:
            signal.signal(signal.SIGINT, handler)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to the device; from pinned memory, so that the host need not wait."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
