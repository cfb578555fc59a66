# SPDX-License-Identifier: MPL-2.0
"""Cache directories for compiled code and packs: the user's, else a temporary one.

A container or cluster may lack a home directory, a user name or writable disks. Commands then run
with a temporary cache.
"""

import atexit
import getpass
import importlib
import logging
import operator
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from srnn.errors import InputError, printable

_TRIAL = 4096  # bytes; an empty file can be written to a full disk, too
_MEMORY = Path("/dev/shm")  # noqa: S108 (folders in it get unique names)

_log = logging.getLogger(__name__)


def user_cache() -> Path:
    """Return ``$XDG_CACHE_HOME/srnn`` or ``~/.cache/srnn``, else a temporary directory.

    Raises
    ------
    InputError
        If no directory is writable.
    """
    place = named_cache()
    return writable(place) if place else _temporary("no home directory is known")


def named_cache() -> Path | None:
    """Return the user's cache directory, which may not exist; None without a home directory."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "srnn"
    except RuntimeError:
        return None


@cache
def writable(place: Path) -> Path:
    """Return ``place``, created where missing, or a temporary directory if it cannot be written.

    Raises
    ------
    InputError
        If no directory is writable.
    """
    try:
        _try_writing(place)
    except OSError as error:
        found = error.strerror or str(error)
        return _temporary(f"{printable(place)} cannot be written ({found})")
    return place


def _try_writing(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=place) as file:
        file.write(bytes(_TRIAL))


def _temporary(reason: str) -> Path:
    """Return the temporary directory of this process; the first time, warn."""
    place = _temporary_directory()
    _warn_once(reason, place)
    return place


@cache
def _warn_once(reason: str, place: Path) -> None:
    _log.warning(
        "no persistent cache: %s: compiled code and packs are kept in %s until this process ends; "
        "set XDG_CACHE_HOME to a writable directory",
        reason,
        place,
    )


@cache
def _temporary_directory() -> Path:
    """Make a directory that only this user can read; it is removed when the process ends."""
    refusals = []
    for parent in (None, _MEMORY):  # None: $TMPDIR, /tmp and the like, the working directory
        try:
            place = Path(tempfile.mkdtemp(prefix="srnn-", dir=parent))
            _try_writing(place)
        except OSError as error:
            refusals.append(error.strerror or str(error))
        else:
            atexit.register(_remove, place, os.getpid())
            return place
    raise InputError(
        "TMPDIR: expected a writable directory for temporary files, found none "
        f"({'; '.join(refusals)}): set it, or XDG_CACHE_HOME, to one"
    )


def _remove(place: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a forked process
        shutil.rmtree(place, ignore_errors=True)


def prepare_torch_compiler() -> None:
    """Set the cache directory of torch's compiler where torch finds none: its import would fail.

    Torch derives it from the user name and the directory for temporary files.
    """
    chosen = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    try:
        if chosen:
            Path(chosen).mkdir(parents=True, exist_ok=True)
            return
        getpass.getuser()
        if tempfile.gettempdir() != str(Path.cwd()):  # the last place tried
            return
    except (KeyError, OSError, ImportError) as error:
        _log.debug("torch has no directory for its cache: %s", error)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(user_cache() / "torchinductor")


@cache
def librosa(name: str, *others: str) -> Callable[..., Any]:
    """Return a function of librosa, such as ``"feature.delta"``; it calls the others named.

    At the import of its modules numba compiles some functions and caches them beside their source
    or in its own cache. Where neither is writable, this package's cache is used; damaged entries
    are compiled again.

    Raises
    ------
    InputError
        If no directory is writable.
    """
    try:
        return _function(name, *others)
    # RuntimeError: numba has no writable cache; OSError: the disk is full; others: from pickle.
    except (RuntimeError, OSError) as error:
        from numba.core import config

        _log.debug("numba cannot cache librosa's functions in its own place: %s", error)
        place = user_cache()
        if named_cache() is None:  # librosa reads it, too
            os.environ["XDG_CACHE_HOME"] = str(place)
        with _in_place_of(config, "CACHE_DIR", str(place / "numba")):
            return _function(name, *others)
    except ImportError:
        raise
    except Exception:
        from numba.core.caching import IndexDataCacheFile

        _warn_of_damage()
        load = load_or_discard(IndexDataCacheFile.load)
        with _in_place_of(IndexDataCacheFile, "load", load):
            return _function(name, *others)


@cache
def _warn_of_damage() -> None:
    _log.warning("numba's cache for librosa is damaged: its functions are compiled again")


def load_or_discard(load: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``load`` of numba's cache file that empties the file if it is damaged."""

    def load_or_flush(file: Any, key: object) -> Any:
        try:
            return load(file, key)
        except Exception:  # unpickling damaged data may raise any exception
            file.flush()
            return None

    return load_or_flush


def _function(name: str, *others: str) -> Callable[..., Any]:
    librosa = importlib.import_module("librosa")
    with warnings.catch_warnings():
        # Without semaphores joblib starts no processes; none are needed.
        warnings.filterwarnings("ignore", ".*joblib will operate in serial mode")
        for other in others:  # librosa imports its modules lazily
            operator.attrgetter(other)(librosa)
        function: Callable[..., Any] = operator.attrgetter(name)(librosa)
    return function


@contextmanager
def _in_place_of(owner: object, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
