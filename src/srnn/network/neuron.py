# SPDX-License-Identifier: MPL-2.0
"""The adaptive leaky integrate-and-fire neuron: constants, state, and the equations of one step.

Source: Yin, Corradi and Bohté, "Accurate and efficient time-domain classification with adaptive
spiking recurrent neural networks", Nature Machine Intelligence 3, 905-913 (2021), in the discrete
form of their implementation. The paper's symbols here:

    tau_m, tau_adp   tau_mem, tau_adapt    time constants of membrane and threshold (time steps)
    alpha, rho       alpha, rho            what is left of either after one step: exp(-1 / tau)
    b_0, beta        threshold, adaptation resting threshold, and how far a spike raises it
    eta (or b)       adaptation (state)    a low-pass filter of the neuron's own spikes
    u (or v)         potential             the membrane potential
    S                spikes                1 where the neuron fires, else 0

Legend: B batch, H neurons.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from srnn.network.surrogate import MULTI_GAUSSIAN, Surrogate, spike

THRESHOLD = 1.6
ADAPTATION = 0.184


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
class Neuron:
    """The adaptive-threshold neuron's constants; the defaults are the paper's.

    Attributes
    ----------
    threshold, adaptation : float
        Resting threshold, and how much the adaptation raises it (see `step`).
    tau_mem, tau_adapt : Spread
        Where the time constants of membrane and threshold start, in time steps.
    surrogate : Surrogate
        Stands in for the derivative of the step function.
    """

    threshold: float = THRESHOLD
    adaptation: float = ADAPTATION
    tau_mem: Spread = Spread(20.0, 5.0)
    tau_adapt: Spread = Spread(200.0, 50.0)
    surrogate: Surrogate = MULTI_GAUSSIAN


class State(NamedTuple):
    """What a layer of neurons carries from one time step to the next; each of shape (B, H)."""

    spikes: Tensor
    potential: Tensor
    adaptation: Tensor


def initial_state(current: Tensor, threshold: float = THRESHOLD) -> State:
    """Return the state before the first step: silent, at rest, the adaptation at ``threshold``.

    Parameters
    ----------
    current : Tensor, shape (B, H)
        Any current of the layer: gives the state its shape, type and device.
    threshold : float > 0
        The resting threshold, which is also where the reference starts the adaptation.
    """
    return State(
        spikes=torch.zeros_like(current),
        potential=torch.zeros_like(current),
        adaptation=torch.full_like(current, threshold),
    )


def decay(tau: Tensor) -> Tensor:
    """Return what is left after one time step of something that decays with ``tau`` > 0 steps."""
    return torch.exp(-1 / tau)


def step(
    current: Tensor,
    state: State,
    alpha: Tensor,
    rho: Tensor,
    surrogate: Surrogate,
    *,
    threshold: float = THRESHOLD,
    adaptation: float = ADAPTATION,
) -> State:
    """Advance a layer of adaptive-threshold neurons by one time step.

    Parameters
    ----------
    current : Tensor, shape (B, H)
        Input current of this step, everything included (I_t).
    state : State
        State after the previous step.
    alpha, rho : Tensor, shape (H,), in (0, 1)
        Decay of the potential and of the adaptation, see `decay`.
    surrogate : Surrogate
        Stands in for the derivative of the step function.
    threshold : float > 0
        Resting threshold.
    adaptation : float >= 0
        How much the adaptation raises the threshold.
    """
    adapted = rho * state.adaptation + (1 - rho) * state.spikes
    raised = threshold + adaptation * adapted
    potential = alpha * state.potential + (1 - alpha) * current - raised * state.spikes
    return State(spike(potential - raised, surrogate), potential, adapted)
