# SPDX-License-Identifier: MPL-2.0
"""A trained network as a graph of the Neuromorphic Intermediate Representation (NIR).

NIR (Pedersen et al. 2024, https://doi.org/10.1038/s41467-024-52259-9) describes neurons by
differential equations. Its spiking neurons are reset to a constant, and their thresholds are
constants; those of this package are reset by subtraction. A neuron is therefore composed of NIR's
nodes: leaky integrators (LI), a step function (Threshold) and factors (Scale).

A leaky integrator, tau v' = v_leak - v + r I, is here v_t = decay v_{t-1} + (1 - decay) I_t by
forward Euler with the time step dt, where tau = dt / (1 - decay), r = 1 and v_leak = 0. On
an edge of a cycle it receives the value of the time step before.

Legend: F inputs, H neurons, R outputs.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from srnn.errors import InputError
from srnn.export.program import description
from srnn.export.requirements import scale_of
from srnn.network.encoder import TernaryEncoder
from srnn.network.layers import AdaptiveLIF
from srnn.network.neurons import Neuron
from srnn.runs.recogniser import Recogniser

if TYPE_CHECKING:
    from nir import NIRGraph

INPUT, OUTPUT = "input", "output"
"""Names of the first and the last node."""

_INTEGRATION = (
    "forward Euler with the time step dt (s): v += dt / tau * (v_leak - v + r * input), from v = 0;"
    " tau in s; input, weights and potentials have no unit; on an edge of a cycle an LI receives "
    "the value of the time step before, on any other edge that of the same time step"
)


class _Graph:
    """The nodes and edges of a graph, as they are added.

    Parameters
    ----------
    step : float
        Time step dt (s).
    """

    def __init__(self, step: float) -> None:
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self._step = step

    def add(self, name: str, node: Any, *sources: str) -> str:
        """Add a node that receives the sum of what the sources send, and return its name."""
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        return name

    def linear(self, name: str, weight: Tensor, bias: Tensor | None, *sources: str) -> str:
        """Add a product with a weight (O, I), and a bias (O,)."""
        import nir

        if bias is None:
            return self.add(name, nir.Linear(_array(weight)), *sources)
        return self.add(name, nir.Affine(_array(weight), _array(bias)), *sources)

    def integrator(self, name: str, decay: Tensor, *sources: str) -> str:
        """Add leaky integrators with the decay factors (H,) of a time step."""
        import nir

        zeros, ones = torch.zeros_like(decay), torch.ones_like(decay)
        tau = self._step / (1 - decay)
        return self.add(name, nir.LI(_array(tau), _array(ones), _array(zeros)), *sources)

    def threshold(self, name: str, threshold: Tensor, *sources: str) -> str:
        """Add step functions: 1 above the thresholds (H,), else 0."""
        import nir

        return self.add(name, nir.Threshold(_array(threshold)), *sources)

    def scale(self, name: str, factor: Tensor, source: str) -> str:
        """Add factors (H,)."""
        import nir

        return self.add(name, nir.Scale(_array(factor)), source)

    def connect(self, source: str, factor: Tensor, target: str) -> None:
        """Add an edge with factors (H,) between nodes of a layer.

        nirtorch takes nodes in the order of their names, and has values of the time step before
        only where a node comes later: a factor comes after the integrators, and before the spikes.
        """
        layer, _, of = target.rpartition("_")
        between = f"{layer}_scale_{source.removeprefix(f'{layer}_')}_to_{of}"
        self.edges.append((self.scale(between, factor, source), target))


@torch.no_grad()
def graph_of(recogniser: Recogniser) -> "NIRGraph":
    """Return a trained network as a graph.

    Its input are the features of a time step (F,), not normalised, channel by channel; its output
    are the potentials of the readout (R,). For its metadata see `_metadata`.

    Raises
    ------
    InputError
        If NIR has no nodes for the network; the message names what is missing.
    """
    import nir
    import numpy as np

    network, normaliser = recogniser.spotter.network, recogniser.spotter.normaliser
    scale = scale_of(normaliser, "nir").flatten()
    mean = torch.zeros_like(scale) if normaliser.mean is None else normaliser.mean.flatten()
    graph = _Graph(recogniser.step / 1000)
    below = [graph.add(INPUT, nir.Input({"input": np.array([network.input_size])}))]
    if isinstance(network.encoder, TernaryEncoder):
        below = _encode(graph, network.encoder.threshold, scale, mean)
    for depth, layer in enumerate(network.hidden, start=1):
        assert isinstance(layer, AdaptiveLIF)
        weight, bias, recurrent, parameters = layer.weights(torch.empty(0, 0, network.input_size))
        if below == [INPUT]:
            weight, bias = _denormalised(weight, bias, scale, mean)
        name = f"hidden_{depth}"
        current = graph.linear(f"{name}_input", weight, bias, *below)
        below = [_composition(layer.neuron)(graph, name, layer.neuron, parameters, current)]
        if recurrent is not None:
            graph.linear(f"{name}_recurrent", recurrent, None, *below)
            graph.edges.append((f"{name}_recurrent", f"{name}_potential"))
    output, decay = network.readout.output, torch.exp(-1 / network.readout.tau_mem)
    current = graph.linear("readout_input", output.weight, output.bias, *below)
    potential = graph.integrator("readout_potential", decay, current)
    graph.add(OUTPUT, nir.Output({"output": np.array([network.outputs])}), potential)
    return nir.NIRGraph(graph.nodes, graph.edges, metadata=_metadata(recogniser))


def _encode(graph: _Graph, threshold: Tensor, scale: Tensor, mean: Tensor) -> list[str]:
    """Add the ternary encoder; the normalisation (x - mean) / scale goes into its thresholds."""
    minus = -torch.ones_like(scale)
    above = graph.threshold("above", threshold * scale + mean, INPUT)
    negative = graph.scale("negative", minus, INPUT)
    below = graph.threshold("below", threshold * scale - mean, negative)
    return [above, graph.scale("below_negative", minus, below)]


def _denormalised(
    weight: Tensor, bias: Tensor | None, scale: Tensor, mean: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Return weight (H, F) and bias for features that are not normalised."""
    weight = weight.double() / scale
    if not mean.any():
        return weight, bias
    return weight, (0 if bias is None else bias) - weight @ mean.double()


def _lif(graph: _Graph, name: str, neuron: Any, parameters: Tensor, current: str) -> str:
    """Add LIF neurons, see `srnn.network.neurons.lif`, and return the name of their spikes."""
    (alpha,) = parameters
    potential = graph.integrator(f"{name}_potential", alpha, current)
    threshold = torch.full_like(alpha, neuron.threshold)
    spikes = graph.threshold(f"{name}_spikes", threshold, potential)
    graph.connect(spikes, -threshold / (1 - alpha), potential)  # the reset
    return spikes


def _adaptive_current(
    graph: _Graph, name: str, _neuron: Any, parameters: Tensor, current: str
) -> str:
    """Add adaptive-current neurons, see `srnn.network.neurons.adaptive_current`.

    In their definition the potential depends on the adaptation w of the same time step. Here it
    depends on values of the step before: w_t is replaced by rho w_{t-1} + a u_{t-1} + c s_{t-1}.
    """
    alpha, rho, a, c = parameters
    potential = graph.integrator(f"{name}_potential", alpha, current)
    spikes = graph.threshold(f"{name}_spikes", torch.ones_like(alpha), potential)
    adaptation = graph.integrator(f"{name}_adaptation", rho)
    graph.connect(potential, a / (1 - rho), adaptation)
    graph.connect(spikes, c / (1 - rho), adaptation)
    graph.connect(adaptation, -rho, potential)
    graph.connect(potential, -a, potential)
    graph.connect(spikes, -c - alpha / (1 - alpha), potential)  # the reset, too
    return spikes


_Composition = Callable[[_Graph, str, Any, Tensor, str], str]

_COMPOSITIONS: dict[str, _Composition] = {"adaptive_current": _adaptive_current, "lif": _lif}

_LACKING = {
    "adaptive_threshold": ", whose spikes subtract a threshold that changes: NIR has no node that "
    "multiplies two signals"
}


def _composition(neuron: Neuron) -> _Composition:
    """Return what composes a kind of neuron."""
    if neuron.name not in _COMPOSITIONS:
        raise InputError(
            f"srnn.neuron: --to nir expects one of {', '.join(_COMPOSITIONS)}, found "
            f'"{neuron.name}"{_LACKING.get(neuron.name, "")}'
        )
    return _COMPOSITIONS[neuron.name]


def _metadata(recogniser: Recogniser) -> dict[str, str]:
    """Return the metadata, each value as JSON.

    They have the fields of `description`, and ``dt`` (s), ``integration``, and ``readout``: how the
    potentials become probabilities.
    """
    network = recogniser.spotter.network
    readout = network.readout.readout
    meaning = {
        "dt": recogniser.step / 1000,
        "integration": _INTEGRATION,
        "readout": {
            "over_time": readout.over_time,
            "scale": readout.scale,
            "then": "softmax; the outputs from the last label on are summed",
        },
    }
    return {name: json.dumps(each) for name, each in {**description(recogniser), **meaning}.items()}


def _array(values: Tensor) -> Any:
    return values.float().numpy(force=True).copy()
