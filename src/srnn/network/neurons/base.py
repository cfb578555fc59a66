# SPDX-License-Identifier: MPL-2.0
"""What a kind of neuron is: the base class of all, and the state of a layer.

Legend: B batch, H neurons, L learnable parameters of a neuron.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.utils._pytree import _register_namedtuple as register_namedtuple

from srnn.network.learnable import Learnable
from srnn.network.neurons.distributions import Normal, Uniform
from srnn.network.surrogate import MULTI_GAUSSIAN, Surrogate
from srnn.settings import Keys


class State(NamedTuple):
    """What a layer of neurons carries from one time step to the next; each of shape (B, H).

    Attributes
    ----------
    spikes : Tensor
        1 where the neuron fires, else 0.
    potential : Tensor
        The membrane potential.
    adaptation : Tensor
        A second variable; zeros in a kind without adaptation.
    """

    spikes: Tensor
    potential: Tensor
    adaptation: Tensor


register_namedtuple(State, serialized_type_name="srnn.State")  # for torch.export.save


class Update(NamedTuple):
    """Arithmetic and memory accesses of the update of one neuron in one time step.

    Its input current is there already. A weighted sum ``x a + (1 - x) b`` is counted as
    ``b + x (a - b)``: one multiplication and two additions. A spike is 0 or 1, so that a product
    with it is no multiplication: the addition takes place or not, and is counted always. Comparing
    with the threshold counts as an addition, as it is a subtraction.

    Attributes
    ----------
    multiplications, additions : int
    state : int
        Numbers that are read and written. Spikes are bits, and not counted.
    parameters : int
        Numbers that are read and differ from neuron to neuron.
    """

    multiplications: int
    additions: int
    state: int
    parameters: int


class Neuron(ABC):
    """A kind of spiking neuron: its constants, its learnable parameters and one time step.

    A subclass is a frozen dataclass. It has an attribute for each constant and, for each learnable
    parameter, the distribution from which that parameter is drawn; it defines `parameters`,
    `firing_threshold` and `step`. Its attribute values compare equal if the neurons do.

    Attributes
    ----------
    name : str
        Name of the kind in configurations and checkpoints.
    summary : str
        What it is, in a few words, for the key reference.
    learnable : tuple of str
        Names of the learnable parameters of a neuron; each is an attribute with a distribution.
    keys : type
        The keys of the table [srnn] that `from_keys` reads, as a class of them; without any by
        default.
    surrogate : Surrogate
        Replaces the derivative of the step function.
    """

    name: ClassVar[str]
    summary: ClassVar[str] = "a neuron model of your own"
    learnable: ClassVar[tuple[str, ...]]
    keys: ClassVar[type[Keys]] = Keys

    surrogate: Surrogate = MULTI_GAUSSIAN

    @classmethod
    def from_keys(cls, keys: Any, surrogate: Surrogate) -> Self:
        """Return the neuron that the keys of a configuration describe; by default no key is read.

        Parameters
        ----------
        keys : an instance of ``cls.keys``
        surrogate : Surrogate
        """
        return cls(surrogate=surrogate)  # type: ignore[call-arg] # a dataclass has it

    @property
    def constants(self) -> tuple[float, ...]:
        """The constants that kernels need, in the order in which they receive them."""
        return ()

    @property
    def update(self) -> Update | None:
        """Arithmetic and memory accesses of one update, from which energy is computed.

        None, the default: unknown, and no energy is reported.
        """
        return None

    def distribution(self, name: str) -> Normal | Uniform:
        """Return the distribution that the learnable parameter ``name`` is drawn from."""
        found: Normal | Uniform = getattr(self, name)
        return found

    def draw(self, count: int) -> dict[str, nn.Parameter]:
        """Return the learnable parameters of ``count`` fresh neurons by name, each (count,)."""
        return {name: self.distribution(name).draw(count) for name in self.learnable}

    def learnables(self) -> dict[str, Learnable]:
        """Return optimizer group and bounds of each learnable parameter."""
        drawn_from = {name: self.distribution(name) for name in self.learnable}
        return {
            name: Learnable(each.group or name, each.bounds) for name, each in drawn_from.items()
        }

    def time_constants(self, learnt: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the time constants (time steps) among the learnable parameters, each (H,).

        By default they are those whose names begin with ``tau_``.
        """
        return {name: each for name, each in learnt.items() if name.startswith("tau_")}

    def start_recurrent(self, weight: Tensor) -> None:
        """Draw the recurrent weight (H, H) of a fresh layer, in place."""
        nn.init.kaiming_normal_(weight)

    def initial_state(self, current: Tensor) -> State:
        """Return the state before the first step: zeros.

        Parameters
        ----------
        current : Tensor, shape (B, H)
            Any current of the layer: gives the state its shape, type and device.
        """
        return State(*(torch.zeros_like(current) for _ in State._fields))

    @abstractmethod
    def parameters(self, learnt: Iterable[Tensor]) -> Tensor:
        """Return the parameters of the equations as (L, H), given the L learnable ones of (H,).

        The first one is alpha, which weighs the input current by 1 - alpha, in kinds with kernels.
        """

    @abstractmethod
    def firing_threshold(self, adaptation: Tensor) -> Tensor:
        """Return the threshold of the potential, given the adaptation of the same step."""

    @abstractmethod
    def step(self, current: Tensor, state: State, parameters: Tensor) -> State:
        """Return the state of a layer one time step later.

        Parameters
        ----------
        current : Tensor, shape (B, H)
            Input current of this step, recurrent current and biases included (I_t).
        state : State
            State after the previous step.
        parameters : Tensor, shape (L, H)
            What `parameters` returned.
        """


def decay(tau: Tensor) -> Tensor:
    """Return exp(-1 / tau), the decay factor of one time step; ``tau`` > 0 in time steps."""
    return torch.exp(-1 / tau)
