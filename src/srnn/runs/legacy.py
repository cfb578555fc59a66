# SPDX-License-Identifier: MPL-2.0
"""Checkpoint files of earlier versions of srnn (``best.pt``, ``last.pt``), as torch wrote them."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from srnn.runs.refusal import RefusedError

_FORMAT = "srnn checkpoint"
_VERSIONS = (1, 2)
_RENAMED = {".norm.gain": ".norm.weight", ".norm.shift": ".norm.bias"}
"""Old and new suffixes of the names of weights."""


def is_legacy(path: Path) -> bool:
    """Return whether a file, if there is one, is a ZIP file, as those of torch are."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"PK"
    except OSError:
        return False


def read_legacy(path: Path) -> dict[str, Any]:
    """Return the fields of `srnn.runs.checkpoint.Checkpoint`, and ``srnn``, as a file has them.

    Only tensors, numbers, text, lists and dictionaries are unpickled: nothing in the file is run.

    Raises
    ------
    RefusedError
        If it is no checkpoint of a version that is known.
    """
    content = _load(path)
    if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
        raise RefusedError("another file of torch")
    version = content.pop("version", None)
    if version not in _VERSIONS:
        found = version if isinstance(version, int) else "unknown"
        writer = str(content.get("srnn", "0.1.0"))[:20]
        raise RefusedError(f"version {found} of it, written by srnn {writer}, not 1 or 2")
    training = content.get("training")
    if version == 1 and isinstance(training, dict) and isinstance(training.get("optimizer"), dict):
        training["moments"] = training.pop("optimizer").get("state")
    for tensors in (content.get("weights"), isinstance(training, dict) and training.get("average")):
        if isinstance(tensors, dict):
            for name in list(tensors):
                for old, new in _RENAMED.items():
                    if isinstance(name, str) and name.endswith(old):
                        tensors[name.removesuffix(old) + new] = tensors.pop(name)
    return content


def drop_best_accuracy(content: dict[str, Any]) -> None:
    """Remove the best accuracy from the state of earlier versions: it follows from the history."""
    training = content.get("training")
    if isinstance(training, dict) and isinstance(training.get("progress"), dict):
        training["progress"].pop("best_accuracy", None)


def _load(path: Path) -> object:
    """Return what torch has saved in a file."""
    try:
        _expect_whole(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise RefusedError(error.strerror or str(error)) from error
    except pickle.UnpicklingError as error:
        raise RefusedError("more than data in it, none of which was run") from error
    except RefusedError:
        raise
    except Exception as error:  # of any kind: foreign bytes break zipfile and torch anywhere
        raise RefusedError("a damaged or foreign file") from error


def _expect_whole(path: Path) -> None:
    """Compare the checksums of all parts of a file; torch itself does not."""
    with zipfile.ZipFile(path) as parts:
        sizes = [part.file_size for part in parts.infolist()]
        stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts.infolist())
        # torch compresses nothing: what would grow on reading is not torch's.
        if not stored or sum(sizes) > path.stat().st_size or parts.testzip():
            raise RefusedError("a damaged or foreign file")
