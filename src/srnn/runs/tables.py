# SPDX-License-Identifier: MPL-2.0
"""Tables for people, no wider than a terminal."""

from collections.abc import Sequence

_WIDTH = 80  # columns of a terminal
_GAP = "  "


def text_table(lines: Sequence[Sequence[str]], keys: int) -> str:
    """Return a table whose columns are flush right.

    Where it is wider than a terminal, it is broken into several below each other.

    Parameters
    ----------
    lines : sequence of sequence of str
        The heads of the columns, and then the cells of each line: equally many.
    keys : int >= 1
        How many of the first columns say which line it is: each part begins with them.
    """
    columns = [_flush_right(column) for column in zip(*lines, strict=True)]
    first, others = columns[:keys], columns[keys:]
    parts = [first]
    for column in others:
        if _width([*parts[-1], column]) > _WIDTH and len(parts[-1]) > keys:
            parts.append(first)
        parts[-1] = [*parts[-1], column]
    return "\n\n".join(
        "\n".join(_GAP.join(cells).rstrip() for cells in zip(*part, strict=True)) for part in parts
    )


def cell(value: float | None, style: str) -> str:
    """Return a value in a format; "-" where there is none."""
    return "-" if value is None else format(value, style)


def _flush_right(column: Sequence[str]) -> list[str]:
    width = max(map(len, column))
    return [cell.rjust(width) for cell in column]


def _width(columns: Sequence[Sequence[str]]) -> int:
    return sum(len(column[0]) for column in columns) + len(_GAP) * (len(columns) - 1)
