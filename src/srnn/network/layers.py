# SPDX-License-Identifier: MPL-2.0
"""The layers: adaptive LIF neurons, feed-forward or recurrent, and the leaky readout.

Legend: T time steps, B batch, I inputs, H neurons, K classes.
"""

import torch
from torch import Tensor, nn

from srnn.network.neuron import Neuron, Spread, State
from srnn.network.ops import BACKENDS


class AdaptiveLIF(nn.Module):
    """A layer of adaptive LIF neurons, used like `torch.nn.LSTM` (time first).

    Parameters
    ----------
    input_size, hidden_size : int
        Inputs I and neurons H.
    recurrent : bool
        Whether each neuron also sees the spikes of all neurons one step earlier.
    bias : bool
        Whether the products with the weights have biases.
    neuron : Neuron
        Constants of the neuron.
    backend : "auto" or "reference"
        See `srnn.network.ops.BACKENDS`.

    Examples
    --------
    >>> layer = AdaptiveLIF(120, 256, recurrent=True)
    >>> spikes, state = layer(torch.randn(101, 8, 120))
    >>> spikes.shape
    torch.Size([101, 8, 256])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        recurrent: bool = False,
        bias: bool = True,
        neuron: Neuron | None = None,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.backend = backend
        self.neuron = neuron or Neuron()
        self.input = nn.Linear(input_size, hidden_size, bias)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias) if recurrent else None
        self.tau_mem = self.neuron.tau_mem.draw(hidden_size)
        self.tau_adapt = self.neuron.tau_adapt.draw(hidden_size)
        # The reference's choices: the input weights of a recurrent layer keep torch's default.
        if self.recurrent is None:
            nn.init.xavier_normal_(self.input.weight)
            _zero_bias(self.input)
        else:
            nn.init.kaiming_normal_(self.recurrent.weight)
            _zero_bias(self.recurrent)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run the layer over a sequence.

        Parameters
        ----------
        inputs : Tensor, shape (T, B, I)
        state : State, optional
            What an earlier call returned, to go on from there; at rest if not given.

        Returns
        -------
        spikes : Tensor, shape (T, B, H), of zeros and ones
        state : State
            The state after the last step.
        """
        weight: Tensor | None = None
        bias: Tensor | None = self.input.bias
        if self.recurrent is not None:
            weight = self.recurrent.weight
            if bias is not None:
                bias = bias + self.recurrent.bias
        spikes, state = BACKENDS[self.backend].alif_layer(
            inputs,
            self.input.weight,
            bias,
            weight,
            self.tau_mem,
            self.tau_adapt,
            self.neuron.surrogate,
            state,
            threshold=self.neuron.threshold,
            adaptation=self.neuron.adaptation,
        )
        return spikes, state


class LeakyReadout(nn.Module):
    """Non-spiking leaky integrators, one a class, and their mean over time.

    u_t = alpha u_{t-1} + (1 - alpha)(W s_t + b), u_{-1} = 0; the output is the mean of u over the
    T steps. As u is linear in the spikes, that mean is (1/T) sum_t (1 - alpha^(T-t))(W s_t + b):
    no loop is needed.

    Parameters
    ----------
    input_size, classes : int
        Inputs H and classes K.
    bias : bool
        Whether the product with the weights has a bias.
    tau : Spread
        Where the time constants start, in time steps.
    backend : "auto" or "reference"
        See `srnn.network.ops.BACKENDS`.
    """

    def __init__(
        self,
        input_size: int,
        classes: int,
        *,
        bias: bool = True,
        tau: Spread | None = None,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.backend = backend
        self.output = nn.Linear(input_size, classes, bias)
        self.tau_mem = (tau or Spread(10.0, 1.0)).draw(classes)
        nn.init.xavier_normal_(self.output.weight)
        _zero_bias(self.output)

    def forward(self, spikes: Tensor) -> Tensor:
        """Map spikes (T, B, H) to mean potentials (B, K)."""
        steps = len(spikes)
        remaining = torch.arange(-steps, 0, device=spikes.device)[:, None]  # (T, 1): t - T
        # (T, K): how much of the current of each step, 1 - alpha^(T - t), is in the mean potential
        share = torch.expm1(remaining / self.tau_mem) / -steps
        current: Tensor = BACKENDS[self.backend].spike_linear(
            spikes, self.output.weight, self.output.bias
        )
        return (share[:, None] * current).sum(dim=0)


def _zero_bias(layer: nn.Linear) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
