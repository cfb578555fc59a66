# SPDX-License-Identifier: MPL-2.0
"""Threads and memory of the process while a network computes."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from srnn.config import Config
from srnn.data.workers import available_cores
from srnn.network.ops import own_cores
from srnn.network.ops.cpu.compilation import compilation_progress
from srnn.parallel import ALONE, Group
from srnn.runs.parts import network_of, spec_of
from srnn.training.interrupt import stop_on_signals

# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1


@contextmanager
def resources(config: Config, device: torch.device, group: Group = ALONE) -> Iterator[None]:
    """Give the cores of a CPU to the kernels that ``config`` chooses, and keep freed memory.

    The first process of ``group`` compiles them, the others find them in the cache.
    """
    keep_freed_memory()
    kernels = device.type == "cpu" and config.srnn.backend == "auto"
    if kernels:
        with group.first_alone():
            _compile_kernels(config)
    with own_cores() if kernels else nullcontext():
        yield


def _compile_kernels(config: Config) -> None:
    """Compile the kernels by running a small network, with a progress bar.

    LLVM calls back into Python meanwhile, and ctypes drops exceptions of signal handlers there: a
    signal is stored and takes effect after the current kernel.
    """
    small = {"network_size": (2,) * len(config.srnn.layer_sizes)}
    srnn = config.srnn.model_copy(update=small)
    with torch.random.fork_rng(devices=()):
        network = network_of(config.model_copy(update={"srnn": srnn}), classes=2)
        features = torch.ones(1, *spec_of(config).shape)
        with stop_on_signals() as stop, compilation_progress(stop.check):
            network(features).log_probabilities.sum().backward()


def limit_threads() -> None:
    """Limit torch's threads to the cores available to this process.

    Torch counts the cores of the machine, of which a container may have only some. The environment
    variable ``OMP_NUM_THREADS`` takes precedence.
    """
    cores = available_cores()
    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > cores:
        torch.set_num_threads(cores)


def keep_freed_memory() -> None:
    """Make the C library keep freed large blocks for the next step.

    By default it hands them back to the system, and each step pays for thousands of pages of zeros.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not every C library is glibc
        # Older ones refuse more than 32 MiB, and to set the other one alone would do harm.
        if mallopt and any(mallopt(_M_MMAP_THRESHOLD, limit) for limit in (2**30, 2**25)):
            mallopt(_M_TRIM_THRESHOLD, _NEVER)
