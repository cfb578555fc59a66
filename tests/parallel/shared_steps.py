# SPDX-License-Identifier: MPL-2.0
"""Steps on whole batches by several processes; torchrun starts this file, see `test_parallel`.

Usage: shared_steps.py FOLDER. Each process writes what it finds into ``FOLDER/RANK.pt``.
"""

import sys
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from srnn.augment.augmentation import neighbours
from srnn.config import SrnnConfig
from srnn.features.normaliser import Normaliser
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import AdaptiveThreshold
from srnn.parallel import ALONE, Group, Share, job
from srnn.training.batch import Batch
from srnn.training.ema import WeightEma
from srnn.training.optimizer import make_optimizer
from srnn.training.spotter import Spotter
from srnn.training.step import Step

CLASSES = 4
SIZES = (5, 5, 1)  # clips of the batches: of the last, two of three processes have none


class Case(NamedTuple):
    """A network and a loss."""

    network: dict[str, Any]
    keys: dict[str, Any]
    normalised: bool = True  # by the batch


CASES = {
    "plain": Case({}, {}),
    "batch norm": Case({"batch_norm": True}, {}),
    "no encoder": Case({"batch_norm": True, "encoder_threshold": None}, {}, normalised=False),
    "dropout": Case({"dropout": 0.4, "recurrent": [True, True]}, {}),
    "penalty": Case(
        {"batch_norm": True, "last_class_readouts": 3},
        {"firing_penalty": 2.0, "label_smoothing": 0.2, "gradient_clip": 0.1, "averaging": 0.9},
    ),
}


def make_step(case: Case, backend: str, group: Group = ALONE) -> Step:
    """Return a step of float64 for the reference and of float32 for the kernels."""
    torch.manual_seed(0)
    network = SpikingNetwork(
        6,
        [17, 9],
        CLASSES,
        neuron=AdaptiveThreshold(threshold=0.02),
        backend=backend,
        **case.network,
    )
    spotter = Spotter(Normaliser(None if case.normalised else torch.ones(1, 6)), network)
    spotter = spotter.double() if backend == "reference" else spotter
    keys = SrnnConfig(**case.keys)
    ema = WeightEma(spotter, keys.averaging) if keys.averaging else None
    return Step(spotter, make_optimizer(network, keys), keys, CLASSES, ema, group)


def batches(backend: str, group: Group = ALONE) -> list[Batch]:
    """Return the share of each batch."""
    kind = torch.float64 if backend == "reference" else torch.float32
    found = []
    for number, size in enumerate(SIZES):
        generator = torch.Generator().manual_seed(number)
        features = torch.randn(size, 1, 21, 6, generator=generator, dtype=torch.float64).to(kind)
        labels = torch.arange(size) % CLASSES
        weights = torch.rand(size, generator=generator).to(kind)
        whole = Batch(features, labels, labels, neighbours(labels), weights, Share(0, size))
        own = group.share_of(size)
        found.append(whole.map(itemgetter(own))._replace(share=Share(own.start, size)))
    return found


def run(case: Case, backend: str, group: Group = ALONE) -> dict[str, Tensor]:
    """Take a step for each batch; return gradients of the first, then everything that changed."""
    step = make_step(case, backend, group)
    found: dict[str, Tensor] = {}
    for number, batch in enumerate(batches(backend, group)):
        torch.manual_seed(number)  # of dropout
        step(batch)
        if number == 0:
            found |= {
                f"gradient of {name}": parameter.grad.clone()
                for name, parameter in step.spotter.named_parameters()
                if parameter.grad is not None
            }
    found |= step.spotter.state_dict()
    if step.ema:
        found |= {f"EMA of {name}": tensor for name, tensor in step.ema.module.state_dict().items()}
    return found | {"totals": step.totals, "taken": step.taken, "failed": step.failed}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with job() as group:
        found = {
            (name, backend): run(case, backend, group)
            for name, case in CASES.items()
            for backend in ("reference", "auto")
        }
        torch.save(found, folder / f"{group.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
