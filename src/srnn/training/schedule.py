# SPDX-License-Identifier: MPL-2.0
"""The learning-rate schedule."""

import math
from typing import Literal

from srnn.settings import MANY, Keys, key


class ScheduleKeys(Keys):
    """The course of the learning rates over the epochs."""

    epochs: int = key(
        30,
        "number of passes over the training partition",
        "epochs",
        free_on_resume=True,
        fixed_if={"srnn.schedule": "cosine"},
        ge=1,
        le=MANY,
    )
    schedule: Literal["step", "cosine", "constant"] = key(
        "step",
        "learning-rate schedule: `step` multiplies the learning rates by `schedule_factor` "
        "every `schedule_epochs`; `cosine` anneals them to 0 over all epochs; `constant` keeps "
        "them",
    )
    schedule_epochs: int = key(
        10,
        "step schedule: epochs between two drops of the learning rates",
        "epochs",
        idle_unless={"srnn.schedule": "step"},
        ge=1,
        le=MANY,
    )
    schedule_factor: float = key(
        0.1,
        "step schedule: factor of each drop",
        idle_unless={"srnn.schedule": "step"},
        gt=0,
        le=1,
    )
    warmup_epochs: float = key(
        0.0,
        "linear warm-up: duration of the rise of the learning rates from 0, with any schedule",
        "epochs",
        ge=0,
    )


def schedule_factor(keys: ScheduleKeys, epochs_done: float, step: float = 0.0) -> float:
    """Return the factor of the learning rates after ``epochs_done`` epochs.

    Parameters
    ----------
    keys : ScheduleKeys
    epochs_done : float, 0 <= epochs_done <= epochs
        With fractions: the cosine and the rise at the start move at every step.
    step : float
        Length of a step (epochs): the first one already moves by something.
    """
    rise = min(1.0, (epochs_done + step) / keys.warmup_epochs) if keys.warmup_epochs else 1.0
    match keys.schedule:
        case "step":
            drops = int(epochs_done) // keys.schedule_epochs
            return float(rise * keys.schedule_factor**drops)
        case "cosine":
            return rise * 0.5 * (1 + math.cos(math.pi * epochs_done / keys.epochs))
        case "constant":
            return rise
