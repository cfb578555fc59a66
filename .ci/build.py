# SPDX-License-Identifier: MPL-2.0
"""Build hook of pdm-backend: a wheel holds the files of configs/ as srnn/configs/.

An editable installation reads them from the clone (see `srnn.config.reading`).
"""

from pathlib import Path
from typing import Any


def pdm_build_update_files(context: Any, files: dict[str, Path]) -> None:
    """Add the configurations to `files`, which maps a path in the archive to a file."""
    if context.target == "wheel":
        for file in Path(context.root, "configs").glob("*.toml"):
            files[f"srnn/configs/{file.name}"] = file
