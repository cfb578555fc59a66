# SPDX-License-Identifier: MPL-2.0
"""The counts of a spiking network: by its spikes, or densely.

Legend: T time steps, I inputs of a layer, F inputs of the first, H neurons, R outputs.
"""

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn

from srnn.energy.counts import Counts, layer, with_bias
from srnn.network.encoder import TernaryEncoder
from srnn.network.layers import AdaptiveLIF
from srnn.network.model import Operations, SpikingNetwork
from srnn.network.neurons import Update
from srnn.network.readout import LeakyReadout

_ENCODER = Update(multiplications=0, additions=2, state=0, parameters=0)  # two comparisons


class Inference(NamedTuple):
    """What is counted while a network classifies a clip: means over clips.

    Attributes
    ----------
    steps : int
        Time steps T.
    inputs : float
        Inputs of the first layer that are not 0: events, or features.
    spikes : tuple of float
        Spikes of each hidden layer.
    last : tuple of float
        Of these, the spikes in the last time step.
    """

    steps: int
    inputs: float
    spikes: tuple[float, ...]
    last: tuple[float, ...]


def counts(network: SpikingNetwork, inference: Inference) -> list[Counts]:
    """Return the counts of each layer: encoder if there is one, hidden layers, readout.

    Synaptic operations are those of `SpikingNetwork.operations_by_layer`, updates those of
    `Neuron.update`, for all neurons and time steps, whether they fire or not.
    """
    steps, inputs, spikes, last = inference
    has_encoder = isinstance(network.encoder, TernaryEncoder)
    # Of values that are no events, all are read: which of them are 0 is not known before.
    read = inputs if has_encoder else float(steps * network.input_size)
    found = [*_encoder(network, steps, inputs)]
    operations = network.operations_by_layer(inputs, spikes, last)
    for depth, (each, done) in enumerate(zip(network.hidden, operations, strict=False)):
        assert isinstance(each, AdaptiveLIF)
        delivered = spikes[depth] - last[depth] if each.recurrent is not None else 0.0
        found.append(_hidden(depth, each, steps, done, read + delivered, spikes[depth]))
        read = spikes[depth]
    return [*found, _readout(network.readout, steps, operations[-1], read)]


def dense_counts(network: SpikingNetwork, inference: Inference) -> list[Counts]:
    """Return the counts of each layer if nothing is skipped.

    Every weight is multiplied by its input and added in every time step: T (I H + H H)
    multiply-accumulates of a recurrent layer. Neurons, and what they send, are the same.
    """
    steps = inference.steps
    found = [*_encoder(network, steps, inference.inputs)]
    below = network.input_size
    for depth, each in enumerate(network.hidden):
        assert isinstance(each, AdaptiveLIF)
        size = network.hidden_sizes[depth]
        received = below + (0 if each.recurrent is None else size)
        done = Operations(0.0, float(steps * received * size))
        spikes = inference.spikes[depth]
        found.append(_hidden(depth, each, steps, done, float(steps * received), spikes))
        below = size
    done = Operations(0.0, float(steps * below * network.outputs))
    return [*found, _readout(network.readout, steps, done, float(steps * below))]


def _encoder(network: SpikingNetwork, steps: int, events: float) -> Iterator[Counts]:
    """Yield the counts of the encoder, if there is one: it reads T F features."""
    if isinstance(network.encoder, TernaryEncoder):
        size = network.input_size
        yield layer(
            "encoder",
            size=size,
            steps=steps,
            update=_ENCODER,
            inputs=float(steps * size),
            input_size=size,
            spikes=events,
        )


def _hidden(
    depth: int, each: AdaptiveLIF, steps: int, done: Operations, inputs: float, spikes: float
) -> Counts:
    size, below = each.input.weight.shape
    recurrent = 0 if each.recurrent is None else size
    update = each.neuron.update
    assert update is not None
    return layer(
        f"hidden {depth + 1}",
        size=size,
        steps=steps,
        update=with_bias(update) if _has_bias(each, each.input) else update,
        **done._asdict(),
        weights=size * (below + recurrent),
        inputs=inputs,
        input_size=below + recurrent,
        spikes=spikes,
    )


def _readout(each: LeakyReadout, steps: int, done: Operations, inputs: float) -> Counts:
    size, below = each.output.weight.shape
    return layer(
        "readout",
        size=size,
        steps=steps,
        update=with_bias(each.update) if _has_bias(each, each.output) else each.update,
        **done._asdict(),
        weights=size * below,
        inputs=inputs,
        input_size=below,
    )


def _has_bias(module: AdaptiveLIF | LeakyReadout, product: nn.Linear) -> bool:
    """Whether the layer has a bias in evaluation, where a normalisation becomes one."""
    return product.bias is not None or module.norm is not None
