# SPDX-License-Identifier: MPL-2.0
"""Checks of what is drawn."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from srnn.errors import InputError

Array = NDArray[np.float64]


def array(name: str, values: ArrayLike, shape: str) -> Array:
    """Return values as an array of the dimensions that ``shape`` names, such as "(T, H)".

    Raises
    ------
    InputError
        If they are of another number of dimensions, or there are none.
    """
    found = np.asarray(values, np.float64)
    if found.ndim != shape.count(",") + (not shape.endswith(",)")) or not found.size:
        raise InputError(f"{name}: expected shape {shape}, found {found.shape}")
    return found


def expect_count(name: str, values: object, found: int, expected: int) -> None:
    """Raise an `InputError` unless there are as many values as ``expected``."""
    if found != expected:
        raise InputError(f"{name}: expected {expected} {values}, found {found}")
