# SPDX-License-Identifier: MPL-2.0
"""The look of all figures: colours for light and dark paper, sizes of text, bare axes.

The colours are those of Okabe and Ito ("Color Universal Design", 2008), which differ also without
colour vision; on each paper those that stand out from it come first.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, to_rgb

from srnn.errors import printable


@dataclass(frozen=True)
class Palette:
    """The colours of a paper.

    Attributes
    ----------
    paper, ink : str
        Background, and text and axes.
    faint : str
        What stands back: grids, classes without a name.
    colours : tuple of str
        For lines and areas, the first ones preferred.
    """

    paper: str
    ink: str
    faint: str
    colours: tuple[str, ...]

    def shades(self) -> LinearSegmentedColormap:
        """Return a colour map from transparent (0) to the first colour (1)."""
        red, green, blue = to_rgb(self.colours[0])
        ends = [(red, green, blue, 0.0), (red, green, blue, 1.0)]
        return LinearSegmentedColormap.from_list("shades", ends)


_BLUE, _VERMILLION, _GREEN, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_ORANGE, _SKY, _YELLOW = "#E69F00", "#56B4E9", "#F0E442"

LIGHT = Palette(
    "#ffffff", "#1a1a1a", "#b0b0b0", (_BLUE, _VERMILLION, _GREEN, _PURPLE, _ORANGE, _SKY)
)
DARK = Palette(
    "#16181d", "#e8e8e8", "#6a6f78", (_SKY, _ORANGE, _GREEN, _PURPLE, _YELLOW, _VERMILLION)
)


@contextmanager
def theme(dark: bool = False, *, transparent: bool = True) -> Iterator[Palette]:
    """Make figures that are created in this block look alike, and yield their colours.

    Parameters
    ----------
    dark : bool
        Whether they have light text, for dark paper.
    transparent : bool
        Whether the paper shows through; otherwise the background is white, or nearly black.
    """
    colours = DARK if dark else LIGHT
    settings: Any = {
        "figure.facecolor": "none" if transparent else colours.paper,
        "savefig.facecolor": "auto",
        "axes.facecolor": "none",
        "axes.edgecolor": colours.ink,
        "axes.labelcolor": colours.ink,
        "axes.titlecolor": colours.ink,
        "text.color": colours.ink,
        "xtick.color": colours.ink,
        "ytick.color": colours.ink,
        "axes.prop_cycle": cycler(color=colours.colours),
        "font.size": 10.0,
        "axes.titlesize": 10.0,
        "axes.labelsize": 10.0,
        "xtick.labelsize": 9.0,
        "ytick.labelsize": 9.0,
        "legend.fontsize": 9.0,
        "figure.titlesize": 11.0,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "lines.linewidth": 1.5,
        "svg.hashsalt": "srnn",  # the same figure is the same file
    }
    with mpl.rc_context(settings):
        yield colours


def palette(axes: Axes) -> Palette:
    """Return the colours that suit axes, by the colour of their labels."""
    red, green, blue = to_rgb(axes.xaxis.label.get_color())
    return DARK if 0.3 * red + 0.6 * green + 0.1 * blue > 0.5 else LIGHT


def dress(axes: Axes, x: str, y: str, *, grid: bool = True) -> Palette:
    """Label axes, and return their colours."""
    colours = palette(axes)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    # matplotlib makes some ticks only when it draws, when the block of `theme` may have ended.
    axes.tick_params(color=axes.xaxis.label.get_color(), labelcolor=axes.xaxis.label.get_color())
    if grid:
        axes.grid(color=colours.faint, alpha=0.4, linewidth=0.6)
    return colours


def colour_bar(axes: Axes, image: ScalarMappable, label: str, **options: Any) -> None:
    """Draw the scale of an image beside its axes."""
    ink = axes.xaxis.label.get_color()
    place = axes.inset_axes((1.02, 0.0, 0.02, 1.0))
    figure = axes.get_figure(root=True)
    assert figure is not None  # as in `size`
    bar = figure.colorbar(image, place, **options)
    bar.set_label(label, color=ink)
    bar.ax.spines["outline"].set_visible(False)
    bar.ax.tick_params(color=ink, labelcolor=ink)


def key(axes: Axes, *handles: Artist) -> None:
    """Draw the legend above axes, at the right, where it hides nothing.

    Its entries are the artists with a label, or the given ones.
    """
    entries = handles or axes.get_legend_handles_labels()[0]
    axes.legend(
        handles=entries,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=len(entries),
        borderpad=0.0,
        borderaxespad=0.2,
        handlelength=1.4,
        handletextpad=0.4,
        columnspacing=1.2,
    )


def size(axes: Axes) -> tuple[float, float]:
    """Return width and height of axes (points) before a layout gives part of them to labels."""
    figure = axes.get_figure(root=True)
    assert figure is not None  # axes that were removed from their figure cannot be drawn on
    box = axes.get_window_extent()
    return 72 * box.width / figure.dpi, 72 * box.height / figure.dpi


def plain(text: object) -> str:
    """Return text that matplotlib shows as it is: on one line, and no dollar begins a formula."""
    return printable(text).replace("$", r"\$")
