# SPDX-License-Identifier: MPL-2.0
"""A trained network as modules that `torch.export` takes, with only PyTorch's own operators.

Both are traced from the definitions of the package, so that any kind of neuron can be exported. A
clip is a loop over the step, `torch.scan`: its program does not grow with the length of a clip.

Legend: B clips, S samples, C channels, T time steps, M mel bands, H neurons, R outputs, K classes.
"""

import copy
import warnings
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan  # its interface is that of jax.lax.scan
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule

from srnn.export.features import Features
from srnn.network.encoder import TernaryEncoder
from srnn.network.layers import AdaptiveLIF
from srnn.network.model import SpikingNetwork, of_classes
from srnn.network.neurons import State
from srnn.network.readout import LeakyReadout
from srnn.network.steps import NetworkState, advance
from srnn.runs.recogniser import Recogniser
from srnn.version import VERSION

_CLIPS = 2  # of the example; with one, the number of clips would be a constant

# What tracing notes of each operation: with the paths of this machine, and larger than the network.
_NOTES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")


class Step(nn.Module):
    """One time step of a trained network: state in, state out.

    Its state is a tuple of tensors, `state_names` and `initial_state` describe it. It begins with
    what `srnn.network.steps.NetworkState` has; ``score`` (B, R) is mean, maximum or last value of
    the potentials of the readout over ``steps`` (B, 1) time steps. With both at 0, a new clip
    begins; the state of neurons and readout may go on.

    Parameters
    ----------
    recogniser : Recogniser
        It is copied.
    """

    def __init__(self, recogniser: Recogniser) -> None:
        super().__init__()
        self.normaliser = copy.deepcopy(recogniser.spotter.normaliser)
        self.network: SpikingNetwork = copy.deepcopy(recogniser.spotter.network)
        for module in self.network.modules():
            if isinstance(module, TernaryEncoder | AdaptiveLIF | LeakyReadout):
                module.backend = "reference"  # the kernels are no operators of PyTorch
        self.requires_grad_(False)

    @property
    def layers(self) -> list[AdaptiveLIF]:
        """The hidden layers."""
        return [layer for layer in self.network.hidden if isinstance(layer, AdaptiveLIF)]

    @property
    def state_names(self) -> list[str]:
        """Names of the tensors of the state, in their order."""
        depths = range(1, len(self.network.hidden) + 1)
        hidden = [f"hidden_{depth}_{name}" for depth in depths for name in State._fields]
        return [*hidden, "readout_potential", "score", "steps"]

    def initial_state(self, clips: int) -> tuple[Tensor, ...]:
        """Return the state before the first step, tensors of shape (clips, ...)."""
        scale = self.normaliser.scale
        assert scale is not None
        state: list[Tensor] = []
        for layer, size in zip(self.layers, self.network.hidden_sizes, strict=True):
            state += layer.neuron.initial_state(scale.new_zeros(clips, size))
        outputs = self.network.outputs
        return *state, *(scale.new_zeros(clips, size) for size in (outputs, outputs, 1))

    def forward(self, features: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Compute one time step.

        Parameters
        ----------
        features : Tensor, shape (B, C, M)
            Those of this time step, not normalised.
        *state : Tensor
            After the step before.

        Returns
        -------
        probabilities : Tensor, shape (B, K)
            Of the labels, if the clip ended here.
        *state : Tensor
            After this step.
        """
        *hidden, potential, score, steps = state
        size = len(State._fields)
        states = tuple(State(*hidden[at : at + size]) for at in range(0, len(hidden), size))
        normalised = self.normaliser(features[:, :, None])
        _, after = advance(self.network, normalised, NetworkState(states, potential))
        steps = steps + 1
        score = self._score(score, after.potential, steps)
        flat = [tensor for each in after.hidden for tensor in each]
        return self.probabilities(score), *flat, after.potential, score, steps

    def _score(self, score: Tensor, potential: Tensor, steps: Tensor) -> Tensor:
        """Return the score with the potentials (B, R) of one step more."""
        match self.network.readout.readout.over_time:
            case "mean":
                return score + (potential - score) / steps
            case "max":
                return torch.where(steps == 1, potential, torch.maximum(score, potential))
            case "last":
                return potential

    def probabilities(self, score: Tensor) -> Tensor:
        """Map scores (B, R) to probabilities of the labels (B, K)."""
        log_probs = torch.log_softmax(self.network.readout.readout.scale * score, dim=-1)
        return of_classes(log_probs, self.network.classes).exp()


class Clip(nn.Module):
    """A trained network that classifies clips.

    Parameters
    ----------
    recogniser : Recogniser
        It is copied.
    with_features : bool
        Whether it takes samples (B, S), float32 in [-1, 1), instead of features (B, C, T, M),
        which are not normalised.
    """

    def __init__(self, recogniser: Recogniser, with_features: bool) -> None:
        super().__init__()
        self.extract = Features(recogniser.extract) if with_features else None
        self.step = Step(recogniser)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map samples or features to probabilities of the labels, shape (B, K)."""
        features = inputs if self.extract is None else self.extract(inputs)
        frames = features.permute(2, 0, 1, 3)  # (T, B, C, M)
        state = tuple(each.clone() for each in self.step.initial_state(frames.shape[1]))
        after, _ = scan(self._one, state, frames)
        return self.step.probabilities(after[-2])

    def _one(self, state: tuple[Tensor, ...], frame: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return the state after a frame (B, C, M), and what is stacked: a scan has something."""
        _, *after = self.step(frame, *state)
        # Each is cloned: a scan permits no output that is an input, or another output, itself.
        return tuple(each.clone() for each in after), after[-1].clone()


class Program(NamedTuple):
    """A traced module.

    Attributes
    ----------
    traced : ExportedProgram
        Its number of clips is open.
    inputs, outputs : list of str
        Names, in their order.
    """

    traced: ExportedProgram
    inputs: list[str]
    outputs: list[str]


def clip_program(recogniser: Recogniser, with_features: bool) -> Program:
    """Trace a `Clip`; its only input is ``samples`` or ``features``.

    Raises
    ------
    RuntimeError
        If the operations of its neurons depend on values.
    """
    spec = recogniser.extract.spec
    example = torch.zeros(_CLIPS, *((spec.size,) if with_features else spec.shape))
    traced = _trace(Clip(recogniser, with_features), (example,), {"inputs": _open()})
    return Program(traced, ["samples" if with_features else "features"], ["probabilities"])


def step_program(recogniser: Recogniser) -> Program:
    """Trace a `Step`; ``next_`` precedes the name of what its state becomes.

    Raises
    ------
    RuntimeError
        If the operations of its neurons depend on values.
    """
    channels, _, bands = recogniser.extract.spec.shape
    step = Step(recogniser)
    state, names = step.initial_state(_CLIPS), step.state_names
    example = torch.zeros(_CLIPS, channels, bands)
    shapes = {"features": _open(), "state": tuple(_open() for _ in state)}
    traced = _trace(step, (example, *state), shapes)
    return Program(
        traced, ["features", *names], ["probabilities", *(f"next_{name}" for name in names)]
    )


def _open() -> dict[int, Any]:
    return {0: Dim("clips", min=1)}


@torch.no_grad()
def _trace(module: nn.Module, example: tuple[Tensor, ...], shapes: Any) -> ExportedProgram:
    """Trace a module, whose inputs have the ``shapes`` of `torch.export.export`.

    Raises
    ------
    RuntimeError
        If its operations depend on values.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about itself
        try:
            program = torch.export.export(module.eval(), example, dynamic_shapes=shapes)
        except RuntimeError as error:  # of a neuron of the user's own: pages with the whole graph
            first = str(error).strip().partition("\n")[0]
            raise RuntimeError(f"torch.export cannot trace the network: {first}") from error
    for graph in program.graph_module.modules():
        for node in graph.graph.nodes if isinstance(graph, GraphModule) else ():
            for note in _NOTES:
                node.meta.pop(note, None)
    program.example_inputs = None  # a file would have them
    return program


def description(recogniser: Recogniser) -> dict[str, Any]:
    """Return what a user of a program needs to know, for the metadata of its file.

    ``labels`` are in the order of the probabilities, ``sample_rate`` is in Hz, ``clip`` in samples,
    ``step`` (of time) in ms, ``features`` are the fields of `srnn.features.reference.MelSpec`.
    """
    spec = recogniser.extract.spec
    return {
        "srnn": VERSION,
        "labels": list(recogniser.labels),
        "sample_rate": spec.sample_rate,
        "clip": spec.size,
        "step": spec.step,
        "features": asdict(spec),
    }
