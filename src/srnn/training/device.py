# SPDX-License-Identifier: MPL-2.0
"""The device that computes."""

import logging

import torch

from srnn.settings import Keys, key

_log = logging.getLogger(__name__)


class CudaKeys(Keys):
    """The device."""

    cuda: bool = key(True, "whether to use a CUDA device if there is one")
    graphs: bool = key(
        True,
        "whether training steps on a CUDA device are replayed as a CUDA graph; false: each "
        "operation is launched separately (slow)",
        free_on_resume=True,
        idle_if={"cuda.cuda": False},
    )


def make_device(keys: CudaKeys, *, named: bool = False) -> torch.device:
    """Return the CUDA device if it is wanted and there is one, else the CPU.

    A missing device is logged as a warning if the user named the key, else as information.
    """
    if not keys.cuda:
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    level = logging.WARNING if named else logging.INFO
    _log.log(level, "cuda.cuda = true, but no CUDA device: computing on the CPU")
    return torch.device("cpu")
