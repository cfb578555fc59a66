# SPDX-License-Identifier: MPL-2.0
"""Find recordings by the names of files, folders and patterns."""

import glob
import logging
import os
from collections import Counter
from pathlib import Path

from srnn.data.audio import UnreadableError
from srnn.data.names import OTHER_SUFFIXES, is_recording, suffix_of
from srnn.errors import printable

_log = logging.getLogger(__name__)


def select_recordings(name: str | Path) -> list[Path]:
    """Return the recordings that a file, folder or pattern names.

    Parameters
    ----------
    name : str or Path
        A file of any suffix; a folder, for all recordings in it and its subfolders; or, if neither
        exists, a pattern with ``*``, ``?``, ``[...]`` or ``**`` (any depth), for all matching
        recordings and those in matching folders. Hidden files and folders are skipped.

    Returns
    -------
    list of Path
        Sorted. A single file is not opened.

    Raises
    ------
    UnreadableError
        If there is no recording in the folder, it cannot be read, or nothing matches.
    """
    path = Path(name)
    if path.is_dir():
        return _in_folder(path)
    pattern = str(name)
    if path.exists() or path.is_symlink() or not glob.has_magic(pattern):
        return [path]
    found: set[Path] = set()
    for match in map(Path, glob.iglob(pattern, recursive=True)):  # noqa: PTH207 (may be absolute)
        if match.is_dir():
            found.update(_walk(match, Counter()))
        elif is_recording(match.name):
            found.add(match)
    if not found:
        raise UnreadableError(path, "nothing that matches")
    return sorted(found)


def _in_folder(folder: Path) -> list[Path]:
    others: Counter[str] = Counter()
    found = sorted(_walk(folder, others))
    if not found:
        listed = ", ".join(f"{count:,} .{suffix}" for suffix, count in sorted(others.items()))
        unread = f" (but {listed} that soundfile does not read: convert them)" if others else ""
        raise UnreadableError(folder, f"a folder without any{unread}")
    return found


def _walk(folder: Path, others: Counter[str]) -> list[Path]:
    """Return the recordings in a folder tree; count other audio files by suffix in ``others``."""

    def refused(error: OSError) -> None:
        if error.filename == os.fspath(folder):
            raise UnreadableError(folder, f"nothing to read ({error.strerror})") from error
        _log.warning("%s is left out: %s", printable(error.filename), error.strerror)

    found = []
    entered: set[str] = set()
    for place, folders, files in os.walk(folder, onerror=refused, followlinks=True):
        real = os.path.realpath(place)
        if real in entered:  # a link to a parent folder makes a cycle
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, file) for file in files if is_recording(file)]
        others.update(suffix for file in files if (suffix := suffix_of(file)) in OTHER_SUFFIXES)
    return found
