# SPDX-License-Identifier: MPL-2.0
"""The exponential moving average (EMA) of the weights, which is validated and kept in their place.

Polyak and Juditsky 1992 show why averages generalise better than the last weights.
"""

import copy

import torch
from torch import Tensor, nn

from srnn.settings import Keys, key


class EmaKeys(Keys):
    """The average of the weights."""

    averaging: float = key(
        0.0,
        "EMA decay: decay per step of an exponential moving average of the weights, which "
        "replaces the weights in validation, testing and the checkpoint of the best epoch; the "
        "decay is limited to (1 + s) / (10 + s) at step s, so that the average follows the "
        "first steps; 0: no average",
        ge=0,
        lt=1,
    )


class WeightEma:
    """An exponential moving average of all parameters and buffers of a module.

    Parameters
    ----------
    source : Module
        What is averaged; its parameters and buffers change in place. The average starts as a copy.
    decay : float, 0 < decay < 1
        Decay per step, see `update`.

    Attributes
    ----------
    module : Module
        The average.
    """

    def __init__(self, source: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(source)
        self.decay = decay
        # to look for them takes as long as to move them
        states = self.module.state_dict(), source.state_dict()
        self._pairs = list(zip(*(state.values() for state in states), strict=True))

    @torch.no_grad()
    def update(self, steps: Tensor) -> None:
        """Move the average towards the source; ``steps`` is the number of steps before this one.

        The decay is min(decay, (1 + steps) / (10 + steps)), as in TensorFlow's
        ExponentialMovingAverage: a decay of 0.9997 is reached at step 29,990.
        """
        rate = (9 / (10 + steps)).clamp(min=1 - self.decay)
        for mean, current in self._pairs:
            mean.lerp_(current, rate)
