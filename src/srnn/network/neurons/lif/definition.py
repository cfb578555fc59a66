# SPDX-License-Identifier: MPL-2.0
"""The leaky integrate-and-fire neuron (LIF), with a fixed threshold and reset by subtraction.

The baseline of most papers; in discrete time as in Gerstner et al., "Neuronal Dynamics" (2014),
chapter 1.3, with learnable membrane time constants (Fang et al. 2021,
https://arxiv.org/abs/2007.05785):

    v_t = alpha v_{t-1} + (1 - alpha) I_t - threshold s_{t-1},  alpha = exp(-1 / tau_mem)
    s_t = H(v_t - threshold)

Legend: L learnable parameters of a neuron, H neurons.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from srnn.network.neurons.base import Neuron, State, Update, decay
from srnn.network.neurons.distributions import Normal
from srnn.network.neurons.keys import MembraneKeys, ThresholdKeys
from srnn.network.surrogate import MULTI_GAUSSIAN, Surrogate, spike
from srnn.settings import Keys


class LIFKeys(ThresholdKeys, MembraneKeys):
    """What the leaky integrate-and-fire neuron reads."""


@dataclass(frozen=True)
class LeakyIntegrateAndFire(Neuron):
    """The leaky integrate-and-fire neuron.

    Attributes
    ----------
    threshold : float
        Firing threshold.
    tau_mem : Normal
        Distribution of the membrane time constants, in time steps.
    surrogate : Surrogate
        Replaces the derivative of the step function.
    """

    name: ClassVar[str] = "lif"
    summary: ClassVar[str] = "leaky integrate-and-fire, without adaptation"
    learnable: ClassVar[tuple[str, ...]] = ("tau_mem",)
    keys: ClassVar[type[Keys]] = LIFKeys

    threshold: float = 1.6
    tau_mem: Normal = Normal(20.0, 5.0)
    surrogate: Surrogate = MULTI_GAUSSIAN

    @classmethod
    def from_keys(cls, keys: LIFKeys, surrogate: Surrogate) -> Self:
        """Return the neuron that the keys describe."""
        return cls(keys.threshold, Normal(*keys.tau_mem, keys.tau_range), surrogate)

    @property
    def constants(self) -> tuple[float, ...]:
        """The constant that kernels need: the threshold."""
        return (self.threshold,)

    @property
    def update(self) -> Update:
        """Return what an update needs.

        The potential is a weighted sum (1 multiplication and 2 additions); reset and comparison are
        2 additions.
        """
        return Update(multiplications=1, additions=4, state=1, parameters=1)

    def parameters(self, learnt: Iterable[Tensor]) -> Tensor:
        """Return alpha as (1, H), given the time constants (H,)."""
        return decay(torch.stack(list(learnt)))

    def firing_threshold(self, adaptation: Tensor) -> Tensor:
        """Return the threshold, whatever the adaptation."""
        return torch.full_like(adaptation, self.threshold)

    def step(self, current: Tensor, state: State, parameters: Tensor) -> State:
        """Return the state one time step later, see `Neuron.step`."""
        (alpha,) = parameters
        potential = alpha * state.potential + (1 - alpha) * current - self.threshold * state.spikes
        spikes = spike(potential - self.threshold, self.surrogate)
        return State(spikes, potential, state.adaptation)
