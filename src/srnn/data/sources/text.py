# SPDX-License-Identifier: MPL-2.0
"""Text files that a user wrote, on any system."""

import codecs
from pathlib import Path

from srnn.errors import InputError


def read_text(path: Path, expected: str) -> str:
    """Return the text of a file: UTF-8, or UTF-16 with its mark, as of Windows' PowerShell.

    A byte that is no UTF-8 reads as in the names of files, which may hold it, too.

    Raises
    ------
    InputError
        If the file cannot be read; ``expected`` is what it should be.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected {expected}, found {error.strerror}") from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors="surrogateescape")
