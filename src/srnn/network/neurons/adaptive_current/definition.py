# SPDX-License-Identifier: MPL-2.0
"""The adaptive-current neuron: leaky integrate-and-fire with sub-threshold adaptation.

Of Bittar and Garner, "A surrogate gradient spiking baseline for speech command recognition",
Frontiers in Neuroscience 16 (2022): potential and spikes feed a current that counteracts the input,
also below the threshold. The paper's symbols here:

    alpha, beta      alpha, rho            decay factors of potential and adaptation in one step
    a, b             a, c                  how much potential and spike add to the adaptation
    w                adaptation (state)    the counteracting current
    u                potential             the membrane potential; a spike subtracts 1

The current takes up the potential of the step before, and the potential the current of this step: a
symplectic Euler step, as Baronig et al. 2024 (https://arxiv.org/abs/2408.07517) argue for.

Legend: L learnable parameters of a neuron, H neurons.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from srnn.network.neurons.base import Neuron, State, Update
from srnn.network.neurons.distributions import Uniform
from srnn.network.neurons.keys import Range, disordered
from srnn.network.surrogate import MULTI_GAUSSIAN, Surrogate, spike
from srnn.settings import STEPS, BrokenRelation, Keys, key


class AdaptiveCurrentKeys(Keys):
    """What the adaptive-current neuron reads."""

    tau_mem_range: Range = key(
        (5.0, 25.0),
        "range of the membrane time constants of `adaptive_current`; at initialisation the "
        "decay exp(-1/tau) is uniform over the range",
        STEPS,
        shapes_weights=True,
    )
    tau_adapt_range: Range = key(
        (30.0, 120.0),
        "range of the adaptation time constants of `adaptive_current`; initialised in the same way",
        STEPS,
        shapes_weights=True,
    )

    def broken_relations(self) -> Iterator[BrokenRelation]:
        """Yield what is wrong with the ranges."""
        yield from disordered("tau_mem_range", self.tau_mem_range)
        yield from disordered("tau_adapt_range", self.tau_adapt_range)


@dataclass(frozen=True)
class AdaptiveCurrent(Neuron):
    """The adaptive-current neuron; the defaults are the paper's.

    Attributes
    ----------
    alpha, rho, a, c : Uniform
        Distributions of the learnable parameters. Outside its bounds a parameter is clamped and has
        no gradient; with a < 0 the state may grow without bound.
    surrogate : Surrogate
        Replaces the derivative of the step function.
    """

    name: ClassVar[str] = "adaptive_current"
    summary: ClassVar[str] = (
        "adaptive LIF with an adaptation current that is driven by potential and spikes (RadLIF, "
        "Bittar and Garner 2022)"
    )
    learnable: ClassVar[tuple[str, ...]] = ("alpha", "rho", "a", "c")
    keys: ClassVar[type[Keys]] = AdaptiveCurrentKeys

    alpha: Uniform = Uniform.of_decays(5, 25)
    rho: Uniform = Uniform.of_decays(30, 120)
    a: Uniform = Uniform(0.0, 1.0)
    c: Uniform = Uniform(0.0, 2.0)
    surrogate: Surrogate = MULTI_GAUSSIAN

    @classmethod
    def from_keys(cls, keys: AdaptiveCurrentKeys, surrogate: Surrogate) -> Self:
        """Return the neuron that the keys describe."""
        return cls(
            alpha=Uniform.of_decays(*keys.tau_mem_range),
            rho=Uniform.of_decays(*keys.tau_adapt_range),
            surrogate=surrogate,
        )

    def start_recurrent(self, weight: Tensor) -> None:
        """Draw an orthogonal recurrent weight without a diagonal, as the paper does."""
        nn.init.orthogonal_(weight)
        weight.fill_diagonal_(0)

    def time_constants(self, learnt: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return those of potential and adaptation, tau = -1 / ln(decay), see `Neuron`."""
        names = {"tau_mem": "alpha", "tau_adapt": "rho"}
        return {
            tau: -1 / learnt[name].clamp(*self.distribution(name).bounds).log()
            for tau, name in names.items()
        }

    @property
    def update(self) -> Update:
        """Return what an update needs.

        The adaptation needs 2 multiplications and 2 additions. The potential is a weighted sum (1
        multiplication and 2 additions) of two differences, and compared: 3 additions more.
        """
        return Update(multiplications=3, additions=7, state=2, parameters=4)

    def parameters(self, learnt: Iterable[Tensor]) -> Tensor:
        """Return alpha, rho, a and c within their bounds as (L, H), given the L learnt of (H,)."""
        within = zip(learnt, self.learnable, strict=True)
        return torch.stack(
            [values.clamp(*self.distribution(name).bounds) for values, name in within]
        )

    def firing_threshold(self, adaptation: Tensor) -> Tensor:
        """Return the threshold: 1, whatever the adaptation."""
        return torch.ones_like(adaptation)

    def step(self, current: Tensor, state: State, parameters: Tensor) -> State:
        """Return the state one time step later, see `Neuron.step`."""
        alpha, rho, a, c = parameters
        adapted = rho * state.adaptation + a * state.potential + c * state.spikes
        remaining = state.potential - state.spikes
        potential = alpha * remaining + (1 - alpha) * (current - adapted)
        return State(spike(potential - 1, self.surrogate), potential, adapted)
