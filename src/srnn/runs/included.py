# SPDX-License-Identifier: MPL-2.0
"""The trained networks that travel with the package, each a checkpoint and a model card."""

import json
import re
from pathlib import Path

import safetensors

FOLDER = Path(__file__).parents[1] / "networks"
"""Where they lie: ``NAME.safetensors`` and ``NAME.md``."""


def included() -> dict[str, Path]:
    """Return the checkpoint of each network, by its name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}


def card_of(checkpoint: Path) -> Path:
    """Return the model card of a network, a file in Markdown."""
    return checkpoint.with_suffix(".md")


def summary_of(checkpoint: Path) -> str:
    """Return size, accuracy and labels of a network of the package, on one line.

    It reads no weights, and imports no torch.
    """
    with safetensors.safe_open(checkpoint, "numpy") as file:
        labels = " ".join(json.loads(file.metadata()["labels"]))
    size = f"{checkpoint.stat().st_size / 1000:,.0f} kB"
    card = card_of(checkpoint).read_text(encoding="utf-8")
    accuracy = re.search(r"official protocol: accuracy ([\d.]+)%", card)
    return f"{size:>8}  {f'{accuracy[1]} %  ' if accuracy else ''}{labels}"
