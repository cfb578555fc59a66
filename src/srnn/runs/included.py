# SPDX-License-Identifier: MPL-2.0
"""The trained networks that travel with the package, each a checkpoint and a model card."""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "networks"
"""Where they lie: ``NAME.safetensors`` and ``NAME.md``."""


def included() -> dict[str, Path]:
    """Return the checkpoint of each network, by its name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}


def card_of(checkpoint: Path) -> Path:
    """Return the model card of a network, a file in Markdown."""
    return checkpoint.with_suffix(".md")
