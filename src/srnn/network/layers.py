# SPDX-License-Identifier: MPL-2.0
"""The layer of spiking neurons, feed-forward or recurrent.

Legend: T time steps, B batch, I inputs, H neurons.
"""

from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.jit._trace import is_tracing

from srnn.network.learnable import Learnable
from srnn.network.neurons import AdaptiveThreshold, Neuron, State
from srnn.network.norm import CurrentNorm, linear, zero_bias
from srnn.network.ops import BACKENDS


class AdaptiveLIF(nn.Module):
    """A layer of adaptive LIF neurons, used like `torch.nn.LSTM` (time first).

    Parameters
    ----------
    input_size, hidden_size : int
        Inputs I and neurons H.
    recurrent : bool
        Whether each neuron also receives the spikes of all neurons one step earlier.
    bias : bool
        Whether the products with the weights have biases. With ``batch_norm`` none has: the biases
        of the normalisation replace them.
    batch_norm : bool
        Whether the input current is normalised, see `CurrentNorm`.
    neuron : Neuron
        The kind of neurons, and their constants; `AdaptiveThreshold` by default.
    backend : "auto" or "reference"
        See `srnn.network.ops.BACKENDS`.

    Examples
    --------
    >>> layer = AdaptiveLIF(120, 256, recurrent=True)
    >>> spikes, state = layer(torch.randn(101, 8, 120))
    >>> spikes.shape
    torch.Size([101, 8, 256])
    """

    # Each kind of neuron has parameters of its own; these are the first kind's.
    tau_mem: nn.Parameter
    tau_adapt: nn.Parameter

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        recurrent: bool = False,
        bias: bool = True,
        batch_norm: bool = False,
        neuron: Neuron | None = None,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.backend = backend
        self.neuron = neuron or AdaptiveThreshold()
        bias = bias and not batch_norm
        self.input = nn.Linear(input_size, hidden_size, bias)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias) if recurrent else None
        self.norm = CurrentNorm(hidden_size) if batch_norm else None
        for name, values in self.neuron.draw(hidden_size).items():
            self.register_parameter(name, values)
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Draw the weights that do not keep torch's default, as the sources of the neurons do."""
        if self.input.weight.is_meta:  # there are no numbers
            return
        if self.recurrent is None:
            nn.init.xavier_normal_(self.input.weight)
            zero_bias(self.input)
        else:
            self.neuron.start_recurrent(self.recurrent.weight)
            zero_bias(self.recurrent)

    def learnables(self) -> dict[str, Learnable]:
        """Return optimizer group and bounds of the neurons' parameters."""
        return self.neuron.learnables()

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run the layer over a sequence.

        Under autocast it computes in the type of its parameters all the same: the potentials of
        half-precision neurons would hardly move.

        Parameters
        ----------
        inputs : Tensor, shape (T, B, I), or (T, I) without a batch; T >= 1
        state : State, optional
            The state that an earlier call returned; ``neuron.initial_state`` if not given.

        Returns
        -------
        spikes : Tensor, shape (T, B, H), or (T, H), of zeros and ones
        state : State
            The state after the last step.

        Raises
        ------
        RuntimeError
            If shapes, types or devices of inputs, state and parameters do not fit each other, or
            under `torch.jit`.
        """
        if is_tracing():
            _refuse_jit()
        if inputs.dim() == 2:
            state = None if state is None else State(*(each[None] for each in state))
            spikes, state = self.forward(inputs[:, None], state)
            return spikes[:, 0], State(*(each[0] for each in state))
        device = inputs.device.type
        if device in ("cpu", "cuda") and torch.is_autocast_enabled(device):
            kind = self.input.weight.dtype
            state = None if state is None else State(*(each.to(kind) for each in state))
            with torch.autocast(device, enabled=False):
                return self._run(inputs.to(kind), state)
        return self._run(inputs, state)

    def _run(self, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
        weight, bias, recurrent_weight, parameters = self.weights(inputs)
        spikes, state = BACKENDS[self.backend].layer(
            inputs, weight, bias, recurrent_weight, parameters, self.neuron, state
        )
        return spikes, state

    def weights(self, inputs: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor]:
        """Return the weights and parameters for inputs (T, B, I), as the operators receive them.

        Returns
        -------
        weight : Tensor, shape (H, I)
        bias : Tensor, shape (H,), or None
            The sum of the biases.
        recurrent_weight : Tensor, shape (H, H), or None
        parameters : Tensor, shape (L, H)
            Those of the neurons: what ``neuron.parameters`` returns.
        """
        weight: Tensor = self.input.weight
        bias: Tensor | None = self.input.bias
        recurrent_weight: Tensor | None = None
        if self.recurrent is not None:
            recurrent_weight = self.recurrent.weight
            if bias is not None:
                bias = bias + self.recurrent.bias
        if self.norm is not None:
            weight, bias = self.norm.weights(weight, inputs, self.backend)
        parameters = self.neuron.parameters(getattr(self, name) for name in self.neuron.learnable)
        return weight, bias, recurrent_weight, parameters

    def __prepare_scriptable__(self) -> NoReturn:
        """Refuse `torch.jit.script`, which calls this method."""
        _refuse_jit()

    def fold(self) -> None:
        """Fold the normalisation, by its running averages, into weights and biases, and remove it.

        The layer is then one with biases that has never had a normalisation.
        """
        if self.norm is None:
            return
        self.input = linear(*self.norm.fold(self.input.weight))
        if self.recurrent is not None:
            weight = self.recurrent.weight
            self.recurrent = linear(weight, weight.new_zeros(len(weight)))
        self.norm = None


def _refuse_jit() -> NoReturn:
    raise RuntimeError("srnn: torch.jit is not supported: use torch.compile or torch.export")
