# SPDX-License-Identifier: MPL-2.0
"""The adaptive-threshold neuron: leaky integrate-and-fire, its threshold raised by its spikes.

Of Yin, Corradi and Bohté, "Accurate and efficient time-domain classification with adaptive spiking
recurrent neural networks", Nature Machine Intelligence 3, 905-913 (2021), in the discrete form of
their implementation. The paper's symbols here:

    tau_m, tau_adp   tau_mem, tau_adapt    time constants of membrane and threshold (time steps)
    alpha, rho       alpha, rho            their decay factors of one step: exp(-1 / tau)
    b_0, beta        threshold, adaptation resting threshold, and how far a spike raises it
    eta (or b)       adaptation (state)    a low-pass filter of the neuron's own spikes
    u (or v)         potential             the membrane potential
    S                spikes                1 where the neuron fires, else 0

Legend: L learnable parameters of a neuron, H neurons.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from srnn.network.neurons.base import Neuron, State, Update, decay
from srnn.network.neurons.distributions import Normal
from srnn.network.neurons.keys import MembraneKeys, NormalKey, ThresholdKeys, outside
from srnn.network.surrogate import MULTI_GAUSSIAN, Surrogate, spike
from srnn.settings import STEPS, BrokenRelation, Keys, key


class AdaptiveThresholdKeys(ThresholdKeys, MembraneKeys):
    """What the adaptive-threshold neuron reads."""

    adaptation: float = key(
        0.184,
        "adaptation strength of `adaptive_threshold`: factor of the filtered spike train in "
        "the threshold",
        ge=0,
        le=1000,
        shapes_weights=True,
    )
    tau_adapt: NormalKey = key(
        (200.0, 50.0),
        "adaptation time constants of `adaptive_threshold` at initialisation: mean and "
        "standard deviation of a normal distribution",
        STEPS,
    )

    def broken_relations(self) -> Iterator[BrokenRelation]:
        """Yield what is wrong with the mean."""
        yield from outside("tau_adapt", self.tau_adapt, self.tau_range)


@dataclass(frozen=True)
class AdaptiveThreshold(Neuron):
    """The adaptive-threshold neuron; the defaults are the paper's.

    Attributes
    ----------
    threshold, adaptation : float
        Resting threshold, and how much the adaptation raises it (see `step`).
    tau_mem, tau_adapt : Normal
        Distributions of the time constants of membrane and threshold, in time steps.
    surrogate : Surrogate
        Replaces the derivative of the step function.
    """

    name: ClassVar[str] = "adaptive_threshold"
    summary: ClassVar[str] = (
        "adaptive LIF with a threshold that rises with each spike (Yin et al. 2021)"
    )
    learnable: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_adapt")
    keys: ClassVar[type[Keys]] = AdaptiveThresholdKeys

    threshold: float = 1.6
    adaptation: float = 0.184
    tau_mem: Normal = Normal(20.0, 5.0)
    tau_adapt: Normal = Normal(200.0, 50.0)
    surrogate: Surrogate = MULTI_GAUSSIAN

    @classmethod
    def from_keys(cls, keys: AdaptiveThresholdKeys, surrogate: Surrogate) -> Self:
        """Return the neuron that the keys describe."""
        return cls(
            threshold=keys.threshold,
            adaptation=keys.adaptation,
            tau_mem=Normal(*keys.tau_mem, keys.tau_range),
            tau_adapt=Normal(*keys.tau_adapt, keys.tau_range),
            surrogate=surrogate,
        )

    @property
    def constants(self) -> tuple[float, ...]:
        """The constants that kernels need: threshold and adaptation."""
        return self.threshold, self.adaptation

    @property
    def update(self) -> Update:
        """Return what an update needs.

        Adaptation and potential are weighted sums (1 multiplication and 2 additions each), the
        threshold needs 1 of each, reset and comparison are 2 additions.
        """
        return Update(multiplications=3, additions=7, state=2, parameters=2)

    def parameters(self, learnt: Iterable[Tensor]) -> Tensor:
        """Return alpha and rho as (L, H), given the L time constants of (H,)."""
        return decay(torch.stack(list(learnt)))

    def initial_state(self, current: Tensor) -> State:
        """Return the state before the first step: zeros, but the adaptation is the threshold."""
        # where the reference implementation starts it
        adaptation = torch.full_like(current, self.threshold)
        return super().initial_state(current)._replace(adaptation=adaptation)

    def firing_threshold(self, adaptation: Tensor) -> Tensor:
        """Return the threshold, which rises with the adaptation of the same step."""
        return self.threshold + self.adaptation * adaptation

    def step(self, current: Tensor, state: State, parameters: Tensor) -> State:
        """Return the state one time step later, see `Neuron.step`."""
        alpha, rho = parameters
        adapted = rho * state.adaptation + (1 - rho) * state.spikes
        raised = self.firing_threshold(adapted)
        potential = alpha * state.potential + (1 - alpha) * current - raised * state.spikes
        return State(spike(potential - raised, self.surrogate), potential, adapted)
