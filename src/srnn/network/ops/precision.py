# SPDX-License-Identifier: MPL-2.0
"""Products of matrices in float32 on a CUDA device whose user allows torch to round to TF32.

Torch has two ways to allow it. The older, `torch.set_float32_matmul_precision` and ``allow_tf32``,
writes the settings of the newer, ``fp32_precision``, and a word of its own; where the two disagree,
which the newer alone may bring about, reading the older raises a RuntimeError. Of the newer there
are three levels, `torch.backends`, its ``cudnn`` (all of CUDA) and its ``cuda.matmul``; one that is
"none" inherits the level above, and a read returns the effective value only.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

_TF32, _IEEE, _FOLLOWS = "tf32", "ieee", "none"

_lock = threading.Lock()
_inside = 0  # threads that need full precision now: backward runs in a thread for each device
_kept: "_Settings | None" = None  # settings before the first of them, if they allowed TF32


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply matrices in float32 within the context; the user's settings are restored after it.

    The environment variable NVIDIA_TF32_OVERRIDE, read by cuBLAS, takes precedence.
    """
    global _inside, _kept
    with _lock:
        if not _inside and _in_force("cuda", "matmul") == _TF32:
            _kept = _Settings.take()
            torch.set_float32_matmul_precision("highest")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside and _kept:
                _kept.restore()
                _kept = None


class _Settings(NamedTuple):
    """All that `torch.set_float32_matmul_precision` writes."""

    older: str
    cuda: str
    mkldnn: str

    @classmethod
    def take(cls) -> "_Settings":
        """Return the settings, and set the newer ones to full precision."""
        cuda, mkldnn = _own("cuda", "matmul"), _own("mkldnn", "matmul")
        _set("cuda", "matmul", _IEEE)
        _set("mkldnn", "matmul", _IEEE)
        return cls(torch.get_float32_matmul_precision(), cuda, mkldnn)  # now it can be read

    def restore(self) -> None:
        torch.set_float32_matmul_precision(self.older)
        _set("cuda", "matmul", self.cuda)
        _set("mkldnn", "matmul", self.mkldnn)


def _own(backend: str, operation: str) -> str:
    """Return the setting of a level itself; a trial shows whether it inherits the level above."""
    value = _in_force(backend, operation)
    above = (backend, "all") if operation != "all" else ("generic", "all")
    if backend == "generic" or _in_force(*above) != value:
        return value
    kept, other = _own(*above), _IEEE if value == _TF32 else _TF32
    _set(*above, other)
    follows = _in_force(backend, operation) == other
    _set(*above, kept)
    return _FOLLOWS if follows else value


# Public attributes cover neither every level nor torch.backends.disable_global_flags().


def _in_force(backend: str, operation: str) -> str:
    value: str = torch._C._get_fp32_precision_getter(backend, operation)
    return value


def _set(backend: str, operation: str, value: str) -> None:
    torch._C._set_fp32_precision_setter(backend, operation, value)
