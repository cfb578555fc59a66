# SPDX-License-Identifier: MPL-2.0
"""One step of training, all of it on the device: nothing in it waits for a result.

Legend: B batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from srnn.config import SrnnConfig
from srnn.network.model import Output
from srnn.training.divergence import Limits
from srnn.training.examples import Batch
from srnn.training.optimizer import SkippingAdam, limit_parameters
from srnn.training.spotter import Spotter


class Step:
    """Trains on one batch: loss, gradients, update.

    A step whose loss or gradients are not finite, or whose loss is far beyond that of guessing,
    changes no weight, and neither does any step after it: they stay as the last sound step left
    them (running statistics and averages do not). Nobody has to look after each step, only before
    anything is kept.

    Parameters
    ----------
    spotter : Spotter
    optimizer : SkippingAdam
    settings : SrnnConfig
    classes : int
        Classes K, which tell what guessing costs.
    average : Spotter, optional
        Follows the weights by ``settings.averaging``.

    Attributes
    ----------
    limits : Limits
    totals : Tensor, shape (2,), float64
        The sums of the losses and of the hits of all clips so far, on the device.
    taken : Tensor, shape (), int64
        Sound steps so far, on the device.
    earlier : Tensor, shape (), int64
        Those of earlier epochs, on the device.
    """

    def __init__(
        self,
        spotter: Spotter,
        optimizer: SkippingAdam,
        settings: SrnnConfig,
        classes: int,
        average: Spotter | None = None,
    ) -> None:
        self.spotter = spotter
        self.optimizer = optimizer
        self.settings = settings
        self.average = average
        self.limits = Limits(classes)
        device = next(spotter.parameters()).device
        self.totals = torch.zeros(2, dtype=torch.float64, device=device)
        self.taken = torch.zeros((), dtype=torch.int64, device=device)
        self.earlier = torch.zeros((), dtype=torch.int64, device=device)

    @property
    def failed(self) -> Tensor:
        """1 since a step was not sound, else 0; shape (), float32, on the device."""
        return self.optimizer.found_inf

    def __call__(self, batch: Batch) -> None:
        """Train on ``batch``."""
        loss, hits, norm = self.differentiate(batch)
        sound = (loss < self.limits.step) & norm.isfinite()
        torch.maximum(self.failed, (~sound).float(), out=self.failed)
        if self.settings.gradient_clip:
            clip_grads_with_norm_(self.spotter.parameters(), self.settings.gradient_clip, norm)
        self.optimizer.step()
        limit_parameters(self.optimizer)
        if self.average:
            self._follow(self.average)
        self.totals += torch.stack([loss.double() * len(batch.labels), hits.double()])
        self.taken += 1 - self.failed.long()

    def differentiate(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Leave the gradients of a batch in the parameters; return its loss, hits, and their norm.

        The loss is the mean cross entropy, whatever else is minimised beside it.
        """
        output = self.spotter(batch.features)
        loss = _cross_entropy(output.readouts, batch)
        self.optimizer.zero_grad()
        self._minimised(loss, output).backward()
        norm = get_total_norm([p.grad for p in self.spotter.parameters() if p.grad is not None])
        hits = (output.log_probabilities.argmax(dim=1) == batch.labels).sum()
        return loss.detach(), hits, norm

    def _minimised(self, loss: Tensor, output: Output) -> Tensor:
        """Return what is minimised where ``loss`` is the cross entropy."""
        settings = self.settings
        if settings.label_smoothing:
            # Cross entropy with labels of which a share is spread evenly (Szegedy et al. 2016).
            evenly = -output.readouts.mean()
            loss = torch.lerp(loss, evenly, settings.label_smoothing)
        if settings.firing_penalty:
            sizes = settings.layer_sizes
            spikes = sum(size * rate for size, rate in zip(sizes, output.firing_rates, strict=True))
            excess = F.relu(spikes / sum(sizes) - settings.firing_target)
            loss = loss + settings.firing_penalty * excess
        return loss

    def _follow(self, average: Spotter) -> None:
        """Move the average towards the weights, running statistics included.

        At first by more than the settings say, as TensorFlow's ExponentialMovingAverage does when
        it is told the number of steps: the average then spans about the last ninth of them, and
        soon forgets where it began. A decay of 0.9997 is first reached at step 29,990.
        """
        share = (9 / (10 + self.earlier + self.taken)).clamp(min=1 - self.settings.averaging)
        with torch.no_grad():
            for mean, current in zip(
                average.state_dict().values(), self.spotter.state_dict().values(), strict=True
            ):
                mean.lerp_(current, share)


def _cross_entropy(readouts: Tensor, batch: Batch) -> Tensor:
    """Return the mean cross entropy of log-probabilities, mixed as the clips are."""
    own, other = (
        F.nll_loss(readouts, right, reduction="none") for right in (batch.readouts, batch.others)
    )
    return torch.lerp(other, own, batch.shares).mean()
