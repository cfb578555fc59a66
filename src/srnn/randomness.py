# SPDX-License-Identifier: MPL-2.0
"""Random numbers as functions of the seed, the place in the run and their purpose."""

from enum import IntEnum

import numpy as np

from srnn.settings import Keys, key


class SeedKeys(Keys):
    """The start of every random number."""

    seed: int = key(0, "seed of all random numbers", ge=0, le=2**32 - 1)


class Purpose(IntEnum):
    """The purpose of draws: it separates those of the same seed and place."""

    ORDER = 1
    SILENCE = 2
    AUGMENTATION = 3
    DROPOUT = 5
    PROTOCOL = 6
    NEGATIVES = 7
    SCENE = 8


def generator(purpose: Purpose, seed: int, *place: int) -> np.random.Generator:
    """Return the generator that draws for a purpose at a place, such as an epoch, or its step."""
    return np.random.default_rng((seed, *place, purpose))
