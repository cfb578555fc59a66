# SPDX-License-Identifier: MPL-2.0
"""Efficient Spiking Networks: adaptive spiking recurrent networks that recognise keywords.

What the command ``srnn`` does, and the layer it does it with:

``train(config, run_dir)``
    Trains and tests the network that a TOML file, or a dict of its tables, describes: a
    `TrainedRun`.
``evaluate(run, partition)``
    Measures the accuracy of a trained network: an `Evaluation`.
``load(run)``
    Loads a trained network: a `Recogniser`. Its ``predict`` names the word in a recording; its
    ``record`` returns the `Activity` of its layers.
``AdaptiveLIF``
    A layer of spiking neurons, used like `torch.nn.LSTM`; `own_cores` gives its kernels the cores
    of a CPU.
``plot``
    Figures of what they return, for notebooks.
``Neuron``
    The base class of kinds of neurons (`State`, `Normal`, `Uniform`, `Surrogate` and `spike` are
    their parts); `register_neuron` makes one of your own known to configurations.

Wrong input is an `InputError`. The log goes to the logger ``srnn`` of the standard library.
"""

import importlib
from typing import TYPE_CHECKING, Any

from srnn.errors import DivergenceError, InputError
from srnn.version import VERSION

if TYPE_CHECKING:
    from srnn import plot
    from srnn.network.activity import Activity
    from srnn.network.layers import AdaptiveLIF
    from srnn.network.neurons import Neuron, Normal, State, Uniform, register_neuron
    from srnn.network.ops import own_cores
    from srnn.network.surrogate import Surrogate, spike
    from srnn.runs.api import TrainedRun, train
    from srnn.runs.evaluation import evaluate
    from srnn.runs.recogniser import Recogniser, load
    from srnn.training.evaluation import Evaluation

__all__ = [
    "Activity",
    "AdaptiveLIF",
    "DivergenceError",
    "Evaluation",
    "InputError",
    "Neuron",
    "Normal",
    "Recogniser",
    "State",
    "Surrogate",
    "TrainedRun",
    "Uniform",
    "evaluate",
    "load",
    "own_cores",
    "plot",
    "register_neuron",
    "spike",
    "train",
]
__version__ = VERSION

# Modules that need torch are imported lazily: ``srnn --help`` must be fast.
_HOMES = {
    "Activity": "srnn.network.activity",
    "AdaptiveLIF": "srnn.network.layers",
    "Evaluation": "srnn.training.evaluation",
    "Neuron": "srnn.network.neurons",
    "Normal": "srnn.network.neurons",
    "Recogniser": "srnn.runs.recogniser",
    "State": "srnn.network.neurons",
    "Surrogate": "srnn.network.surrogate",
    "TrainedRun": "srnn.runs.api",
    "Uniform": "srnn.network.neurons",
    "evaluate": "srnn.runs.evaluation",
    "load": "srnn.runs.recogniser",
    "own_cores": "srnn.network.ops",
    "register_neuron": "srnn.network.neurons",
    "spike": "srnn.network.surrogate",
    "train": "srnn.runs.api",
}


def __getattr__(name: str) -> Any:
    if name == "plot":  # a package, which needs matplotlib
        return importlib.import_module("srnn.plot")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
