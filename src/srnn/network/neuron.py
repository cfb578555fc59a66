# SPDX-License-Identifier: MPL-2.0
"""The neurons, leaky integrate-and-fire with an adaptation: constants, state, one step's equations.

The first is that of Yin, Corradi and Bohté, "Accurate and efficient time-domain classification with
adaptive spiking recurrent neural networks", Nature Machine Intelligence 3, 905-913 (2021), in the
discrete form of their implementation: spikes raise its threshold. The paper's symbols here:

    tau_m, tau_adp   tau_mem, tau_adapt    time constants of membrane and threshold (time steps)
    alpha, rho       alpha, rho            what is left of either after one step: exp(-1 / tau)
    b_0, beta        threshold, adaptation resting threshold, and how far a spike raises it
    eta (or b)       adaptation (state)    a low-pass filter of the neuron's own spikes
    u (or v)         potential             the membrane potential
    S                spikes                1 where the neuron fires, else 0

The second is that of Bittar and Garner, "A surrogate gradient spiking baseline for speech command
recognition", Frontiers in Neuroscience 16 (2022): potential and spikes feed a current that
counteracts the input, also below the threshold. Its symbols:

    alpha, beta      alpha, rho            what is left of potential and adaptation after one step
    a, b             a, c                  what the adaptation gains from the potential and a spike
    w                adaptation (state)    the counteracting current
    u                potential             the membrane potential, less 1, the threshold, a spike

The current takes up the potential of the step before, and the potential the current of this step: a
symplectic Euler step, as Baronig et al. 2024 (https://arxiv.org/abs/2408.07517) argue for.

Both kinds have the same attributes, see `AdaptiveThreshold`, and may take each other's place.

Legend: B batch, H neurons, L learnable parameters of a neuron.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.utils._pytree import _register_namedtuple as register_namedtuple

from srnn.network.surrogate import MULTI_GAUSSIAN, Surrogate, spike

THRESHOLD = 1.6
ADAPTATION = 0.184


class State(NamedTuple):
    """What a layer of neurons carries from one time step to the next; each of shape (B, H)."""

    spikes: Tensor
    potential: Tensor
    adaptation: Tensor


register_namedtuple(State, serialized_type_name="srnn.State")  # for torch.export.save


@dataclass(frozen=True)
class Spread:
    """A normal distribution that time constants are drawn from, in time steps, kept in ``limits``.

    Attributes
    ----------
    mean, deviation : float
    limits : tuple of two floats, 0 < lowest < highest
        At or below zero a time constant turns the whole layer into NaN; what is drawn outside is
        moved to the nearer limit. The command ``srnn`` keeps them there in training.
    """

    mean: float
    deviation: float
    limits: tuple[float, float] = (0.1, 10_000.0)

    def draw(self, count: int) -> nn.Parameter:
        """Return ``count`` time constants, shape (count,)."""
        drawn = torch.normal(self.mean, self.deviation, (count,))
        return nn.Parameter(drawn.clamp(*self.limits))


@dataclass(frozen=True)
class Range:
    """What a parameter is drawn from, uniformly, and clamped to where it is used."""

    lowest: float
    highest: float

    @classmethod
    def of_decays(cls, fastest: float, slowest: float) -> Self:
        """Return that of what is left after one time step, given two time constants in steps."""
        return cls(math.exp(-1 / fastest), math.exp(-1 / slowest))

    def draw(self, count: int) -> nn.Parameter:
        """Return ``count`` values, shape (count,)."""
        return nn.Parameter(torch.empty(count).uniform_(self.lowest, self.highest))


# --- Adaptive threshold --------------------------------------------------------------------------


@dataclass(frozen=True)
class AdaptiveThreshold:
    """The adaptive-threshold neuron's constants; the defaults are the paper's.

    Attributes
    ----------
    name : str
        What kernels and configurations call the kind.
    learnable : tuple of str
        Names of the learnable parameters of a neuron, in the order of `draw` and `rows`.
    threshold, adaptation : float
        Resting threshold, and how much the adaptation raises it (see `step`).
    tau_mem, tau_adapt : Spread
        Where the time constants of membrane and threshold start, in time steps.
    surrogate : Surrogate
        Stands in for the derivative of the step function.
    """

    name: ClassVar[str] = "adaptive_threshold"
    learnable: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_adapt")

    threshold: float = THRESHOLD
    adaptation: float = ADAPTATION
    tau_mem: Spread = Spread(20.0, 5.0)
    tau_adapt: Spread = Spread(200.0, 50.0)
    surrogate: Surrogate = MULTI_GAUSSIAN

    @property
    def constants(self) -> tuple[float, ...]:
        """What kernels need to know beside the learnable parameters."""
        return self.threshold, self.adaptation

    @property
    def ranges(self) -> dict[str, Range]:
        """The ranges of learnable parameters by name: none of time constants, see `Spread`."""
        return {}

    def draw(self, count: int) -> dict[str, nn.Parameter]:
        """Return the learnable parameters of ``count`` fresh neurons by name, each (count,)."""
        return {"tau_mem": self.tau_mem.draw(count), "tau_adapt": self.tau_adapt.draw(count)}

    def rows(self, learnt: Iterable[Tensor]) -> Tensor:
        """Return what the equations need, alpha and rho, as (L, H); ``learnt`` are L of (H,)."""
        return torch.stack([decay(tau) for tau in learnt])

    def initial_state(self, current: Tensor) -> State:
        """Return the state before the first step: silent, at rest, the adaptation at the threshold.

        Parameters
        ----------
        current : Tensor, shape (B, H)
            Any current of the layer: gives the state its shape, type and device.
        """
        return State(
            spikes=torch.zeros_like(current),
            potential=torch.zeros_like(current),
            # where the reference starts it
            adaptation=torch.full_like(current, self.threshold),
        )

    def firing_threshold(self, adaptation: Tensor) -> Tensor:
        """Return what the potential is compared with, given the adaptation of the same step."""
        return self.threshold + self.adaptation * adaptation

    def step(self, current: Tensor, state: State, rows: Tensor) -> State:
        """Advance a layer by one time step.

        Parameters
        ----------
        current : Tensor, shape (B, H)
            Input current of this step, everything included (I_t).
        state : State
            State after the previous step.
        rows : Tensor, shape (L, H)
            What `rows` returned.
        """
        alpha, rho = rows
        adapted = rho * state.adaptation + (1 - rho) * state.spikes
        raised = self.firing_threshold(adapted)
        potential = alpha * state.potential + (1 - alpha) * current - raised * state.spikes
        return State(spike(potential - raised, self.surrogate), potential, adapted)


def decay(tau: Tensor) -> Tensor:
    """Return what is left after one time step of something that decays with ``tau`` > 0 steps."""
    return torch.exp(-1 / tau)


# --- Adaptive current ----------------------------------------------------------------------------


_ALPHA, _RHO = Range.of_decays(5, 25), Range.of_decays(30, 120)


@dataclass(frozen=True)
class AdaptiveCurrent:
    """The adaptive-current neuron's constants; `AdaptiveThreshold` says what both have.

    Attributes
    ----------
    alpha, rho, a, c : Range
        Of the learnable parameters. Outside a parameter has no gradient; with a < 0 the state may
        grow without bound.
    surrogate : Surrogate
        Stands in for the derivative of the step function.
    """

    name: ClassVar[str] = "adaptive_current"
    learnable: ClassVar[tuple[str, ...]] = ("alpha", "rho", "a", "c")

    alpha: Range = _ALPHA
    rho: Range = _RHO
    a: Range = Range(0.0, 1.0)
    c: Range = Range(0.0, 2.0)
    surrogate: Surrogate = MULTI_GAUSSIAN

    @property
    def constants(self) -> tuple[float, ...]:
        """What kernels need to know beside the learnable parameters: nothing."""
        return ()

    @property
    def ranges(self) -> dict[str, Range]:
        """The ranges of the learnable parameters by name."""
        return {name: getattr(self, name) for name in self.learnable}

    def draw(self, count: int) -> dict[str, nn.Parameter]:
        """Return the learnable parameters of ``count`` fresh neurons by name, each (count,)."""
        return {name: limits.draw(count) for name, limits in self.ranges.items()}

    def rows(self, learnt: Iterable[Tensor]) -> Tensor:
        """Return alpha, rho, a and c within their ranges as (L, H); ``learnt`` are L of (H,)."""
        within = zip(learnt, self.ranges.values(), strict=True)
        return torch.stack(
            [values.clamp(limits.lowest, limits.highest) for values, limits in within]
        )

    def initial_state(self, current: Tensor) -> State:
        """Return the state before the first step, all zeros, for any current (B, H)."""
        return State(*(torch.zeros_like(current) for _ in State._fields))

    def firing_threshold(self, adaptation: Tensor) -> Tensor:
        """Return what the potential is compared with, given the adaptation of the same step: 1."""
        return torch.ones_like(adaptation)

    def step(self, current: Tensor, state: State, rows: Tensor) -> State:
        """Advance a layer by one time step, see `AdaptiveThreshold.step`."""
        alpha, rho, a, c = rows
        adapted = rho * state.adaptation + a * state.potential + c * state.spikes
        remaining = state.potential - state.spikes
        potential = alpha * remaining + (1 - alpha) * (current - adapted)
        return State(spike(potential - 1, self.surrogate), potential, adapted)


Neuron = AdaptiveThreshold | AdaptiveCurrent
"""Either kind."""

NEURONS: dict[str, type[Neuron]] = {
    each.name: each for each in (AdaptiveThreshold, AdaptiveCurrent)
}
"""The kinds by name."""
