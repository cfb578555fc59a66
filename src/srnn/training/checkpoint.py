# SPDX-License-Identifier: MPL-2.0
"""Checkpoints: everything that a trained network is, in one file, and what training goes on from.

Only tensors, numbers, text, lists and dictionaries are stored, so that loading one runs no code.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from srnn.config import Config
from srnn.errors import InputError
from srnn.training.run import RunDirectory, write_atomically

_FORMAT = "srnn checkpoint"
_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes
    ----------
    config : dict
        The resolved configuration, table by table.
    labels : list of str
        The classes, in the order of the network's outputs.
    clips : str
        `srnn.training.compatibility.clips_digest` of what was trained on.
    epoch : int
        Epochs that the weights were trained for.
    weights : dict of Tensor
        State of the `srnn.training.spotter.Spotter`.
    training : dict, or None
        What else resuming needs (``last.pt`` only).
    """

    config: dict[str, Any]
    labels: list[str]
    clips: str
    epoch: int
    weights: dict[str, Tensor]
    training: dict[str, Any] | None = None

    def save(self, path: Path) -> None:
        """Write the checkpoint to ``path``, whole or not at all."""
        content = {"format": _FORMAT, "version": _VERSION, **vars(self)}
        write_atomically(path, lambda file: torch.save(content, file))

    def parsed_config(self) -> Config:
        """Return the configuration as a `Config`."""
        return Config.model_validate(self.config)


def checkpoint_path(run: Path) -> Path:
    """Return the checkpoint that RUN means: a run directory's ``best.pt``, or the file itself.

    Raises
    ------
    InputError
        If there is none.
    """
    path = RunDirectory(run).best if run.is_dir() else run
    if not path.is_file():
        expected = "a run directory that holds best.pt, or a checkpoint file"
        raise InputError(f"{run}: expected {expected}, found {_what(run)}")
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint file.

    Raises
    ------
    InputError
        If it is missing, damaged, no checkpoint of this package, or of another version of it.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of any kind: foreign bytes break the unpickler anywhere
        raise InputError(f"{path}: expected a checkpoint of srnn, found {_why(error)}") from error
    if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
        raise InputError(f"{path}: expected a checkpoint of srnn, found another file of torch")
    version = content.pop("version", None)
    if version != _VERSION:
        raise InputError(f"{path}: expected checkpoint version {_VERSION}, found {version}")
    try:
        checkpoint = Checkpoint(**content)
        checkpoint.parsed_config()
    except (TypeError, ValidationError) as error:
        raise InputError(
            f"{path}: expected a checkpoint of this version of srnn, found other contents"
        ) from error
    return checkpoint


def _what(path: Path) -> str:
    return "a directory without one" if path.is_dir() else "nothing there"


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "a damaged or foreign file"
