# SPDX-License-Identifier: MPL-2.0
"""Dropout of neurons."""

import torch.nn.functional as F
from torch import Tensor

from srnn.parallel import Share


def drop(spikes: Tensor, rate: float, share: Share | None = None) -> Tensor:
    """Drop each neuron of a clip with probability ``rate``; scale the others by 1 / (1 - rate).

    A neuron is dropped over the whole sequence (Gal and Ghahramani 2016,
    https://arxiv.org/abs/1512.05287): draws for each time step would make a training step a fifth
    slower.
    Draws from torch's global random generator of the device.

    Parameters
    ----------
    spikes : Tensor, shape (T, B, H)
    rate : float, 0 <= rate < 1
    share : Share, optional
        The place of these clips in a batch of several processes. All of them draw for all clips of
        it, so that a clip has the same draws however many there are.
    """
    first, total = share or Share(0, spikes.shape[1])
    kept = F.dropout(spikes.new_ones(total, spikes.shape[2]), rate)
    return spikes * kept[first : first + spikes.shape[1]]
