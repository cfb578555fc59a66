# SPDX-License-Identifier: MPL-2.0
"""eSpeak NG, the synthesiser: in a wheel of its own, as it is GPL-3.0-or-later and optional."""

import importlib.metadata
import importlib.util
from pathlib import Path

from srnn.packages import expect_packages


def is_installed() -> bool:
    """Whether the synthesiser is."""
    return importlib.util.find_spec("espeakng_loader") is not None


def version() -> str:
    """Return the version of the synthesiser, that of the wheel which brings it.

    Raises
    ------
    InputError
        If it is not installed.
    """
    find_espeak()
    return importlib.metadata.version("espeakng-loader")


def find_espeak() -> tuple[Path, Path]:
    """Return eSpeak NG's shared library and its data, both in a wheel that nothing else needs."""
    expect_packages("data.gsc_url or data.synthetic_unknown", "synthetic")
    import espeakng_loader

    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())
