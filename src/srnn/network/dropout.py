# SPDX-License-Identifier: MPL-2.0
"""Dropout of neurons."""

import torch
import torch.nn.functional as F
from torch import Tensor


def drop(spikes: Tensor, rate: float) -> Tensor:
    """Drop each neuron of a clip with probability ``rate``; scale the others by 1 / (1 - rate).

    A neuron is dropped over the whole sequence (Gal and Ghahramani 2016,
    https://arxiv.org/abs/1512.05287): draws for each time step would make a training step a fifth
    slower.
    Draws from torch's global random generator of the device.

    Parameters
    ----------
    spikes : Tensor, shape (T, B, H)
    rate : float, 0 <= rate < 1
    """
    return spikes * F.dropout(torch.ones_like(spikes[0]), rate)
