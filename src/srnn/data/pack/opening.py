# SPDX-License-Identifier: MPL-2.0
"""Packs: all recordings of a data set, decoded once into one memory-mapped file.

A pack holds 16-bit samples at the rate of each recording, and nothing of labels, clip lengths or
features: a data set is decoded once for all configurations. Its file name is a digest of the
names, sizes, times of change and permissions of the recordings, so that a data set that has changed
is packed anew. A recording that cannot be decoded is no error: the pack holds the reason.
"""

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from srnn.caches import user_cache
from srnn.data.dataset import DataSet
from srnn.data.fetch.locks import locked
from srnn.data.pack.decoding import decode
from srnn.data.pack.file import Pack, key_of, read, write
from srnn.errors import InputError, printable
from srnn.files import remedy, sync_directory
from srnn.settings import Keys, TextLine, key

_NAMED = 3  # recordings in a message about many

_log = logging.getLogger(__name__)


class PackKeys(Keys):
    """Where decoded recordings are kept, and how they are decoded."""

    cache: TextLine = key(
        "auto",
        "folder for the decoded recordings; created if missing; `auto`: `.cache` in the folder "
        "of the data set or, if that is not writable, `$XDG_CACHE_HOME/srnn` or `~/.cache/srnn`",
        free_on_resume=True,
    )
    workers: Literal["auto"] | Annotated[int, Field(ge=0, le=64)] = key(
        "auto",
        "number of processes that decode the recordings, once for all runs; 0: the main "
        "process decodes them; `auto`: one process per core",
        "processes",
        free_on_resume=True,
    )
    max_unreadable: float = key(
        0.01,
        "maximum fraction of unreadable recordings; they are skipped with a warning, and more "
        "of them are an error",
        "fraction of all recordings",
        ge=0,
        le=1,
        free_on_resume=True,
    )


def open_pack(
    data_set: DataSet, cache: str = "auto", workers: int | Literal["auto"] = "auto"
) -> Pack:
    """Open the pack of a data set; on first use, and when the data set has changed, make it.

    Of several processes that need a pack one makes it, while the others wait. Packs of an earlier
    state of the data set are deleted, a damaged one is made anew.

    Parameters
    ----------
    data_set : DataSet
    cache : str
        Directory for packs, created where missing. "auto": `.cache` in the folder of the data set,
        or, where that cannot be written, `srnn.caches.user_cache`.
    workers : int >= 0 or "auto"
        Worker processes that decode: with 0 this process does, "auto" is one per core.

    Raises
    ------
    InputError
        If the cache cannot be written, the disk is full, or a worker process dies.
    """
    digest = key_of(data_set.files)
    refusals = []
    for directory in _directories(data_set.folder, cache):
        stem = f"{data_set.place.resolve().name}-{_digest_of_way(directory, data_set.place)}"
        path = directory / f"{stem}-{digest.hex()[:16]}.pack"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = locked(
                directory / f"{stem}.lock",
                "waiting for another process that packs the recordings of "
                f"{printable(data_set.place)}",
            )
        except OSError as error:
            refusals.append(f"{directory} ({error.strerror})")
            if pack := read(path, digest, data_set):
                return pack
            continue
        with lock:
            return read(path, digest, data_set) or _make(data_set, path, digest, stem, workers)
    raise InputError(
        f"data.cache: expected a writable directory, found {' and '.join(refusals)}: name another"
    )


def expect_readable(pack: Pack, maximum: float) -> None:
    """Warn of the recordings that are unreadable, and check that they are few.

    Parameters
    ----------
    pack : Pack
    maximum : float, 0 <= maximum <= 1
        Maximum fraction of all recordings.

    Raises
    ------
    InputError
        If more are unreadable.
    """
    _warn_of_problems(pack)
    if not pack.unreadable:
        return
    count, total = len(pack.unreadable), len(pack.recordings) + len(pack.unreadable)
    reasons = [f"{printable(name)}: {found}" for name, found in pack.unreadable.items()]
    _log.warning(
        "%s: %s of %s recordings are unreadable and skipped (to try them again, delete %s):\n%s",
        *(printable(pack.place), f"{count:,}", f"{total:,}", printable(pack.path)),
        "\n".join(reasons),
    )
    if count > maximum * total:
        raise InputError(
            f"data.max_unreadable: expected at most {maximum:.2%} unreadable recordings in "
            f"{pack.place}, found {count:,} of {total:,} ({'; '.join(reasons[:3])}"
            f"{'; ...' if count > 3 else ''}): repair or remove them, or allow more"
        )


def _warn_of_problems(pack: Pack) -> None:
    """Warn, on one line, of readable recordings with damaged samples."""
    doubtful = [recording for recording in pack.recordings.values() if recording.problem]
    if doubtful:
        some = [f"{printable(each.name)}: {each.problem}" for each in doubtful[:_NAMED]]
        _log.warning(
            "%s: %s of %s recordings do not sound as recorded (%s%s)",
            *(printable(pack.place), f"{len(doubtful):,}", f"{len(pack.recordings):,}"),
            "; ".join(some),
            "; ..." if len(doubtful) > _NAMED else "",
        )


def _directories(folder: Path, cache: str) -> Iterator[Path]:
    """Yield the directories that a pack may lie in, the preferred one first."""
    if cache == "auto":
        yield folder / ".cache"
        yield user_cache()
        return
    try:
        yield Path(cache).expanduser()
    except RuntimeError as error:
        raise InputError(f"data.cache: {cache}: no home directory is known: name it") from error


def _digest_of_way(directory: Path, place: Path) -> str:
    """Return a digest of the way from a cache to a data set, which may be moved together."""
    way = os.path.relpath(place.resolve(), directory.resolve())
    return hashlib.sha256(os.fsencode(way)).hexdigest()[:8]


def _make(
    data_set: DataSet, path: Path, digest: bytes, stem: str, workers: int | Literal["auto"]
) -> Pack:
    """Decode all recordings into a pack, which appears under its name when it is whole.

    The lock of ``stem`` is held: every other file of this stem is out of date.
    """
    names = [file.name for file in data_set.files]
    what = f"{len(names):,}", printable(data_set.place), printable(path)
    _log.info("packing %s recordings of %s into %s", *what)
    started = time.monotonic()
    temporary = path.with_name(f"{stem}.{os.getpid()}.part")  # unique to this process
    try:
        for leftover in path.parent.iterdir():
            if leftover.name.startswith(f"{stem}.") and leftover.suffix == ".part":
                _discard(leftover)
        with temporary.open("wb") as file:
            write(file, digest, decode(data_set.folder, names, temporary, workers))
        temporary.replace(path)
        sync_directory(path.parent)
        for old in path.parent.iterdir():
            if old.name.startswith(f"{stem}-") and old != path:
                _discard(old)
        size = path.stat().st_size
    except OSError as error:
        raise InputError(
            f"data.cache: {path}: cannot be written ({error.strerror}): "
            f"{remedy(error, 'name another directory')}"
        ) from error
    finally:
        _discard(temporary)
    seconds = time.monotonic() - started
    _log.info("packed %.1f MB in %.1f s; may be deleted at any time", size / 1e6, seconds)
    pack = read(path, digest, data_set)
    assert pack
    return pack


def _discard(path: Path) -> None:
    """Delete a file. One that cannot be deleted yet does no harm, and the next process tries."""
    with contextlib.suppress(OSError):
        path.unlink()
