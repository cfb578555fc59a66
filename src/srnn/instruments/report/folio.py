# SPDX-License-Identifier: MPL-2.0
"""The figures of a report: each for the page, and as files beside it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from srnn import plot
from srnn.errors import InputError
from srnn.instruments.report.page import Drawn
from srnn.instruments.report.svg import inline


class Folio:
    """Draws figures.

    Parameters
    ----------
    folder : Path
        Where their files go; it exists.
    prefix : str
        Begins the name of each figure, such as that of the run.
    """

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self._folder = folder
        self._prefix = prefix

    def draw(
        self,
        name: str,
        draw: Callable[[], Figure],
        caption: str = "",
        *,
        wide: bool = False,
        tips: Mapping[str, str] | None = None,
    ) -> Drawn:
        """Draw a figure for the page, and write it as ``name.svg`` and ``name.png``.

        ``tips``: see `inline`.

        Raises
        ------
        InputError
            If a file cannot be written.
        """
        name = f"{self._prefix}{name}"
        with plot.theme(transparent=False):
            figure = draw()
            for suffix in ("svg", "png"):
                plot.save(figure, self._folder / f"{name}.{suffix}")
            return Drawn(inline(figure, name, tips), caption, wide)

    def small(self, name: str, draw: Callable[[], Figure]) -> str:
        """Draw a figure for the page alone."""
        with plot.theme():
            return inline(draw(), f"{self._prefix}{name}")


def figures_folder(file: Path) -> Path:
    """Return the folder of the figures of a report, ``<stem>-figures`` beside it, created.

    Raises
    ------
    InputError
        If it cannot be created.
    """
    folder = file.with_name(f"{file.stem}-figures")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: expected a folder, found {error.strerror}") from error
    return folder
