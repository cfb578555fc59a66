# SPDX-License-Identifier: MPL-2.0
"""Subjects of the benchmark: the network on each backend, and the baselines.

Legend: T time steps, B batch, C channels, M mel bands, H neurons of a hidden layer, K classes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam, Optimizer

from srnn.config import Config
from srnn.features.normaliser import Normaliser
from srnn.features.reference import ClipKeys, MelKeys, MelSpec
from srnn.instruments.bench.baselines import EagerLoop, LstmNetwork
from srnn.instruments.bench.firing import calibrate, random_features
from srnn.instruments.bench.timing import ENGINE, TORCH, Regime, Work
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import AdaptiveCurrent
from srnn.network.ops.threads import own_cores
from srnn.training.batch import Batch
from srnn.training.cuda_graph import GraphedStep
from srnn.training.optimizer import SkippingAdam, make_optimizer, set_learning_rates
from srnn.training.spotter import Spotter
from srnn.training.step import Step

CLASSES = 12
SPEC = MelSpec.from_keys(MelKeys(), ClipKeys())
INPUTS = SPEC.shape[0] * SPEC.shape[2]
CALIBRATED = 0.1
"""Firing rate at which things are compared (spikes per neuron and time step)."""

_ENCODER_THRESHOLD = Config().srnn.encoder_threshold
_CLIPS_TO_CALIBRATE = 8
_LAYERS = 2  # of the paper's network


class Case(NamedTuple):
    """A training workload: H, B and T on a device, at a firing rate.

    The network is the paper's, of some number of layers, or with ``normalised`` that of the recipes
    in ``configs``: recurrent layers of adaptive-current neurons with batch normalisation, without
    an encoder.
    """

    device: torch.device
    neurons: int = 256
    batch: int = 32
    steps: int = SPEC.shape[1]
    rate: float = CALIBRATED
    layers: int = _LAYERS
    normalised: bool = False

    @property
    def is_of_the_paper(self) -> bool:
        """Whether the network is the paper's, which `EagerLoop` and `LstmNetwork` stand beside."""
        return self.layers == _LAYERS and not self.normalised


class Subject(NamedTuple):
    """Something to train: maps features (B, C, T, M) to log-probabilities (B, K)."""

    model: Callable[[Tensor], Tensor]
    optimizer: Optimizer
    regimes: tuple[Regime, ...]
    replay: Callable[[Batch], None] | None = None  # trains instead, as the package does on a GPU

    def forward(self, features: Tensor) -> None:
        """Classify a batch."""
        with torch.inference_mode():
            self.model(features)

    def step(self, features: Tensor, labels: Tensor) -> Tensor | None:
        """Do a training step: forward, loss, backward, Adam; return the loss, but of a replay."""
        if self.replay:
            return self.replay(Batch.unmixed(features, labels))
        loss = F.nll_loss(self.model(features), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def works(self, name: str, features: Tensor, labels: Tensor) -> dict[str, Work]:
        """Return both as works ``NAME_forward`` and ``NAME_step`` on a batch."""
        return {
            f"{name}_forward": Work(lambda: self.forward(features), self.regimes),
            f"{name}_step": Work(lambda: self.step(features, labels), self.regimes),
        }


def backends(device: torch.device) -> dict[str, str]:
    """Return the backends that can be compared on a device: what to print -> what to ask for."""
    return {device.type: "auto", "reference": "reference"}


def make_batch(case: Case) -> tuple[Tensor, Tensor]:
    """Return features (B, C, T, M) and labels (B,) on the device; always the same."""
    channels, _, bands = SPEC.shape
    features = random_features(case.batch, (channels, case.steps, bands), _ENCODER_THRESHOLD)
    return features.to(case.device), torch.arange(case.batch, device=case.device) % CLASSES


def fresh_network(case: Case, backend: str = "auto") -> SpikingNetwork:
    """Return a network with fresh weights on the case's device."""
    sizes = [case.neurons] * case.layers
    kind: dict[str, Any] = {}
    if case.normalised:
        kind = {
            "neuron": AdaptiveCurrent(),
            "recurrent": [True] * case.layers,
            "batch_norm": True,
            "encoder_threshold": None,
        }
    return SpikingNetwork(INPUTS, sizes, CLASSES, backend=backend, **kind).to(case.device)


def make_network(case: Case) -> SpikingNetwork:
    """Return a network that fires at the case's rate; always the same."""
    torch.manual_seed(0)
    network = fresh_network(case)
    with own_cores():
        calibrate(network, make_batch(case)[0][:_CLIPS_TO_CALIBRATE], case.rate)
    return network


def make_subjects(network: SpikingNetwork, case: Case) -> dict[str, Subject]:
    """Return the network on every backend of the case's device, ``eager`` and ``lstm``.

    The last two for the paper's network only. All have the weights of ``network`` but the LSTM.
    Learning rates are zero: Adam has all its work and the firing rates stay.
    """
    subjects = {}
    for name, backend in backends(case.device).items():
        subjects[name] = engine(
            _like(network, case, backend), ENGINE if backend == "auto" else TORCH
        )
    if not case.is_of_the_paper:
        return subjects
    lstm = LstmNetwork(INPUTS, case.neurons, CLASSES).to(case.device)
    adam = Adam(lstm.parameters(), lr=0.0)
    return subjects | {"eager": eager_loop(network), "lstm": Subject(lstm, adam, TORCH)}


def engine(network: SpikingNetwork, regimes: tuple[Regime, ...] = ENGINE) -> Subject:
    """Return a network and the package's own optimizer, at rest."""
    optimizer = make_optimizer(network, Config().srnn)
    set_learning_rates(optimizer, 0.0)

    def model(features: Tensor) -> Tensor:
        log_probabilities: Tensor = network(features).log_probabilities
        return log_probabilities

    graphed = next(network.parameters()).is_cuda and network.backend == "auto"
    replay = _graphed(network, optimizer) if graphed else None
    return Subject(model, optimizer, regimes, replay)


def _graphed(network: SpikingNetwork, optimizer: SkippingAdam) -> Callable[[Batch], None]:
    """Return the step that training replays on a GPU, of the size of the first batch."""
    steps: list[GraphedStep] = []

    def replay(batch: Batch) -> None:
        if not steps:
            spotter = Spotter(Normaliser(torch.ones(batch.features.shape[1::2])), network)
            spotter = spotter.to(batch.features.device)
            step = Step(spotter, optimizer, Config().srnn, CLASSES)
            steps.append(GraphedStep(step, len(batch.labels)))
        steps[0](batch)

    return replay


def eager_loop(network: SpikingNetwork) -> Subject:
    """Return the loop over time steps, and Adam that goes from tensor to tensor, at rest."""
    loop = EagerLoop(network)
    return Subject(loop, Adam(loop.parameters(), lr=0.0, foreach=False), TORCH)


def _like(network: SpikingNetwork, case: Case, backend: str) -> SpikingNetwork:
    other = fresh_network(case, backend)
    other.load_state_dict(network.state_dict())
    return other
