# SPDX-License-Identifier: MPL-2.0
"""One step of training, all of it on the device: nothing in it waits for a result."""

import math

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from srnn.parallel import ALONE, Group, whole_batches
from srnn.training.batch import Batch
from srnn.training.ema import WeightEma
from srnn.training.loss import LossKeys, LossLimits, cross_entropy, objective
from srnn.training.optimizer import OptimizerKeys, SkippingAdam, clamp_parameters
from srnn.training.progress import Progress
from srnn.training.spotter import Spotter


class StepKeys(OptimizerKeys, LossKeys):
    """Configuration keys of a step."""


class Step:
    """One step of training: loss, gradients, update.

    A step whose loss or gradients are not finite, or whose loss is far beyond that of guessing,
    changes no weight, and neither does any step after it: the weights stay as the last sound step
    left them (running statistics and the EMA do not). Therefore the host need not wait for each
    step; it checks `failed` before anything is kept.

    Parameters
    ----------
    spotter : Spotter
    optimizer : SkippingAdam
    keys : StepKeys
    classes : int
        Classes K, which decide the limits of the loss.
    ema : WeightEma, optional
        Updated after each step.
    group : Group
        The processes that share each batch. All take the same steps.

    Attributes
    ----------
    limits : LossLimits
    totals : Tensor, shape (2,), float64
        The sums of the losses and of the hits of all clips so far, on the device.
    taken : Tensor, shape (), int64
        Sound steps so far, on the device.
    earlier : Tensor, shape (), int64
        Those of earlier epochs, on the device.
    measures_firing : bool
        Whether the next step sets `firing_rate`; a step that is captured as a graph always does
        what it did then.
    firing_rate : Tensor, shape (), float32
        Spikes per neuron and time step of the last batch, or share of it, that was measured, all
        hidden layers together, on the device; NaN before.
    wants : (bool, bool)
        Whether this process was asked to stop, and to save its state. The next step sends it.
    wanted : Tensor, shape (2,), float32
        How many processes sent these in the last step, on the device; zeros if there is one.
    """

    def __init__(
        self,
        spotter: Spotter,
        optimizer: SkippingAdam,
        keys: StepKeys,
        classes: int,
        ema: WeightEma | None = None,
        group: Group = ALONE,
    ) -> None:
        self.spotter = spotter
        self.optimizer = optimizer
        self.keys = keys
        self.ema = ema
        self.group = group
        self.limits = LossLimits(classes)
        self._parameters = list(spotter.parameters())  # to look for them takes as long as a kernel
        device = self._parameters[0].device
        self.totals = torch.zeros(2, dtype=torch.float64, device=device)
        self.taken = torch.zeros((), dtype=torch.int64, device=device)
        self.earlier = torch.zeros((), dtype=torch.int64, device=device)
        self.measures_firing = False
        self.firing_rate = torch.full((), math.nan, device=device)
        self.wants = False, False
        self.wanted = torch.zeros(2, device=device)

    def start_epoch(self, progress: Progress, steps: int) -> None:
        """Begin, or continue, an epoch of ``steps`` steps."""
        self.totals.copy_(torch.tensor([progress.loss, progress.hits], dtype=torch.float64))
        self.taken.fill_(progress.step)
        self.earlier.fill_((progress.epoch - 1) * steps)

    @property
    def failed(self) -> Tensor:
        """1 since a step was not sound, else 0; shape (), float32, on the device."""
        return self.optimizer.found_inf

    def __call__(self, batch: Batch) -> None:
        """Train on ``batch``."""
        loss, hits, norm = self.differentiate(batch)
        sound = (loss < self.limits.step) & norm.isfinite()
        torch.maximum(self.failed, (~sound).float(), out=self.failed)
        if self.keys.gradient_clip:
            clip_grads_with_norm_(self._parameters, self.keys.gradient_clip, norm)
        self.optimizer.step()
        clamp_parameters(self.optimizer)
        if self.ema:
            self.ema.update(self.earlier + self.taken)
        self.totals += torch.stack([loss.double() * batch.share.total, hits.double()])
        self.taken += 1 - self.failed.long()

    def differentiate(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Leave the gradients of a batch, that of all processes, in the parameters.

        Returns
        -------
        loss : Tensor, shape ()
            The mean cross entropy, without smoothing and penalty.
        hits : Tensor, shape ()
            Examples whose label is the most probable one.
        norm : Tensor, shape ()
            Norm of the gradient of all parameters.
        """
        with whole_batches(self.spotter, self.group):
            output = self.spotter(batch.features, batch.share)
            if self.measures_firing:
                self.firing_rate.copy_(output.firing_rate)
            loss = cross_entropy(output.log_probs, batch)
            self.optimizer.zero_grad()
            objective(loss, output, self.keys, batch.share, self.group).backward()
        hits = (output.log_probabilities.argmax(dim=1) == batch.labels).sum()
        loss = loss.detach()
        if self.group.size > 1:
            loss, hits = self._add_up(loss, hits)
        norm = get_total_norm(self._gradients())
        return loss, hits, norm

    def _add_up(self, loss: Tensor, hits: Tensor) -> tuple[Tensor, Tensor]:
        """Add gradients, loss, hits and wants of all processes, in one message."""
        gradients = self._gradients()
        wants = torch.tensor(self.wants, dtype=loss.dtype, device=loss.device)
        parts = [*gradients, loss, hits.to(loss.dtype), wants]
        whole = self.group.all_reduce(torch.cat([part.flatten() for part in parts]))
        *totals, loss, hits, self.wanted = whole.split([part.numel() for part in parts])
        for gradient, total in zip(gradients, totals, strict=True):
            gradient.copy_(total.view_as(gradient))
        return loss[0], hits[0]

    def _gradients(self) -> list[Tensor]:
        return [each.grad for each in self._parameters if each.grad is not None]
