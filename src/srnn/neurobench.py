# SPDX-License-Identifier: MPL-2.0
"""A trained network and its data set for NeuroBench (Yik et al. 2025).

NeuroBench (https://doi.org/10.1038/s41467-025-56739-4) measures a network by hooks on its modules:
it counts operations where an ``nn.Linear`` is called, and activations where a module returns them.
The layers of this package compute all time steps in one operator and call neither. Here the same
network is computed one time step at a time, by modules that are called at each.

The optional group ``neurobench`` has the package; see src/srnn/README.md for an example.

Legend: N clips, T time steps, B batch, F inputs, I inputs of a layer, H neurons, K classes.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from srnn.network.layers import AdaptiveLIF
from srnn.network.model import Output, SpikingNetwork
from srnn.network.neurons import State
from srnn.network.norm import linear
from srnn.packages import expect_packages
from srnn.runs.evaluation import Partition, corpus_of
from srnn.runs.parts import spec_of
from srnn.runs.recogniser import Recogniser, load
from srnn.training.examples import make_examples

if TYPE_CHECKING:
    from neurobench.models import TorchModel

__all__ = ["StepwiseLayer", "StepwiseNetwork", "data", "model"]


class StepwiseLayer(nn.Module):
    """A hidden layer that computes one time step a call: `AdaptiveLIF` by its definition.

    NeuroBench counts the calls of ``input`` and ``recurrent``, and takes what this module returns
    for its activations.

    Parameters
    ----------
    layer : AdaptiveLIF
        Its weights are copied, as the operators receive them: normalisation folded in, one bias.

    Attributes
    ----------
    state : State or None
        After the last call; None: at rest. It is kept here, although a function of the state
        would be plainer, because the hooks want spikes and nothing else to be returned.
    """

    def __init__(self, layer: AdaptiveLIF) -> None:
        super().__init__()
        no_inputs = torch.empty(0, 0, layer.input.in_features)
        weight, bias, recurrent_weight, parameters = layer.weights(no_inputs)
        self.neuron = layer.neuron
        self.input = linear(weight, bias)
        self.recurrent = None if recurrent_weight is None else linear(recurrent_weight, None)
        self.neuron_parameters = nn.Parameter(parameters.detach().clone())  # (L, H)
        self.state: State | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Map the inputs (B, I) of the next time step to spikes (B, H)."""
        current = self.input(inputs)
        state = self.neuron.initial_state(current) if self.state is None else self.state
        if self.recurrent is not None:
            current = current + self.recurrent(state.spikes)
        self.state = self.neuron.step(current, state, self.neuron_parameters)
        return self.state.spikes


class StepwiseNetwork(nn.Module):
    """A trained network in evaluation that computes one time step after the other.

    Its parameters are those of the network with the normalisation folded in; what the neurons need
    of their time constants is stored instead of them.

    Parameters
    ----------
    network : SpikingNetwork
        It is copied.
    """

    def __init__(self, network: SpikingNetwork) -> None:
        super().__init__()
        folded = network.folded()
        self.input_size, self.classes = folded.input_size, folded.classes
        self.encoder = folded.encoder
        self.hidden = nn.ModuleDict()  # NeuroBench tells layers apart by their own names
        for depth, layer in enumerate(folded.hidden, start=1):
            assert isinstance(layer, AdaptiveLIF)
            self.hidden[f"hidden_{depth}"] = StepwiseLayer(layer)
        self.readout = folded.readout
        self.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        """Return the predicted labels (B,), int64, of a batch of clips; see `run`."""
        return self.run(features).log_probabilities.argmax(dim=1)

    @torch.no_grad()
    def run(self, features: Tensor) -> Output:
        """Classify a batch of clips.

        Parameters
        ----------
        features : Tensor, shape (B, T, F), T >= 1
            Normalised, as `data` has them.

        Returns
        -------
        Output
            What the network itself returns, but for rounding errors of float32.

        Raises
        ------
        RuntimeError
            If the features have another shape.
        """
        if features.dim() != 3 or features.shape[2] != self.input_size or not features.shape[1]:
            raise RuntimeError(
                f"srnn: expected features of shape (B, T, {self.input_size}), T >= 1, found "
                f"{tuple(features.shape)}"
            )
        self._rest()
        inputs, currents = [], []
        spikes: list[list[Tensor]] = [[] for _ in self.hidden]
        for feature in features.unbind(dim=1):  # (B, F)
            below = self.encoder(feature)
            inputs.append(below)
            for layer, fired in zip(self.hidden.values(), spikes, strict=True):
                below = layer(below)
                fired.append(below)
            currents.append(self.readout.output(below))
        self._rest()  # frees the states
        scores = self.readout.scores(self.readout.integrate(torch.stack(currents)))
        return Output(
            F.log_softmax(scores, dim=-1),
            self.classes,
            torch.stack(inputs),
            tuple(map(torch.stack, spikes)),
        )

    def _rest(self) -> None:
        for layer in self.hidden.values():
            assert isinstance(layer, StepwiseLayer)
            layer.state = None


def model(run: str | Path | Recogniser | SpikingNetwork) -> "TorchModel":
    """Return a trained network as a NeuroBench model.

    Use a new one for each ``neurobench.benchmarks.Benchmark``: a second one adds its hooks to those
    of the first, or loses its own with them, so that operations count twice or not at all.

    Parameters
    ----------
    run : str, Path, Recogniser or SpikingNetwork
        A run directory, a checkpoint, the name of a network of the package, or what `load`
        returned; or a network, as ``recogniser.spotter.network`` is, which may have been changed.

    Returns
    -------
    neurobench.models.TorchModel
        Maps normalised features (B, T, F) to predicted labels (B,), with which NeuroBench's
        accuracy compares the true ones: no postprocessor is needed. Its ``net`` is the
        `StepwiseNetwork`.

    Raises
    ------
    InputError
        If the package ``neurobench`` is not installed, or there is no checkpoint.
    """
    expect_packages("srnn.neurobench", "neurobench")
    from neurobench.models import TorchModel

    if not isinstance(run, SpikingNetwork):
        run = _recogniser(run).spotter.network
    adapted = TorchModel(StepwiseNetwork(run))
    adapted.add_activation_module(StepwiseLayer)
    return adapted


def data(
    run: str | Path | Recogniser,
    partition: Partition = "testing",
    dataroot: str | Path | None = None,
) -> TensorDataset:
    """Return the clips that `srnn.evaluate` measures, for a ``torch.utils.data.DataLoader``.

    Parameters
    ----------
    run : str, Path or Recogniser
        As `model` takes them.
    partition : "testing" or "validation"
    dataroot : str or Path, optional
        Where another data set or a test archive lies; the one trained on if not given.

    Returns
    -------
    TensorDataset
        Pairs of normalised features (T, F), float32, and label, int64: its index in the labels of
        the run. Features of all N clips are in memory: 4 N T F bytes.

    Raises
    ------
    InputError
        If there is no checkpoint or data set, or no clip in the partition.
    """
    recogniser = _recogniser(run)
    root = None if dataroot is None else Path(dataroot)
    corpus = corpus_of(recogniser, partition, root, "plain")
    config, cpu = recogniser.config, torch.device("cpu")
    examples = make_examples(corpus, [partition], spec_of(config), cpu, memory_budget=0)[partition]
    everything = torch.arange(len(examples.labels))
    features = []
    # In the batches of `srnn.evaluate`, on which `normalisation = "batch"` depends.
    for batch in examples.batches(everything, config.srnn.batch_size, cpu):
        normalised = recogniser.spotter.normaliser(batch.features)  # (B, C, T, M)
        features.append(normalised.transpose(1, 2).flatten(2))  # as `SpikingNetwork.encode` does
    return TensorDataset(torch.cat(features), examples.labels)


def _recogniser(run: str | Path | Recogniser) -> Recogniser:
    return run if isinstance(run, Recogniser) else load(run)
