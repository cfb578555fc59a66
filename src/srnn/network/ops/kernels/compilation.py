# SPDX-License-Identifier: MPL-2.0
"""Compiling kernels, and keeping what has been compiled."""

import hashlib
import logging
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import config

_log = logging.getLogger(__name__)


def kernel(function: Callable[..., Any]) -> Any:
    """Have numba compile a kernel, or a part of one, when it is first called; keep it on disk.

    Numba looks for changes in the file that a kernel is written in, but not in those whose
    functions it takes in. What it keeps therefore lies in a folder for this state of them all, in
    the user's cache directory (``$XDG_CACHE_HOME`` or ``~/.cache``, or ``$NUMBA_CACHE_DIR``).
    """
    before = config.CACHE_DIR
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    config.CACHE_DIR = str(Path(before or home / "srnn") / f"kernels-{_digest()}")
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError as error:  # no directory can be written
        _warn_once(str(error))
        return numba.njit(nogil=True, error_model="numpy")(function)
    finally:
        config.CACHE_DIR = before


@cache
def _digest() -> str:
    """Return what tells this state of the kernels from others."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


@cache
def _warn_once(reason: str) -> None:
    _log.warning("compiled kernels cannot be kept and are compiled in every process: %s", reason)
