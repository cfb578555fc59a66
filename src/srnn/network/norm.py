# SPDX-License-Identifier: MPL-2.0
"""Batch normalisation of the currents of layers, and what folding it away needs.

Legend: T time steps, B batch, I inputs, H neurons.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srnn.network.learnable import Learnable
from srnn.network.ops import BACKENDS
from srnn.parallel import OfWholeBatches


class CurrentNorm(OfWholeBatches):
    """Batch normalisation of the input currents W x over time steps and clips.

    In training by the mean and variance of the batch, else by their running averages (exponential,
    momentum 0.1, the variance unbiased), as `torch.nn.BatchNorm1d` does. A weight and a bias of
    each neuron are learnt.

    Parameters
    ----------
    size : int
        Neurons.
    """

    momentum = 0.1
    epsilon = 1e-5

    mean: Tensor
    variance: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))

    def learnables(self) -> dict[str, Learnable]:
        """Return the optimizer group of weight and bias."""
        return {"weight": Learnable("norm"), "bias": Learnable("norm")}

    def forward(self, current: Tensor) -> Tensor:
        """Normalise currents (T, B, H) of few neurons."""
        if self.training and self.group.size > 1:
            return self._forward_share(current)
        vectors = current.transpose(0, 1).flatten(0, 1)
        normalised = F.batch_norm(
            vectors,
            self.mean,
            self.variance,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.epsilon,
        )
        return normalised.view_as(current.transpose(0, 1)).transpose(0, 1)

    def _forward_share(self, current: Tensor) -> Tensor:
        """Normalise a process's share (T, B, H) of the currents by the moments of all."""
        vectors = current.flatten(0, 1).double()
        sums = vectors.sum(dim=0), vectors.square().sum(dim=0)
        count, mean, square = self._means_of_all(len(vectors), *sums)
        variance = (square - mean.square()).clamp(min=0).to(current.dtype)
        mean = mean.to(current.dtype)
        self._track(mean, variance, count / (count - 1).clamp(min=1))
        return (current - mean) * (self.weight * torch.rsqrt(variance + self.epsilon)) + self.bias

    def weights(self, weight: Tensor, inputs: Tensor, backend: str) -> tuple[Tensor, Tensor]:
        """Return weight (H, I) and bias (H,) whose product with inputs (T, B, I) is normalised.

        For many neurons: their currents need not be there twice, nor go through memory at all.
        """
        if not self.training:
            return self.fold(weight)
        # The currents' moments follow from those of the inputs, which are fewer or sparse.
        correction: float | Tensor
        if self.group.size > 1:
            number, mean, covariance = self._moments_of_all(inputs, backend)
            correction = number / (number - 1).clamp(min=1)
        elif inputs.shape[1]:
            count = len(inputs) * inputs.shape[1]
            correction = count / max(1, count - 1)
            mean, covariance = BACKENDS[backend].moments(inputs)
        else:  # no clips have no moments
            return self.fold(weight)
        mean = weight @ mean
        variance = ((weight @ covariance) * weight).sum(dim=1).clamp(min=0)
        self._track(mean, variance, correction)
        return self._fold(weight, mean, variance)

    def _moments_of_all(self, inputs: Tensor, backend: str) -> tuple[Tensor, Tensor, Tensor]:
        """Return number (), mean (I,) and covariance (I, I) of the inputs of all processes.

        ``inputs`` (T, B, I) are those of this one.
        """
        vectors = inputs.flatten(0, 1)
        if len(vectors):
            mean, covariance = BACKENDS[backend].moments(inputs)
        else:  # zeros through which the gradients of what the others have of them flow, too
            mean, covariance = vectors.sum(dim=0), vectors.t() @ vectors
        # In float64 the difference of two squares is no rounding error.
        mean, covariance = mean.double(), covariance.double()
        sums = len(vectors) * mean, len(vectors) * (covariance + torch.outer(mean, mean))
        count, mean, square = self._means_of_all(len(vectors), *sums)
        covariance = square - torch.outer(mean, mean)
        return count, mean.to(inputs.dtype), covariance.to(inputs.dtype)

    def _means_of_all(self, count: int, *sums: Tensor) -> list[Tensor]:
        """Return the number of vectors of all processes, and means, from this one's; one message.

        Each message waits for the slowest process.
        """
        numbers = sums[0].new_tensor([count])
        parts = [numbers, *sums]
        total = self.group.differentiable_sum(torch.cat([part.flatten() for part in parts]))
        number, *totals = total.split([part.numel() for part in parts])
        means = (total.view_as(own) / number for total, own in zip(totals, sums, strict=True))
        return [number[0].detach(), *means]

    def fold(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return weight and bias that normalise by the running averages."""
        return self._fold(weight, self.mean, self.variance)

    def _fold(self, weight: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        scale = self.weight * torch.rsqrt(variance + self.epsilon)
        return scale[:, None] * weight, self.bias - scale * mean

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, correction: float | Tensor) -> None:
        """Move the running averages; ``correction`` is N / (N - 1), of Bessel."""
        self.mean.lerp_(mean, self.momentum)
        self.variance.lerp_((variance * correction).to(variance.dtype), self.momentum)


def zero_bias(layer: nn.Linear) -> None:
    """Set the bias of a layer to zero, if it has one."""
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """Return a linear layer with copies of this weight and bias."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer
