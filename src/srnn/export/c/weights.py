# SPDX-License-Identifier: MPL-2.0
"""The weights of a network as the C program holds them: 32-bit floats, or 8-bit integers.

Legend: O outputs, I inputs.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Weights = Literal["float32", "int8"]

_LARGEST = 127  # of the 8-bit integers: symmetric, so that -128 is not used


class Matrix(NamedTuple):
    """A matrix of weights.

    Attributes
    ----------
    values : array, shape (O, I), float32 or int8
    scale : array, shape (O,), float32, or None
        Of 8-bit integers: the weight that 1 stands for, in each row.
    """

    values: NDArray[Any]
    scale: NDArray[np.float32] | None

    @property
    def dense(self) -> Tensor:
        """The weights that it stands for, (O, I), float32."""
        if self.scale is None:
            return torch.from_numpy(self.values.copy())
        return torch.from_numpy(self.values * self.scale[:, None])


def matrix_of(weight: Tensor, weights: Weights) -> Matrix:
    """Return a weight (O, I); of "int8" the largest of each row becomes 127, all are rounded."""
    values = weight.numpy(force=True).astype(np.float32)
    if weights == "float32":
        return Matrix(values, None)
    largest = np.abs(values).max(axis=1)
    scale = np.where(largest > 0, largest, 1).astype(np.float32) / np.float32(_LARGEST)
    rounded = np.rint(values / scale[:, None]).clip(-_LARGEST, _LARGEST)
    return Matrix(rounded.astype(np.int8), scale)
