# SPDX-License-Identifier: MPL-2.0
"""Figures as files."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from srnn.errors import InputError
from srnn.files import write_atomically

_DATES = {"svg": "Date", "pdf": "CreationDate"}  # left out: the same figure is the same file


def save(figure: Figure, file: Path) -> None:
    """Write a figure in the format that the suffix of the file names, see `picture_format`.

    Raises
    ------
    InputError
        If the suffix names no format, or the file cannot be written.
    """
    kind, image = picture_format(file), io.BytesIO()
    metadata = {_DATES[kind]: None} if kind in _DATES else None
    figure.savefig(image, format=kind, dpi=150, metadata=metadata)
    write_atomically(file, image.getvalue())


def picture_format(file: Path) -> str:
    """Return the format of a picture, by the suffix of its file: such as "png", "svg" or "pdf".

    Raises
    ------
    InputError
        If matplotlib writes no such format.
    """
    formats = Figure().canvas.get_supported_filetypes()
    suffix = file.suffix.removeprefix(".").lower()
    if suffix not in formats:
        expected = ", ".join(f".{each}" for each in formats)
        raise InputError(f"{file}: expected a file name ending in one of {expected}")
    return suffix
