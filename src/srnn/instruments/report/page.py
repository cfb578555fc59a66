# SPDX-License-Identifier: MPL-2.0
"""The HTML page of a report: its parts, and the template that they are put into."""

import base64
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import numpy as np
import soundfile
from numpy.typing import NDArray

from srnn.version import VERSION


@dataclass(frozen=True)
class Drawn:
    """A figure in the page.

    Attributes
    ----------
    svg : str
        An ``<svg>`` element.
    caption : str
    wide : bool
        Whether a narrow page is scrolled to show it, instead of making it small.
    """

    svg: str
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class PlayableClip:
    """A clip in the page: its spectrogram, what is said of it, and its sound.

    Attributes
    ----------
    svg : str
    caption : str
    audio : str
        A data URL.
    """

    svg: str
    caption: str
    audio: str


@dataclass(frozen=True)
class Link:
    """A link to a file or a folder, by its path relative to the page."""

    text: str
    path: str

    @property
    def url(self) -> str:
        """The address."""
        return quote(self.path)


Cell = str | Sequence[Link]


@dataclass(frozen=True)
class Table:
    """A table: the heads of its columns, and its rows, whose first cell is the name of the row."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Block:
    """A piece of a part, in this order: title, texts, tiles, tables, figures, clips, code."""

    title: str = ""
    texts: Sequence[str] = ()
    tiles: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Drawn] = ()
    clips: Sequence[PlayableClip] = ()
    code: str = ""


@dataclass(frozen=True)
class Tab:
    """A part of the page that is shown at a time."""

    id: str
    title: str
    blocks: list[Block] = field(default_factory=list)


def render(title: str, subtitle: str, tabs: Sequence[Tab], data: dict[str, Any]) -> str:
    """Return the page; it needs nothing from elsewhere.

    Parameters
    ----------
    title, subtitle : str
    tabs : sequence of Tab
    data : dict
        For programs: what JSON can hold. It lies in the element ``data``.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    template = environment.get_template("page.html.jinja")
    return template.render(title=title, subtitle=subtitle, tabs=tabs, data=data)


def subtitle(names: str) -> str:
    """Return what a report is about, and by which version and when it was written."""
    return f"{names}; srnn {VERSION}, {time.strftime('%Y-%m-%d %H:%M')}"


def wav_url(samples: NDArray[np.float32], sample_rate: int) -> str:
    """Return samples (n,) in [-1, 1) as a data URL of a 16-bit wav file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format="WAV", subtype="PCM_16")
    return f"data:audio/wav;base64,{base64.b64encode(buffer.getvalue()).decode()}"
