# SPDX-License-Identifier: MPL-2.0
"""Install a data set in a data root, atomically and by one process at a time.

A data set lies in ``DIR/SpeechCommands/<name>/``. It is prepared under a hidden name beside that,
flushed to the disk and renamed, by one process at a time; an interruption leaves nothing under the
name of a data set.
"""

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from srnn.data.fetch.locks import locked
from srnn.errors import InputError
from srnn.files import remedy, sync_directory, sync_tree

CORPORA = "SpeechCommands"
"""Folder of the data sets in a data root, named as in torchaudio."""

SYNTHETIC_WORDS = "SyntheticWords"
"""Folder in a data root of the synthetic words for `_unknown_`."""

ARCHIVES = (".tar.gz", ".tgz", ".tar")
"""Suffixes of archives."""

_ELSEWHERE = "set data.dataroot to a folder that is writable or holds the data set"


def corpus_name(url: str) -> str:
    """Return the name of a data set: the file name of its URL without the archive's suffix.

    Raises
    ------
    ValueError
        If it is no valid URL.
    """
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    for suffix in ARCHIVES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


@contextmanager
def disk_errors(dataroot: Path) -> Iterator[None]:
    """Turn errors of the disk (full, read-only, not a folder) into an `InputError` of one line."""
    try:
        yield
    except OSError as error:
        place = error.filename or dataroot
        found = error.strerror or error
        what_to_do = remedy(error, _ELSEWHERE)
        raise InputError(f"data.dataroot: {place}: {found}: {what_to_do}") from error


def sole_use(dataroot: Path, name: str) -> AbstractContextManager[object]:
    """Take the lock of a data set, for a ``with`` statement; other processes wait.

    Raises
    ------
    OSError
        If the data root cannot be created or is not writable.
    """
    dataroot.mkdir(parents=True, exist_ok=True)
    waiting = f"waiting for another process that prepares {name} in {dataroot}"
    return locked(dataroot / f".{name}.lock", waiting)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``folder``; remove it at the end unless it was renamed.

    Its name is fixed: leftovers of a killed process are removed first. Requires `sole_use`.
    """
    place = folder.with_name(f".{folder.name}.part")
    if place.exists():
        shutil.rmtree(place)
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        if place.exists():
            shutil.rmtree(place)


def publish(content: Path, folder: Path) -> None:
    """Flush a folder to disk and rename it to its final name."""
    sync_tree(content)
    content.rename(folder)
    sync_directory(folder.parent)
