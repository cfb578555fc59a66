# SPDX-License-Identifier: MPL-2.0
"""Progress of training: metrics of the epochs, and the state to resume from."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import ConfigDict, Field, FiniteFloat
from torch import Tensor

_Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class EpochMetrics:
    """The metrics of an epoch: a line of ``metrics.jsonl``."""

    epoch: int
    lr: FiniteFloat
    train_loss: FiniteFloat
    train_accuracy: FiniteFloat
    valid_loss: FiniteFloat
    valid_accuracy: FiniteFloat
    # None in the runs of older versions.
    valid_balanced_accuracy: FiniteFloat | None = field(default=None, kw_only=True)
    firing_rate: list[FiniteFloat]
    seconds: FiniteFloat
    samples_per_second: FiniteFloat


@dataclass
class Progress:
    """Progress of training, saved beside weights and moments.

    It holds no random state: draws are a function of seed, epoch and step.

    Attributes
    ----------
    epoch : int
        The current epoch, from 1.
    step : int
        Finished steps of it.
    loss, hits : float
        Sum over the clips of these steps.
    seconds : float
        Time that these steps took (s).
    history : list
        The metrics of each finished epoch.
    """

    epoch: Annotated[int, Field(ge=1)] = 1
    step: _Count = 0
    loss: FiniteFloat = 0.0
    hits: FiniteFloat = 0.0
    seconds: FiniteFloat = 0.0
    history: list[EpochMetrics] = field(default_factory=list)


@dataclass(frozen=True)
class TrainingState:
    """The state to resume from, beside the weights.

    Attributes
    ----------
    moments : dict of dict of Tensor
        Of the optimizer: by parameter (its index) and name, as torch has them.
    progress : Progress
    average : dict of Tensor, or None
        The EMA of the weights, if there is one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    moments: dict[int, dict[str, Tensor]]
    progress: Progress
    average: dict[str, Tensor] | None = None
