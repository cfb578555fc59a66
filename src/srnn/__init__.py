# SPDX-License-Identifier: MPL-2.0
"""Efficient Spiking Networks: adaptive spiking recurrent networks that recognise keywords.

What the command ``srnn`` does, and the layer it does it with:

``train(config, run_dir)``
    Trains and tests a network as a TOML file, or a dict of its tables, says: a `TrainedRun`.
``evaluate(run, partition)``
    Measures the accuracy of what was trained: an `Evaluation`.
``load(run)``
    Loads what was trained: a `Recogniser`. Its ``predict`` names the word in a recording; its
    ``record`` shows what the network does with it, an `Activity`.
``AdaptiveLIF``
    The layer, for networks of one's own; `own_cores` is what to train them in on a CPU.

What is wrong with the input is an `InputError`. The log goes to the logger ``srnn`` of the standard
library, which nothing here sets up.
"""

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

from srnn.errors import DivergenceError, InputError

if TYPE_CHECKING:
    from srnn.network.activity import Activity
    from srnn.network.layers import AdaptiveLIF
    from srnn.network.ops import own_cores
    from srnn.runs.api import TrainedRun, evaluate, train
    from srnn.runs.recogniser import Recogniser, load
    from srnn.training.evaluation import Evaluation

__all__ = [
    "Activity",
    "AdaptiveLIF",
    "DivergenceError",
    "Evaluation",
    "InputError",
    "Recogniser",
    "TrainedRun",
    "evaluate",
    "load",
    "own_cores",
    "train",
]
__version__ = metadata.version("efficient-spiking-networks")

# What needs torch is imported when it is first asked for: ``srnn --help`` should not wait for it.
_HOMES = {
    "Activity": "srnn.network.activity",
    "AdaptiveLIF": "srnn.network.layers",
    "Evaluation": "srnn.training.evaluation",
    "Recogniser": "srnn.runs.recogniser",
    "TrainedRun": "srnn.runs.api",
    "evaluate": "srnn.runs.api",
    "load": "srnn.runs.recogniser",
    "own_cores": "srnn.network.ops",
    "train": "srnn.runs.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
