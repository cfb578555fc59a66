# SPDX-License-Identifier: MPL-2.0
"""Arrays of the kernels: their place in memory, and the layout of weights.

A matrix of K rows and N columns is laid out as *panels* (N / width x K x width) for tiles, and its
transpose as *strips* (K / width x N x width) for sums of rows, both with zeros after its end: they
are read from consecutive addresses.
"""

from typing import Any

import numpy as np

from srnn.network.ops.cpu.compilation import kernel
from srnn.network.ops.cpu.simd import (
    LANES,
    SQUARE,
    load_some,
    store,
    store_some,
    transpose_square,
)

_PAGE = 1024  # floats of a page


@kernel
def scratch(count: int, slot: int) -> Any:
    """Return zeros that begin ``slot`` eighths after the beginning of a page.

    4K aliasing: a load waits for an earlier store at the same offset within a page, because
    processors first compare these offsets only. In a loop over several arrays each needs a slot of
    its own, or loads and stores do not overlap.
    """
    array = workspace(count, slot)
    array[:] = 0
    return array


@kernel
def workspace(count: int, slot: int) -> Any:
    """Return an uninitialised array, placed as by `scratch`."""
    array = np.empty(count + 2 * _PAGE, np.float32)
    skipped = (-(array.ctypes.data // array.itemsize)) % _PAGE + slot * (_PAGE // 8)
    return array[skipped : skipped + count]


@kernel
def slots_apart(count: int) -> int:
    """Return the offset between arrays of ``count`` values in successive slots."""
    whole_pages: int = round_up(count, _PAGE)
    return whole_pages + _PAGE // 8


@kernel
def copy(source: Any, at: int, target: Any, to: int, count: int) -> None:
    """Copy ``count`` values."""
    for i in range(0, count, LANES):
        store_some(target, to + i, load_some(source, at + i, count - i), count - i)


@kernel
def round_up(count: int, unit: int) -> int:
    """Return the next multiple of ``unit``."""
    return -(-count // unit) * unit


@kernel
def transpose(source: Any, rows: int, columns: int, target: Any, width: int) -> None:
    """Write the transpose of a matrix (rows x columns) as strips of ``width``.

    ``width`` is a multiple of `simd.SQUARE`, or at least ``rows``.
    """
    stride = source.size // rows
    for row in range(0, rows, SQUARE):
        strip = row // width * columns * width + row % width
        for column in range(0, columns, SQUARE):
            if row + SQUARE <= rows and column + SQUARE <= columns:
                at, to = row * stride + column, strip + column * width
                transpose_square(source, at, stride, target, to, width)
            else:
                for r in range(min(SQUARE, rows - row)):
                    for c in range(column, min(column + SQUARE, columns)):
                        target[strip + c * width + r] = source[(row + r) * stride + c]


@kernel
def make_panels(weight: Any, rows: int, columns: int, width: int) -> Any:
    """Return the panels of a matrix, which may be empty; ``width`` is a multiple of `LANES`.

    One panel as wide as the matrix is the matrix with zeros after the end of each row.
    """
    padded = round_up(columns, width)
    panels = workspace(rows * padded, 0)
    for begin in range(0, padded, width):
        for row in range(rows):
            at, to = row * columns, begin * rows + row * width - begin
            for column in range(begin, begin + width, LANES):
                store(panels, to + column, load_some(weight, at + column, columns - column))
    return panels


@kernel
def make_strips(weight: Any, rows: int, columns: int, width: int) -> Any:
    """Return the transpose of a matrix as strips of ``width``; it may be empty."""
    padded = round_up(rows, width)
    strips = workspace(padded * columns, 0) if padded == rows else scratch(padded * columns, 0)
    if rows:
        transpose(weight, rows, columns, strips, width)
    return strips
