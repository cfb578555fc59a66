# SPDX-License-Identifier: MPL-2.0
"""The machine while a network computes: who has the cores, and what becomes of freed memory."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from srnn.config import Config
from srnn.network.ops import own_cores

# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1


@contextmanager
def resources(config: Config, device: torch.device) -> Iterator[None]:
    """Give the cores of a CPU to the kernels that ``config`` chooses, and keep freed memory."""
    keep_freed_memory()
    kernels = device.type == "cpu" and config.srnn.backend == "auto"
    with own_cores() if kernels else nullcontext():
        yield


def keep_freed_memory() -> None:
    """Have the C library keep large blocks when they are freed, for the next step.

    By default it hands them back to the system, and each step pays for thousands of pages of zeros.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not every C library is glibc
        if mallopt:
            mallopt(_M_MMAP_THRESHOLD, 2**30)
            mallopt(_M_TRIM_THRESHOLD, _NEVER)
