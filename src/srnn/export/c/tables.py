# SPDX-License-Identifier: MPL-2.0
"""Numbers and texts as C source: constants, tables, the members of a struct, their sizes."""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIZES = {
    "double": 8,
    "float": 4,
    "int32_t": 4,
    "uint32_t": 4,
    "int16_t": 2,
    "uint16_t": 2,
    "int8_t": 1,
    "uint8_t": 1,
}
_DIGITS = {"double": 17, "float": 9}  # that keep every bit
_LINE = 96  # characters

# Letters that a C string may hold as they are: not those of escapes and trigraphs.
_PLAIN = (set(string.printable) - set(string.whitespace) - set('"\\?')) | {" "}


@dataclass(frozen=True)
class Member:
    """A member of a struct.

    Attributes
    ----------
    type, name : str
    count : int
        Elements of an array; 0: a single number.
    meaning : str
    """

    type: str
    name: str
    count: int
    meaning: str


def struct_size(members: Sequence[Member]) -> int:
    """Return the size of a struct (bytes) where each type is aligned to its own size."""
    end, widest = 0, 1
    for member in members:
        size = _SIZES[member.type]
        widest = max(widest, size)
        end = -(-end // size) * size + size * max(1, member.count)
    return -(-end // widest) * widest


@dataclass(frozen=True)
class Table:
    """A constant array.

    Attributes
    ----------
    name : str
    type : str
        A type of C, or "unsigned" for the smallest that holds the values.
    values : array
        Of any shape; the last index varies fastest.
    comment : str
    """

    name: str
    type: str
    values: NDArray[Any]
    comment: str = ""

    @property
    def ctype(self) -> str:
        """The type of C."""
        if self.type != "unsigned":
            return self.type
        most = int(self.values.max(initial=0))
        return "uint8_t" if most < 2**8 else "uint16_t" if most < 2**16 else "uint32_t"

    @property
    def nbytes(self) -> int:
        """Size (bytes)."""
        return _SIZES[self.ctype] * self.values.size

    @property
    def definition(self) -> str:
        """Its definition."""
        remark = f"/* {self.comment} */\n" if self.comment else ""
        head = f"static const {self.ctype} {self.name}[{self.values.size}] = {{"
        if self.type in _DIGITS:
            items = [constant(value, self.type) for value in self.values.ravel().tolist()]
        else:
            items = list(map(str, self.values.ravel().tolist()))
        return "\n".join([f"{remark}{head}", *_lines(items), "};"])


@dataclass(frozen=True)
class Part:
    """A part of the C program.

    Attributes
    ----------
    constants : dict
        What the templates need.
    tables : list of Table
    members : list of Member
        The memory that is needed.
    """

    constants: dict[str, Any]
    tables: list[Table]
    members: list[Member]


def _lines(items: Sequence[str]) -> list[str]:
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > _LINE:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return [*lines, line]


def constant(value: float, kind: str = "float") -> str:
    """Return a constant of type "float" or "double" that keeps every bit of it."""
    number = np.float32(value) if kind == "float" else np.float64(value)
    text = f"{number:.{_DIGITS[kind]}g}"
    if not set(text) & set(".e"):
        text += ".0"
    return text + ("f" if kind == "float" else "")


def literal(text: str) -> str:
    """Return a string literal, in UTF-8."""
    # Three octal digits end an escape, whatever follows.
    chars = [
        chr(byte) if byte < 128 and chr(byte) in _PLAIN else f"\\{byte:03o}"
        for byte in text.encode("utf-8")
    ]
    return f'"{"".join(chars)}"'
