# SPDX-License-Identifier: MPL-2.0
"""The whole network: encoder, hidden layers, readout.

Legend: T time steps, B batch, C channels, M mel bands, F = C * M inputs, H neurons, K classes.
"""

import copy
import itertools
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self

import torch
import torch.nn.functional as F
from pydantic import AfterValidator, Field, Strict
from pydantic_core import PydanticCustomError
from torch import Tensor, nn
from torch.utils._pytree import _register_namedtuple as register_namedtuple

from srnn.network.dropout import drop
from srnn.network.encoder import EncoderKeys, TernaryEncoder
from srnn.network.layers import AdaptiveLIF
from srnn.network.neurons import NEURONS, AdaptiveThreshold, Neuron
from srnn.network.readout import LeakyReadout, Readout, ReadoutKeys
from srnn.network.surrogate import SURROGATES
from srnn.parallel import Share
from srnn.settings import BrokenRelation, Keys, key

_Size = Annotated[int, Field(ge=1, le=4096)]
_Sizes = Annotated[tuple[_Size, ...], Strict(False), Field(min_length=1)]
_Switches = Annotated[tuple[bool, ...], Strict(False), Field(min_length=1)]


def _expect_known(name: str) -> str:
    if name not in NEURONS:
        raise PydanticCustomError("neuron", "unknown kind of neuron")
    return name


_NeuronName = Annotated[str, AfterValidator(_expect_known)]


class LayersKeys(Keys):
    """The hidden layers; each kind of neuron has keys of its own."""

    network_size: _Size | _Sizes = key(
        256,
        "number of neurons of each hidden layer, first to last; a single number N means [N, N]",
        "neurons",
        shapes_weights=True,
    )
    recurrent: Literal["auto"] | _Switches = key(
        "auto",
        "recurrent connections: one true or false for each hidden layer; `auto`: all layers "
        "but the first are recurrent",
        shapes_weights=True,
    )
    neuron: _NeuronName = key(
        "adaptive_threshold",
        "neuron model of the hidden layers",
        shapes_weights=True,
    )
    surrogate: Literal["multi_gaussian", "gaussian", "linear", "slayer"] = key(
        "multi_gaussian",
        "surrogate gradient: function that replaces the derivative of the spike in the "
        "backward pass",
    )
    bias: bool = key(
        True,
        "whether the layers have biases",
        shapes_weights=True,
        idle_if={"srnn.batch_norm": True},
    )
    batch_norm: bool = key(
        False,
        "batch normalisation of the feed-forward input currents of each hidden layer, over "
        "batch and time; the layers then have no biases",
        shapes_weights=True,
    )
    dropout: float = key(
        0.0,
        "dropout probability of the spikes of hidden neurons; a neuron is dropped for a whole clip",
        ge=0,
        lt=1,
    )
    unknown_readouts: int = key(
        1,
        "number of outputs for `_unknown_`: one for each of its words with the most training "
        "clips, the last for all other words; their probabilities are summed",
        "outputs",
        ge=1,
        le=1000,
    )
    backend: Literal["auto", "reference"] = key(
        "auto",
        "implementation of the network: `auto`, the compiled kernels of the device; "
        "`reference`, the definition in plain PyTorch (slow)",
    )

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Number of neurons of each hidden layer, first to last."""
        if isinstance(self.network_size, int):
            return (self.network_size, self.network_size)
        return self.network_size

    @property
    def recurrent_layers(self) -> tuple[bool, ...]:
        """Whether each hidden layer is recurrent, first to last."""
        if isinstance(self.recurrent, tuple):
            return self.recurrent
        return tuple(depth > 0 for depth in range(len(self.layer_sizes)))

    def broken_relations(self) -> Iterator[BrokenRelation]:
        """Yield an error unless there is one recurrence switch for each layer."""
        if len(self.recurrent_layers) != len(self.layer_sizes):
            yield BrokenRelation(
                ("srnn.recurrent", "srnn.network_size"),
                f"a value for each of the {len(self.layer_sizes)} hidden layers",
                self.recurrent,
            )


class NetworkKeys(EncoderKeys, ReadoutKeys, LayersKeys):
    """The network."""


class Output(NamedTuple):
    """The output of a network for a batch.

    Attributes
    ----------
    log_probs : Tensor, shape (B, R)
        Log-probabilities of the outputs.
    classes : int
        Number of classes K. Outputs from index K - 1 on belong to the last class.
    inputs : Tensor, shape (T, B, F)
        Input of the first layer: events, or features.
    hidden : tuple of Tensor, each of shape (T, B, H)
        The spikes of each hidden layer, none dropped.
    """

    log_probs: Tensor
    classes: int
    inputs: Tensor
    hidden: tuple[Tensor, ...]

    @property
    def log_probabilities(self) -> Tensor:
        """Log-probabilities of the classes, shape (B, K)."""
        return of_classes(self.log_probs, self.classes)

    @property
    def spikes(self) -> Tensor:
        """Spikes of each hidden layer for each clip, shape (hidden layers, B), without a graph."""
        return torch.stack([spikes.detach().sum(dim=(0, 2)) for spikes in self.hidden])

    @property
    def last_spikes(self) -> Tensor:
        """Of these, the spikes in the last time step, shape (hidden layers, B)."""
        return torch.stack([spikes.detach()[-1].sum(dim=1) for spikes in self.hidden])

    @property
    def firing_rate(self) -> Tensor:
        """Spikes per neuron and time step of all layers together, shape (), without a graph."""
        return self.spikes.sum() / sum(spikes.numel() for spikes in self.hidden)

    @property
    def firing_rates(self) -> Tensor:
        """Spikes per neuron and time step of each layer, shape (hidden layers,), differentiable."""
        return torch.stack([spikes.mean() for spikes in self.hidden])


def of_classes(log_probs: Tensor, classes: int) -> Tensor:
    """Map log-probabilities of outputs (..., R) to those of classes (..., K).

    Outputs from index K - 1 on belong to the last class.
    """
    if log_probs.shape[-1] == classes:
        return log_probs
    last = log_probs[..., classes - 1 :].logsumexp(dim=-1, keepdim=True)
    return torch.cat([log_probs[..., : classes - 1], last], dim=-1)


register_namedtuple(Output, serialized_type_name="srnn.Output")  # for torch.export.save


class Operations(NamedTuple):
    """Synaptic operations of inputs and spikes.

    Attributes
    ----------
    accumulates : float
        Additions of a weight: one for each event or spike and each neuron that it is sent to.
    multiply_accumulates : float
        Additions of the product of a weight and a feature, where features are not encoded.
    """

    accumulates: float
    multiply_accumulates: float


class SpikingNetwork(nn.Module):
    """An adaptive spiking recurrent network for classifying feature maps of sound.

    Features are encoded as ternary events, or drive the first layer as a current; they go through
    layers of adaptive LIF neurons and are read out by leaky integrators, whose potentials give the
    class. The defaults are the network of Yin, Corradi and Bohté 2021.

    Parameters
    ----------
    input_size : int
        Inputs of a time step, F.
    hidden_sizes : sequence of int
        Neurons of each hidden layer.
    classes : int
        Classes K.
    last_class_readouts : int >= 1
        Outputs of the last class; their probabilities are summed. The network has
        R = K - 1 + ``last_class_readouts`` outputs.
    bias : bool
        Whether the products with the weights have biases.
    neuron : Neuron
        The kind of the hidden neurons, and their constants.
    recurrent : sequence of bool, optional
        Which hidden layers are recurrent; by default all but the first.
    batch_norm : bool
        Whether the currents from below, also the readout's, are normalised over time steps and
        clips, see `srnn.network.norm.CurrentNorm`.
    dropout : float, 0 <= dropout < 1
        Fraction of the neurons of each hidden layer that are dropped in training, drawn from
        torch's global random generator; the spikes of the others are scaled up.
    encoder_threshold : float >= 0, or None
        Where the encoder's threshold starts; None: the features are the input, without an encoder.
    readout : Readout
        How the potentials of the readout become scores of the classes.
    backend : "auto" or "reference"
        See `srnn.network.ops.BACKENDS`.
    """

    encoder: Any  # TernaryEncoder or nn.Identity

    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int],
        classes: int,
        *,
        last_class_readouts: int = 1,
        bias: bool = True,
        neuron: Neuron | None = None,
        recurrent: Sequence[bool] | None = None,
        batch_norm: bool = False,
        dropout: float = 0.0,
        encoder_threshold: float | None = 0.05,
        readout: Readout | None = None,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        neuron = neuron or AdaptiveThreshold()
        self.encoder = (
            nn.Identity()
            if encoder_threshold is None
            else TernaryEncoder(encoder_threshold, neuron.surrogate, backend=backend)
        )
        self.input_size = input_size
        self.hidden_sizes = tuple(hidden_sizes)
        self.classes = classes
        self.dropout = dropout
        self.backend = backend
        if recurrent is None:
            recurrent = [depth > 0 for depth in range(len(hidden_sizes))]
        sizes = [input_size, *hidden_sizes]
        self.hidden = nn.ModuleList(
            AdaptiveLIF(
                below,
                above,
                recurrent=recurs,
                bias=bias,
                batch_norm=batch_norm,
                neuron=neuron,
                backend=backend,
            )
            for (below, above), recurs in zip(itertools.pairwise(sizes), recurrent, strict=True)
        )
        self.readout = LeakyReadout(
            sizes[-1],
            classes - 1 + last_class_readouts,
            bias=bias,
            batch_norm=batch_norm,
            readout=readout,
            backend=backend,
        )

    @classmethod
    def from_keys(cls, keys: NetworkKeys, input_size: int, classes: int) -> Self:
        """Return the network that the keys describe, with fresh weights.

        They are drawn from torch's global random generator.
        """
        return cls(
            input_size,
            keys.layer_sizes,
            classes,
            last_class_readouts=keys.unknown_readouts,
            bias=keys.bias,
            neuron=NEURONS[keys.neuron].from_keys(keys, SURROGATES[keys.surrogate]),
            recurrent=keys.recurrent_layers,
            batch_norm=keys.batch_norm,
            dropout=keys.dropout,
            encoder_threshold=keys.encoder_threshold if keys.encoder == "ternary" else None,
            readout=Readout.from_keys(keys),
            backend=keys.backend,
        )

    def forward(self, features: Tensor, share: Share | None = None) -> Output:
        """Classify a batch of normalised features of shape (B, C, T, M), C * M = F.

        Parameters
        ----------
        features : Tensor
        share : Share, optional
            The place of these clips in the batch, if several processes share it.

        Raises
        ------
        RuntimeError
            If the features have another shape.
        """
        if features.dim() != 4 or features.shape[1] * features.shape[3] != self.input_size:
            raise RuntimeError(
                f"srnn: expected features of shape (B, C, T, M) with C * M = {self.input_size}, "
                f"found {tuple(features.shape)}"
            )
        inputs = below = self.encode(features)  # (T, B, F)
        hidden = []
        for layer in self.hidden:
            spikes, _ = layer(below)  # (T, B, H)
            hidden.append(spikes)
            below = drop(spikes, self.dropout, share) if self.dropout and self.training else spikes
        log_probs = F.log_softmax(self.readout(below), dim=-1)
        return Output(log_probs, self.classes, inputs, tuple(hidden))

    def encode(self, features: Tensor) -> Tensor:
        """Return the input of the first layer, (T, B, F), given features (B, C, T, M)."""
        inputs: Tensor = self.encoder(features.transpose(1, 2).flatten(2))  # channel by channel
        return inputs.transpose(0, 1)

    def operations(
        self, inputs: float, spikes: Sequence[float], last: Sequence[float] | None = None
    ) -> Operations:
        """Return the synaptic operations of inputs, and of spikes of each hidden layer.

        Parameters
        ----------
        inputs : float >= 0
            Inputs of the first layer that are not 0.
        spikes : sequence of float >= 0, one a hidden layer
        last : sequence of float >= 0, one a hidden layer, optional
            Of these spikes, those in the last time step of a clip. Recurrent connections would
            deliver them in the next step, which never comes. None are, in a stream that goes on.
        """
        accumulates, products = zip(*self.operations_by_layer(inputs, spikes, last), strict=True)
        return Operations(sum(accumulates), sum(products))

    def operations_by_layer(
        self, inputs: float, spikes: Sequence[float], last: Sequence[float] | None = None
    ) -> tuple[Operations, ...]:
        """Return the synaptic operations of the hidden layers, first to last, and the readout.

        An operation belongs to the layer that has the weight. The parameters are those of
        `operations`, which returns the sum.
        """
        counted = []
        for depth, layer in enumerate(self.hidden):
            assert isinstance(layer, AdaptiveLIF)
            size, delivered = self.hidden_sizes[depth], 0.0
            if layer.recurrent is not None:
                delivered = spikes[depth] - (0.0 if last is None else last[depth])
            if depth == 0 and not isinstance(self.encoder, TernaryEncoder):
                counted.append(Operations(delivered * size, inputs * size))
            else:
                below = inputs if depth == 0 else spikes[depth - 1]
                counted.append(Operations((below + delivered) * size, 0.0))
        return *counted, Operations(spikes[-1] * self.outputs, 0.0)

    @property
    def outputs(self) -> int:
        """Outputs R of the readout."""
        return len(self.readout.tau_mem)

    def folded(self) -> "SpikingNetwork":
        """Return an equivalent network in evaluation, with the batch normalisation folded in.

        It has the parameters, by name and shape, of a network with biases that was made without
        ``batch_norm``. One without it is only copied.
        """
        network = copy.deepcopy(self).eval()
        for module in network.modules():
            if isinstance(module, AdaptiveLIF | LeakyReadout):
                module.fold()
        return network
