# SPDX-License-Identifier: MPL-2.0
"""Checkpoints as version 2 of their layout had them: files of torch, ``.pt``."""

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from srnn.runs.checkpoint import Checkpoint, load_checkpoint


def legacy_content(checkpoint: Checkpoint) -> dict[str, Any]:
    content = {"format": "srnn checkpoint", "version": 2, "srnn": "0.1.0", **vars(checkpoint)}
    del content["draws"]
    if checkpoint.training:
        progress = asdict(checkpoint.training.progress)
        content["training"] = {**vars(checkpoint.training), "progress": progress}
    return content


def legacy_bytes(checkpoint: Checkpoint) -> bytes:
    file = io.BytesIO()
    torch.save(legacy_content(checkpoint), file)
    return file.getvalue()


def make_legacy(run: Path) -> None:
    """Turn the checkpoints of a run into those of version 2."""
    for path in run.glob("*.safetensors"):
        path.with_suffix(".pt").write_bytes(legacy_bytes(load_checkpoint(path)))
        path.unlink()
