# SPDX-License-Identifier: MPL-2.0
"""Checkpoints as version 2 of their layout had them: files of torch, ``.pt``."""

import io
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from srnn.runs.checkpoint import Checkpoint, load_checkpoint


def legacy_content(checkpoint: Checkpoint) -> dict[str, Any]:
    content = {"format": "srnn checkpoint", "version": 2, "srnn": "0.1.0", **vars(checkpoint)}
    del content["draws"]
    content["weights"] = _formerly_named(checkpoint.weights)
    if checkpoint.training:
        training, progress = checkpoint.training, asdict(checkpoint.training.progress)
        average = _formerly_named(training.average) if training.average else training.average
        content["training"] = {**vars(training), "progress": progress, "average": average}
    return content


def _formerly_named(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by the names that they had then."""
    former = {".norm.weight": ".norm.gain", ".norm.bias": ".norm.shift"}
    return {
        re.sub(r"\.norm\.(weight|bias)$", lambda match: former[match[0]], name): tensor
        for name, tensor in tensors.items()
    }


def legacy_bytes(checkpoint: Checkpoint) -> bytes:
    file = io.BytesIO()
    torch.save(legacy_content(checkpoint), file)
    return file.getvalue()


def make_legacy(run: Path) -> None:
    """Turn the checkpoints of a run into those of version 2."""
    for path in run.glob("*.safetensors"):
        path.with_suffix(".pt").write_bytes(legacy_bytes(load_checkpoint(path)))
        path.unlink()
