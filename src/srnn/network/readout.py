# SPDX-License-Identifier: MPL-2.0
"""The readout: leaky integrators whose potentials become scores of the classes.

Legend: T time steps, B batch, H neurons, K classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor, nn

from srnn.network.learnable import Learnable
from srnn.network.neurons import Normal
from srnn.network.neurons.keys import NormalKey, TauRangeKeys, outside
from srnn.network.norm import CurrentNorm, linear, zero_bias
from srnn.network.ops import BACKENDS
from srnn.settings import STEPS, BrokenRelation, key


class ReadoutKeys(TauRangeKeys):
    """The readout."""

    readout: Literal["mean", "last", "max"] = key(
        "mean",
        "readout: `mean`, `last` or `max` of the readout potentials over time",
        shapes_weights=True,
    )
    readout_scale: float = key(
        1.0,
        "factor of the readout potentials before the softmax (inverse temperature)",
        gt=0,
        le=1000,
        shapes_weights=True,
    )
    tau_readout: NormalKey = key(
        (10.0, 1.0),
        "time constants of the readout at initialisation: mean and standard deviation of a "
        "normal distribution",
        STEPS,
    )

    def broken_relations(self) -> Iterator[BrokenRelation]:
        """Yield an error if the mean is out of range."""
        yield from outside("tau_readout", self.tau_readout, self.tau_range)


@dataclass(frozen=True)
class Readout:
    """Computation of the scores of the classes from potentials of the readout.

    Attributes
    ----------
    over_time : "mean", "last" or "max"
        The mean of the potentials over all time steps, the last ones, or the largest.
    scale : float > 0
        Factor of the scores.
    tau : Normal
        Distribution of the time constants, in time steps.
    """

    over_time: Literal["mean", "last", "max"] = "mean"
    scale: float = 1.0
    tau: Normal = Normal(10.0, 1.0)

    @classmethod
    def from_keys(cls, keys: ReadoutKeys) -> Self:
        """Return the readout that the keys describe."""
        return cls(keys.readout, keys.readout_scale, Normal(*keys.tau_readout, keys.tau_range))


class LeakyReadout(nn.Module):
    """Non-spiking leaky integrators, one a class.

    u_t = alpha u_{t-1} + (1 - alpha)(W s_t + b), u_{-1} = 0. As u is linear in the spikes, no loop
    is needed: the last u is (1 - alpha) sum_t alpha^(T-1-t) (W s_t + b), and the mean of u over the
    T steps is (1/T) sum_t (1 - alpha^(T-t))(W s_t + b), t = 0..T-1.

    Parameters
    ----------
    input_size, classes : int
        Inputs H and classes K.
    bias : bool
        Whether the product with the weights has a bias; with ``batch_norm`` it has none.
    batch_norm : bool
        Whether the current W s is normalised, see `CurrentNorm`.
    readout : Readout
    backend : "auto" or "reference"
        See `srnn.network.ops.BACKENDS`.
    """

    def __init__(
        self,
        input_size: int,
        classes: int,
        *,
        bias: bool = True,
        batch_norm: bool = False,
        readout: Readout | None = None,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.backend = backend
        self.readout = readout or Readout()
        self.output = nn.Linear(input_size, classes, bias and not batch_norm)
        self.norm = CurrentNorm(classes) if batch_norm else None
        self.tau_mem = self.readout.tau.draw(classes)
        nn.init.xavier_normal_(self.output.weight)
        zero_bias(self.output)

    def forward(self, spikes: Tensor) -> Tensor:
        """Map spikes (T, B, H), T >= 1, to scores (B, K)."""
        if len(spikes) < 1:
            raise RuntimeError(
                "srnn: expected spikes of at least one time step, found shape "
                f"{tuple(spikes.shape)}"
            )
        return self.readout.scale * self._over_time(self._current(spikes))

    def learnables(self) -> dict[str, Learnable]:
        """Return optimizer group and bounds of the time constants."""
        return {"tau_mem": Learnable(self.readout.tau.group, self.readout.tau.bounds)}

    def potentials(self, spikes: Tensor, before: Tensor | None = None) -> Tensor:
        """Map spikes (T, B, H), T >= 1, to the potentials u of all steps, (T, B, K).

        ``before`` are the potentials of the step before, shape (B, K); zeros if not given.
        """
        alpha = torch.exp(-1 / self.tau_mem)
        current = self._current(spikes)
        potential = torch.zeros_like(current[0]) if before is None else before
        potentials = []
        for inflow in current:
            potential = torch.lerp(inflow, potential, alpha)
            potentials.append(potential)
        return torch.stack(potentials)

    def scores(self, potentials: Tensor) -> Tensor:
        """Map potentials (T, B, K), T >= 1, to the scores (B, K) of these steps."""
        match self.readout.over_time:
            case "mean":
                over_time = potentials.mean(dim=0)
            case "last":
                over_time = potentials[-1]
            case "max":
                over_time = potentials.amax(dim=0)
        return self.readout.scale * over_time

    def running_scores(self, potentials: Tensor) -> Tensor:
        """Map potentials (T, B, K) to the scores of the steps up to each one, (T, B, K)."""
        match self.readout.over_time:
            case "mean":
                steps = torch.arange(1, len(potentials) + 1, device=potentials.device)
                over_time = potentials.cumsum(dim=0) / steps[:, None, None]
            case "last":
                over_time = potentials
            case "max":
                over_time = potentials.cummax(dim=0).values
        return self.readout.scale * over_time

    def _current(self, spikes: Tensor) -> Tensor:
        current: Tensor
        current = BACKENDS[self.backend].spike_linear(spikes, self.output.weight, self.output.bias)
        if self.norm is not None:
            current = self.norm(current)
        return current

    def _over_time(self, current: Tensor) -> Tensor:
        """Map currents (T, B, K) to potentials over time (B, K)."""
        steps = len(current)
        remaining = torch.arange(-steps, 0, device=current.device)[:, None]  # (T, 1): t - T
        match self.readout.over_time:
            case "mean":
                # (T, K): how much of each step's current, 1 - alpha^(T - t), is in the mean
                weights = torch.expm1(remaining / self.tau_mem) / -steps
            case "last":
                gained = -torch.expm1(-1 / self.tau_mem)  # 1 - alpha
                weights = gained * torch.exp((remaining + 1) / self.tau_mem)
            case "max":
                return self._potentials(current).amax(dim=0)
        return (weights[:, None] * current).sum(dim=0)

    def _potentials(self, current: Tensor) -> Tensor:
        """Map currents (T, B, K) to the potentials of all steps, in one product of matrices."""
        time = torch.arange(len(current), device=current.device)
        ago = (time[:, None] - time).clamp(min=0)  # (T, T)
        weights = torch.exp(-ago / self.tau_mem[:, None, None]).tril()  # (K, T, T): alpha^(t - t')
        gained = -torch.expm1(-1 / self.tau_mem)  # (K,): 1 - alpha
        potentials = weights @ (gained * current).permute(2, 0, 1)  # (K, T, B)
        return potentials.permute(1, 2, 0)

    def fold(self) -> None:
        """Fold the normalisation, by its running averages, into weights and bias, and remove it."""
        if self.norm is not None:
            self.output = linear(*self.norm.fold(self.output.weight))
            self.norm = None
