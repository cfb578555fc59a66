# SPDX-License-Identifier: MPL-2.0
"""Dropout of neurons."""

import torch
import torch.nn.functional as F
from torch import Tensor


def drop(spikes: Tensor, share: float) -> Tensor:
    """Hide a random ``share`` of each clip's neurons, and scale the others up by as much.

    A neuron is hidden over the whole sequence (Gal and Ghahramani 2016,
    https://arxiv.org/abs/1512.05287): dice for each time step take a fifth of a training step.
    Draws from torch's global random generator of the device.

    Parameters
    ----------
    spikes : Tensor, shape (T, B, H)
    share : float, 0 <= share < 1
    """
    return spikes * F.dropout(torch.ones_like(spikes[0]), share)
