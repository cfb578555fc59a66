# SPDX-License-Identifier: MPL-2.0
"""Compilation of kernels with numba, and the cache of compiled code."""

import hashlib
import logging
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import config
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    UserProvidedCacheLocator,
)
from numba.core.types.misc import unliteral
from tqdm import tqdm

from srnn.bars import progress_bar
from srnn.caches import load_or_discard, named_cache, user_cache, writable
from srnn.errors import printable
from srnn.network.neurons import registry

_CHECKSUM = 4  # bytes of a CRC-32
_KERNELS = 40  # approximate number of functions compiled for a network
# As fast as the third level, which looks longer for loops to vectorise: the kernels have vectors.
_OPTIMISATION = 2

_log = logging.getLogger(__name__)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a kernel, or a part of one, at its first call; cache the code on disk.

    Numba detects changes in the file of a kernel, but not in files whose functions it inlines. The
    name of the cache folder is therefore a digest of all these files. It lies in the user's cache
    directory (``$XDG_CACHE_HOME``, ``~/.cache`` or ``$NUMBA_CACHE_DIR``), or in a temporary one if
    that is not writable. Damaged entries are compiled again.
    """
    compiled = numba.njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function)
    compiled._cache = _KernelCache(function)
    compiled.get_call_template = _for_all_values(compiled.get_call_template)
    compiled.compile = _at_level(compiled.compile)
    return compiled


def _at_level(compile_one: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at `_OPTIMISATION`, or below where numba's own level, that of the process, is."""

    def function(signature: Any) -> Any:
        before, config.OPT = config.OPT, type(config.OPT)(min(config.OPT, _OPTIMISATION))
        try:
            return compile_one(signature)
        finally:
            config.OPT = before

    return function


def _for_all_values(get_call_template: Callable[..., Any]) -> Callable[..., Any]:
    """Let calls from other kernels share one version; numba makes one for each constant argument.

    LLVM inlines where that is faster.
    """

    def function(args: Iterable[Any], keywords: Mapping[str, Any]) -> Any:
        general = {name: unliteral(kind) for name, kind in keywords.items()}
        return get_call_template(tuple(map(unliteral, args)), general)

    return function


class _Progress:
    """The progress bar of compilation, if any; it appears when a kernel is compiled."""

    bar: tqdm | None = None
    on_kernel: Callable[[], None] | None = None


@contextmanager
def compilation_progress(on_kernel: Callable[[], None] | None = None) -> Iterator[None]:
    """Show a progress bar on stderr, if that is a terminal, while kernels are compiled.

    ``on_kernel`` is called after each kernel that is loaded or compiled; its exceptions propagate.
    """
    bar = progress_bar(
        desc="compiling kernels",
        total=_KERNELS,
        bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
        dynamic_ncols=True,
        delay=1e-3,  # not before the first has been compiled
    )
    with bar:
        _Progress.bar, _Progress.on_kernel = bar, on_kernel
        try:
            yield
        finally:
            _Progress.bar = _Progress.on_kernel = None


def _folder() -> Path:
    """Return the folder of compiled kernels; an existing one may be read-only."""
    name = f"kernels-{_digest()}"
    chosen = config.CACHE_DIR
    place = Path(chosen) if chosen else named_cache()
    if place and os.access(place / name, os.R_OK | os.X_OK):
        return place / name
    return (writable(place) if chosen and place else user_cache()) / name


class _Locator(UserProvidedCacheLocator):
    """Places a function's cached code in `_folder`."""

    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        super().__init__(py_func, py_file)
        self._cache_path = str(_folder() / self.get_suitable_cache_subpath(py_file))

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_Locator":
        return cls(py_func, py_file)

    def ensure_cache_path(self) -> None:
        Path(self._cache_path).mkdir(parents=True, exist_ok=True)


class _Implementation(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012 (numba's)


class _File(IndexDataCacheFile):
    """The cache file of a function, with checksums: damaged code could crash or misbehave."""

    load = load_or_discard(IndexDataCacheFile.load)

    def _dump(self, obj: object) -> bytes:
        content: bytes = super()._dump(obj)
        return content + zlib.crc32(content).to_bytes(_CHECKSUM)

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        if zlib.crc32(content[:-_CHECKSUM]).to_bytes(_CHECKSUM) != content[-_CHECKSUM:]:
            raise ValueError(f"{name} is damaged")
        return super()._load_data(name)


class _KernelCache(FunctionCache):
    """The cache of one function. A failed write is a warning."""

    _impl_class = _Implementation

    def __init__(self, py_func: Callable[..., Any]) -> None:
        super().__init__(py_func)
        stamp, base = self._impl.locator.get_source_stamp(), self._impl.filename_base
        self._cache_file = _File(self._cache_path, base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            found = super().load_overload(sig, target_context)
        except OSError as error:  # damaged and read-only
            _warn_once(Path(self._cache_path).parent, error.strerror or str(error))
            self.disable()
            found = None
        if found is None:
            _announce()
        elif _Progress.on_kernel:
            _Progress.on_kernel()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _warn_once(Path(self._cache_path).parent, error.strerror or str(error))
        if _Progress.bar is not None:
            _Progress.bar.total = max(_Progress.bar.total, _Progress.bar.n + 2)
            _Progress.bar.update()
        if _Progress.on_kernel:
            _Progress.on_kernel()


@cache
def _digest() -> str:
    """Return a hash of the kernels' files, those of the neurons included."""
    files = sorted([*Path(__file__).parent.glob("*.py"), *registry.FOLDER.rglob("*.py")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


@cache
def _announce() -> None:
    _log.info("compiling kernels for this machine: about half a minute, once")


@cache
def _warn_once(folder: Path, reason: str) -> None:
    _log.warning(
        "compiled kernels cannot be kept in %s (%s): the next process compiles them again; set "
        "XDG_CACHE_HOME to a writable directory",
        printable(folder),
        reason,
    )
