# SPDX-License-Identifier: MPL-2.0
"""Put a data set into a data root: whole and once, or with an error of one line.

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
"""The folder in a data root that the data sets lie in; torchaudio's name for it."""

SYNTHETIC_WORDS = "SyntheticWords"
"""The folder in a data root that synthetic words for `_unknown_` lie in."""

ARCHIVES = (".tar.gz", ".tgz", ".tar")
"""Suffixes of archives."""

_ELSEWHERE = "set data.dataroot to a folder that can be written or holds the data set"


def corpus_name(url: str) -> str:
    """Return the name of a data set: the file name of its URL without the archive's suffix.

    Raises
    ------
    ValueError
        If it is no URL, as with an unclosed bracket in the host.
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
        If the data root can be neither created nor written.
    """
    dataroot.mkdir(parents=True, exist_ok=True)
    waiting = f"waiting for another process that prepares {name} in {dataroot}"
    return locked(dataroot / f".{name}.lock", waiting)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``folder``, and remove it in the end.

    It may be renamed in the context. Its name is always the same, so that the leftovers of a killed
    process are found and removed first. To be called under `sole_use`.
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
    """Rename a folder to its name once all of its content is on the disk."""
    sync_tree(content)
    content.rename(folder)
    sync_directory(folder.parent)
