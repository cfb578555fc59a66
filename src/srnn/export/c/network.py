# SPDX-License-Identifier: MPL-2.0
"""What the C program needs to compute the network: weights, parameters, state.

Legend: H neurons, I inputs, R outputs.
"""

import copy
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srnn.errors import InputError
from srnn.export.c.tables import Member, Part, Table, constant
from srnn.export.c.weights import Matrix, Weights, matrix_of
from srnn.network.encoder import TernaryEncoder
from srnn.network.layers import AdaptiveLIF
from srnn.network.model import SpikingNetwork
from srnn.network.norm import linear

_NEURONS = files(__package__) / "templates" / "neurons"
_SUFFIX = ".c.jinja"


@dataclass(frozen=True)
class NetworkPart(Part):
    """A network as a part of the C program.

    Attributes
    ----------
    network : SpikingNetwork
        What the program computes: the network with the weights that the tables hold.
    """

    network: SpikingNetwork


@torch.no_grad()
def network_code(network: SpikingNetwork, weights: Weights) -> NetworkPart:
    """Return a network without normalisation (`SpikingNetwork.folded`) as a part of the C program.

    Raises
    ------
    InputError
        If there is no C for its kind of neurons.
    """
    hidden = [layer for layer in network.hidden if isinstance(layer, AdaptiveLIF)]
    neuron = hidden[0].neuron
    if neuron.name not in (kinds := _kinds()):
        expected = ", ".join(kinds)
        raise InputError(f'srnn.neuron: --to c expects one of {expected}, found "{neuron.name}"')
    computed = copy.deepcopy(network)
    encoder, readout = network.encoder, network.readout
    ternary, quantised = isinstance(encoder, TernaryEncoder), weights == "int8"
    tables, layers, first = [], [], 0
    for depth, layer in enumerate(hidden):
        name = f"hidden_{depth + 1}"
        weight, bias, recurrent, parameters = layer.weights(torch.empty(0, 0, network.input_size))
        of_input = matrix_of(weight, weights)
        tables += _matrix(f"{name}_input", of_input, f"{name}_input_scale")
        tables.append(Table(f"{name}_bias", "float", _bias(bias, len(weight))))
        of_recurrent = None
        if recurrent is not None:
            of_recurrent = matrix_of(recurrent, weights)
            tables += _matrix(f"{name}_recurrent", of_recurrent, f"{name}_recurrent_scale")
        tables.append(Table(f"{name}_parameters", "float", parameters.numpy(force=True)))
        _replace(computed.hidden[depth], of_input, of_recurrent)
        layers.append(
            {
                "name": name,
                "inputs": weight.shape[1],
                "neurons": len(weight),
                "first": first,
                "recurrent": recurrent is not None,
            }
        )
        first += len(weight)
    of_output = matrix_of(readout.output.weight, weights)
    computed.readout.output = linear(of_output.dense, readout.output.bias)
    outputs, widest = network.outputs, max(network.hidden_sizes)
    tables += [
        *_matrix("readout_weights", of_output, "readout_scale"),
        Table("readout_bias", "float", _bias(readout.output.bias, outputs)),
        Table("readout_alpha", "float", torch.exp(-1 / readout.tau_mem).numpy(force=True)),
    ]
    assert neuron.update is not None  # the kinds that have a template state it
    has_adaptation = neuron.update.state > 1
    at_rest = neuron.initial_state(torch.zeros(1, 1)).adaptation.item()
    constants = {
        "neuron": neuron,
        "neuron_template": f"neurons/{neuron.name}{_SUFFIX}",
        "parameters": neuron.learnable,
        "layers": layers,
        "neurons": first,
        "outputs": outputs,
        "widest": max(widest, outputs),
        "weights": weights,
        "quantised": quantised,
        "ternary": ternary,
        "threshold": constant(encoder.threshold.item()) if ternary else "",
        "over_time": readout.readout.over_time,
        "score_scale": constant(readout.readout.scale),
        "adaptation_at_rest": constant(at_rest) if has_adaptation and at_rest else "",
    }
    total = "int32_t" if quantised else "float"
    members = [
        Member("float", "current", widest, "of the neurons of a layer"),
        Member(total, "sums", max(widest, outputs), "of weights"),
        Member("float", "potential", first, "of the neurons of all layers"),
        Member("float", "readout", outputs, "potentials of the readout"),
        Member("float", "score", outputs, "of each output, over time"),
    ]
    if has_adaptation:
        members.append(Member("float", "adaptation", first, "of the neurons of all layers"))
    if ternary:
        members.append(Member("int8_t", "events", network.input_size, "of the encoder"))
    else:
        members.append(Member("float", "features", network.input_size, "of a step"))
    members.append(Member("int8_t", "spikes", first, "of the neurons of all layers"))
    return NetworkPart(constants, tables, members, computed)


def _kinds() -> list[str]:
    """Return the kinds of neurons that there is C for."""
    names = [each.name for each in _NEURONS.iterdir()]
    return sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))


def _matrix(name: str, matrix: Matrix, scale: str) -> list[Table]:
    """Return the tables of a matrix (O, I), which has a row for each input, and of its scale."""
    if matrix.scale is None:
        return [Table(name, "float", matrix.values.T)]
    return [Table(name, "int8_t", matrix.values.T), Table(scale, "float", matrix.scale)]


def _bias(bias: Tensor | None, size: int) -> Any:
    return np.zeros(size, np.float32) if bias is None else bias.numpy(force=True)


def _replace(layer: Any, of_input: Matrix, of_recurrent: Matrix | None) -> None:
    """Give a layer other weights."""
    layer.input = linear(of_input.dense, layer.input.bias)
    if of_recurrent is not None:
        layer.recurrent = linear(of_recurrent.dense, layer.recurrent.bias)
