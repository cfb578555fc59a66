# SPDX-License-Identifier: MPL-2.0
"""Figures as SVG elements of a page, whose colours follow the page from light to dark."""

import io
import re
from collections.abc import Mapping
from html import escape

import matplotlib as mpl
from matplotlib.figure import Figure

from srnn.plot.theme import DARK, LIGHT

_REFERENCES = re.compile(r'(\bid="|href="#|url\(#)')
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_LIGHT = (LIGHT.ink, LIGHT.faint, *LIGHT.colours)
_DARK = (DARK.ink, DARK.faint, *DARK.colours)


def inline(figure: Figure, name: str, tips: Mapping[str, str] | None = None) -> str:
    """Return a figure, drawn with the light theme, as an ``<svg>`` element for an HTML page.

    Each colour of the theme has its counterpart on dark paper. Ids begin with ``name``, because
    those of several figures would collide. ``tips`` are shown while the pointer is over an artist,
    by its id (``gid``).
    """
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = _METADATA.sub("", text[text.index("<svg") :])
    for light, dark in zip(_LIGHT, _DARK, strict=True):
        text = re.sub(f": {light}", f": light-dark({light}, {dark})", text, flags=re.IGNORECASE)
    # Outlines of text alone: a cell of a confusion matrix is an image, which stays as it is.
    outline = f"stroke: {LIGHT.paper}"
    text = text.replace(outline, f"stroke: light-dark({LIGHT.paper}, {DARK.paper})")
    for gid, tip in (tips or {}).items():
        opened = f'<g id="{gid}">'
        text = text.replace(opened, f"{opened}<title>{escape(tip)}</title>")
    return _REFERENCES.sub(rf"\g<1>{name}-", text)
