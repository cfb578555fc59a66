# SPDX-License-Identifier: MPL-2.0
"""The layers: spiking neurons, feed-forward or recurrent, and the leaky readout.

Legend: T time steps, B batch, I inputs, H neurons, K classes.
"""

from dataclasses import dataclass
from typing import Literal, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.jit._trace import is_tracing

from srnn.network.learnable import Learnable
from srnn.network.neurons import AdaptiveThreshold, Neuron, Normal, State
from srnn.network.ops import BACKENDS


class CurrentNorm(nn.Module):
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

    def weights(self, weight: Tensor, inputs: Tensor, backend: str) -> tuple[Tensor, Tensor]:
        """Return weight (H, I) and bias (H,) whose product with inputs (T, B, I) is normalised.

        For many neurons: their currents need not be there twice, nor go through memory at all.
        """
        if not self.training or inputs.shape[1] == 0:  # no clips have no moments
            return self.fold(weight)
        # The currents' moments follow from those of the inputs, which are fewer or sparse.
        mean, covariance = BACKENDS[backend].moments(inputs)
        mean = weight @ mean
        variance = ((weight @ covariance) * weight).sum(dim=1).clamp(min=0)
        self._track(mean, variance, len(inputs) * inputs.shape[1])
        return self._fold(weight, mean, variance)

    def fold(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return weight and bias that normalise by the running averages."""
        return self._fold(weight, self.mean, self.variance)

    def _fold(self, weight: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        scale = self.weight * torch.rsqrt(variance + self.epsilon)
        return scale[:, None] * weight, self.bias - scale * mean

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        self.mean.lerp_(mean, self.momentum)
        self.variance.lerp_(variance * (count / max(1, count - 1)), self.momentum)


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
        if self.recurrent is None:
            nn.init.xavier_normal_(self.input.weight)
            _zero_bias(self.input)
        else:
            self.neuron.start_recurrent(self.recurrent.weight)
            _zero_bias(self.recurrent)

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
        """Refuse `torch.jit.script`, which asks for this method."""
        _refuse_jit()

    def fold(self) -> None:
        """Fold the normalisation, by its running averages, into weights and biases, and remove it.

        The layer is then one with biases that has never had a normalisation.
        """
        if self.norm is None:
            return
        self.input = _linear(*self.norm.fold(self.input.weight))
        if self.recurrent is not None:
            weight = self.recurrent.weight
            self.recurrent = _linear(weight, weight.new_zeros(len(weight)))
        self.norm = None


def _refuse_jit() -> NoReturn:
    raise RuntimeError("srnn: torch.jit is not supported: use torch.compile or torch.export")


@dataclass(frozen=True)
class Readout:
    """How potentials of the readout become scores of the classes.

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
        _zero_bias(self.output)

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

    def potentials(self, spikes: Tensor) -> Tensor:
        """Map spikes (T, B, H), T >= 1, to the potentials u of all steps, (T, B, K)."""
        alpha, gained = torch.exp(-1 / self.tau_mem), -torch.expm1(-1 / self.tau_mem)
        current = self._current(spikes)
        potential, potentials = torch.zeros_like(current[0]), []
        for inflow in current:
            potential = alpha * potential + gained * inflow
            potentials.append(potential)
        return torch.stack(potentials)

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
            self.output = _linear(*self.norm.fold(self.output.weight))
            self.norm = None


def _zero_bias(layer: nn.Linear) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight = nn.Parameter(weight.detach().clone())
    layer.bias = nn.Parameter(bias.detach().clone())
    return layer
