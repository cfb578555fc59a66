# SPDX-License-Identifier: MPL-2.0
"""The loss: cross entropy with label smoothing, and a penalty on the firing rate.

Legend: B batch, R outputs of the readout.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from srnn.network.model import Output
from srnn.parallel import ALONE, Group, Share
from srnn.settings import Keys, key
from srnn.training.batch import Batch


class LossKeys(Keys):
    """Configuration keys of the loss."""

    label_smoothing: float = key(
        0.0,
        "label smoothing: probability mass of the target that is spread evenly over all "
        "outputs of the readout",
        ge=0,
        lt=1,
    )
    firing_penalty: float = key(
        0.0,
        "firing-rate penalty: weight of the term max(0, r - `firing_target`) of the loss, "
        "where r is the firing rate averaged over all hidden neurons",
        "nats per spike per neuron and time step",
        ge=0,
        le=1000,
    )
    firing_target: float = key(
        0.0,
        "firing rate below which there is no firing-rate penalty",
        "spikes per neuron and time step",
        idle_if={"srnn.firing_penalty": 0},
        ge=0,
        le=1,
    )


class LossLimits:
    """Losses that sound training stays below (nats).

    Beyond them numbers may be finite, but mean nothing. The unit is the loss of guessing, log K.

    Parameters
    ----------
    classes : int
        Classes K.

    Attributes
    ----------
    step : float
        Limit of the mean loss of a batch.
    mean : float
        Limit of the mean loss of an epoch, in training and in validation.
    """

    def __init__(self, classes: int) -> None:
        guessing = math.log(max(2, classes))
        self.step = 100 * guessing
        self.mean = 4 * guessing

    def __str__(self) -> str:
        return (
            f"finite numbers and losses below {self.step:.0f} in each step and {self.mean:.1f} "
            "on average"
        )


# Of a share of a batch a loss is its part of that of the whole batch: the sum over the processes is
# the loss, and the sum of their gradients is its gradient.


def cross_entropy(log_probs: Tensor, batch: Batch) -> Tensor:
    """Return the mean cross entropy of log-probabilities (B, R), mixed as the examples are."""
    own, other = (
        F.nll_loss(log_probs, right, reduction="none")
        for right in (batch.targets, batch.mixed_targets)
    )
    return torch.lerp(other, own, batch.weights).sum() / batch.share.total


def objective(
    loss: Tensor, output: Output, keys: LossKeys, share: Share, group: Group = ALONE
) -> Tensor:
    """Return the loss: the cross entropy with smoothed labels plus the firing penalty.

    Of a share of a batch it is this share's part, which the sum over ``group`` completes.

    Label smoothing is that of Szegedy et al. 2016 (https://arxiv.org/abs/1512.00567).
    """
    if keys.label_smoothing:
        evenly = -output.log_probs.sum() / (share.total * output.log_probs.shape[1])
        loss = torch.lerp(loss, evenly, keys.label_smoothing)
    if keys.firing_penalty:
        own = torch.stack([spikes.sum() for spikes in output.hidden]).sum()
        spikes = group.all_reduce(own.detach().clone())
        size, steps = sum(each.shape[-1] for each in output.hidden), len(output.hidden[0])
        count = share.total * steps * size
        exceeds = spikes / count > keys.firing_target
        part = own / count - keys.firing_target / group.size
        loss = loss + keys.firing_penalty * exceeds * part
    return loss
