# SPDX-License-Identifier: MPL-2.0
"""A plain evaluation of a NIR graph: the nodes that an export has, one time step after another.

No public simulator has all of these nodes, so the graph that was read back from its file is
computed here. Only the file is used, not the network. (nirtorch computes the same, given modules
for the nodes that it lacks; a test does so.)

Legend: T time steps, N clips, I inputs.
"""

import json
from collections.abc import Collection
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from srnn.export.nir.graph import INPUT

if TYPE_CHECKING:
    from nir import NIRGraph


@torch.inference_mode()
def evaluate(graph: "NIRGraph", inputs: Tensor, names: Collection[str]) -> dict[str, Tensor]:
    """Return what some nodes of a graph send, by name, each of shape (T, N, size of the node).

    Parameters
    ----------
    graph : NIRGraph
        As `srnn.export.nir.graph.graph_of` makes it; its time step is in the metadata.
    inputs : Tensor, shape (T, N, I), T >= 1
    names : collection of str
    """
    step = json.loads(graph.metadata["dt"])
    delayed = _delayed(graph)
    sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        sources[target].append(source)
    order = list(
        TopologicalSorter(
            {
                target: [each for each in some if (each, target) not in delayed]
                for target, some in sources.items()
            }
        ).static_order()
    )
    nodes = {name: _Node(node, step) for name, node in graph.nodes.items()}
    zero = torch.zeros(())
    before: dict[str, Tensor] = {}
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    for frame in inputs:
        now: dict[str, Tensor] = {}
        for name in order:
            received = [
                before.get(each, zero) if (each, name) in delayed else now[each]
                for each in sources[name]
            ]
            now[name] = frame if name == INPUT else nodes[name].advance(sum(received, start=zero))
        for name, values in found.items():
            values.append(now[name])
        before = now
    return {name: torch.stack(values) for name, values in found.items()}


class _Node:
    """A node and its state."""

    def __init__(self, node: Any, step: float) -> None:
        self._kind = type(node).__name__
        self._values = {
            name: torch.from_numpy(value)
            for name, value in vars(node).items()
            if name in ("weight", "bias", "scale", "threshold", "tau", "r", "v_leak")
        }
        self._step = step
        self._potential = torch.zeros(())

    def advance(self, received: Tensor) -> Tensor:
        """Return what the node sends in this time step, given the sum of its inputs."""
        values = self._values
        match self._kind:
            case "Affine" | "Linear":
                return F.linear(received, values["weight"], values.get("bias"))
            case "Scale":
                return received * values["scale"]
            case "Threshold":
                return (received > values["threshold"]).float()
            case "LI":
                slope = values["v_leak"] - self._potential + values["r"] * received
                self._potential = self._potential + self._step / values["tau"] * slope
                return self._potential
            case _:  # the output
                return received


def _delayed(graph: "NIRGraph") -> set[tuple[str, str]]:
    """Return the edges of cycles into leaky integrators."""
    targets: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        targets[source].append(target)

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            for each in targets[waiting.pop()]:
                if each not in found:
                    found.add(each)
                    waiting.append(each)
        return found

    integrators = [name for name, node in graph.nodes.items() if type(node).__name__ == "LI"]
    after = {name: reached(name) for name in integrators}
    return {(a, b) for a, b in graph.edges if b in after and a in after[b]}
