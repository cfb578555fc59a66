# SPDX-License-Identifier: MPL-2.0
"""Memory layout of sequences and states, for the kernels of all devices.

A sequence (T, B, H) is stored clip by clip: it is a transposed (B, T, H).

Legend: T time steps, B batch, H neurons.
"""

import torch
from torch import Tensor


def new_sequence(like: Tensor, width: int) -> Tensor:
    """Return an empty sequence (T, B, width), with steps, clips, type and device of another."""
    steps, batch, _ = like.shape
    return like.new_empty(batch, steps, width).transpose(0, 1)


def copied(state: Tensor) -> Tensor:
    """Return a contiguous copy of a state (B, H)."""
    return state.clone(memory_format=torch.contiguous_format)
