# SPDX-License-Identifier: MPL-2.0
"""Where compiled code and packs are kept: the user's cache directory, or one for this process.

In a container or on a cluster there may be no home directory, no user name, a read-only root or a
full disk. None of that is a reason not to run.
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

_TRIAL = 4096  # bytes: a disk that is full still takes an empty file
_MEMORY = Path("/dev/shm")  # noqa: S108 (what is made in it has a name of its own)

_log = logging.getLogger(__name__)


def user_cache() -> Path:
    """Return ``$XDG_CACHE_HOME/srnn`` or ``~/.cache/srnn``; a temporary directory if it must be.

    Raises
    ------
    InputError
        If no directory at all can be written.
    """
    place = named_cache()
    return writable(place) if place else _temporary("no home directory is known")


def named_cache() -> Path | None:
    """Return the user's cache directory, there or not; None where no home directory is known."""
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
        If no directory at all can be written.
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
        "no lasting cache: %s: what is compiled or packed is kept in %s until this process ends; "
        "set XDG_CACHE_HOME to a directory that can be written",
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
        "TMPDIR: expected a directory for temporary files that can be written, found none "
        f"({'; '.join(refusals)}): set it, or XDG_CACHE_HOME, to one"
    )


def _remove(place: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not in a fork of it
        shutil.rmtree(place, ignore_errors=True)


def prepare_torch_compiler() -> None:
    """Name the cache of torch's compiler where torch cannot: without it, it cannot be imported.

    Torch makes the name out of the user's, and the directory where temporary files belong.
    """
    chosen = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    try:
        if chosen:
            Path(chosen).mkdir(parents=True, exist_ok=True)
            return
        getpass.getuser()
        if tempfile.gettempdir() != str(Path.cwd()):  # where it looks last
            return
    except (KeyError, OSError, ImportError) as error:
        _log.debug("torch finds no place for its cache: %s", error)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(user_cache() / "torchinductor")


@cache
def librosa(name: str, *others: str) -> Callable[..., Any]:
    """Return a function of librosa, such as ``"feature.delta"``; it calls the others named.

    As its modules are imported, numba compiles some of their functions and keeps them beside their
    source or in a cache of its own. Where these cannot be written, ours takes their place; what is
    damaged there is made anew.

    Raises
    ------
    InputError
        If no directory at all can be written.
    """
    try:
        return _function(name, *others)
    # numba's RuntimeError: it finds no place; OSError: the disk is full; others: what pickle says.
    except (RuntimeError, OSError) as error:
        from numba.core import config

        _log.debug("librosa's functions cannot be kept where they would be: %s", error)
        place = user_cache()
        if named_cache() is None:  # librosa asks for it, too
            os.environ["XDG_CACHE_HOME"] = str(place)
        with _in_place_of(config, "CACHE_DIR", str(place / "numba")):
            return _function(name, *others)
    except ImportError:
        raise
    except Exception:
        from numba.core.caching import IndexDataCacheFile

        _warn_of_damage()
        load = forgiving(IndexDataCacheFile.load)
        with _in_place_of(IndexDataCacheFile, "load", load):
            return _function(name, *others)


@cache
def _warn_of_damage() -> None:
    _log.warning("what numba keeps of librosa is damaged and is made anew")


def forgiving(load: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of numba's cache file that loads, and empties the file if it is damaged."""

    def load_or_flush(file: Any, key: object) -> Any:
        try:
            return load(file, key)
        except Exception:  # unpickling what is damaged may raise anything
            file.flush()
            return None

    return load_or_flush


def _function(name: str, *others: str) -> Callable[..., Any]:
    librosa = importlib.import_module("librosa")
    with warnings.catch_warnings():
        # Without semaphores, joblib starts no processes; nobody asks it to.
        warnings.filterwarnings("ignore", ".*joblib will operate in serial mode")
        for other in others:  # librosa imports modules when something in them is first asked for
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
