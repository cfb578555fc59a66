# SPDX-License-Identifier: MPL-2.0
"""Checkpoints: everything that a trained network is, in one file, and what training goes on from.

Only tensors, numbers, text, lists and dictionaries are stored, so that loading one runs no code.
"""

import io
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from torch import Tensor

import srnn
from srnn.config import Config, from_tables
from srnn.errors import InputError
from srnn.files import write_atomically
from srnn.runs.directory import RunDirectory
from srnn.training.progress import TrainingState

_FORMAT = "srnn checkpoint"
_VERSION = 2  # of the layout; keys that a configuration lacks have their defaults

_Count = Annotated[int, Field(ge=0)]


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
        `srnn.runs.compatibility.clips_digest` of what was trained on.
    epoch : int
        Epochs that the weights were trained for.
    weights : dict of Tensor
        State of the `srnn.training.spotter.Spotter`: finite float32.
    training : TrainingState, or None
        What else resuming needs (``last.pt`` only).
    """

    __pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    config: dict[str, dict[str, JsonValue]]
    labels: Annotated[list[str], Field(min_length=1)]
    clips: str
    epoch: _Count
    weights: dict[str, Tensor]
    training: TrainingState | None = None

    def save(self, path: Path) -> None:
        """Write the checkpoint to ``path``, whole or not at all.

        Raises
        ------
        InputError
            If the disk does not take it.
        """
        content = {"format": _FORMAT, "version": _VERSION, "srnn": srnn.__version__, **vars(self)}
        if self.training:
            progress = asdict(self.training.progress)
            content["training"] = {**vars(self.training), "progress": progress}
        file = io.BytesIO()  # in one piece: torch says nothing sensible where a disk is full
        torch.save(content, file)
        write_atomically(path, file.getbuffer())

    def parsed_config(self) -> Config:
        """Return the configuration as a `Config`."""
        return Config.model_validate(self.config)


_SCHEMA = TypeAdapter(Checkpoint)


def checkpoint_path(run: Path) -> Path:
    """Return the checkpoint that RUN means: a run directory's ``best.pt``, or the file itself.

    Raises
    ------
    InputError
        If there is none.
    """
    path = RunDirectory(run).best if run.is_dir() else run
    if not path.is_file():
        found = "a directory without one" if run.is_dir() else "nothing there"
        expected = "a run directory that holds best.pt, or a checkpoint file"
        raise InputError(f"{run}: expected {expected}, found {found}")
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint file, which may be anybody's: nothing in it is run, all of it is checked.

    Raises
    ------
    InputError
        If it is missing, damaged, no checkpoint of this package, of another version of it, or its
        weights are not finite.
    """
    try:
        content = _read(path)
        if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
            raise _RefusedError("another file of torch")
        version = content.pop("version", None)
        writer = str(content.pop("srnn", "0.1.0"))[:20]
        if version == 1:
            _upgrade(content)
        elif version != _VERSION:
            found = version if isinstance(version, int) else "unknown"
            raise _RefusedError(f"version {found} of it, written by srnn {writer}, not {_VERSION}")
        checkpoint = _SCHEMA.validate_python(content)
        _expect_sound(checkpoint.weights)
        if checkpoint.training:
            _expect_sound(checkpoint.training.average or {})
            for index, moments in checkpoint.training.moments.items():
                _expect_sound(moments, f"of parameter {index} ")
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"])) or "it"
        found = f"other contents ({place}: {error.errors()[0]['msg']})"
        raise InputError(f"{path}: expected a checkpoint of srnn, found {found}") from error
    except _RefusedError as error:
        raise InputError(f"{path}: expected a checkpoint of srnn, found {error}") from error
    try:
        from_tables(checkpoint.config, f"{path} (written by srnn {writer})")
    except InputError as error:
        first, *others = str(error).split("\n")
        raise InputError(first + f" (and {len(others)} more)" * bool(others)) from error
    return checkpoint


class _RefusedError(Exception):
    """What was found instead of a checkpoint."""


def _read(path: Path) -> object:
    """Return what torch has saved in a file."""
    try:
        _expect_whole(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise _RefusedError(error.strerror or str(error)) from error
    except pickle.UnpicklingError as error:
        raise _RefusedError("more than data in it, none of which was run") from error
    except _RefusedError:
        raise
    except Exception as error:  # of any kind: foreign bytes break zipfile and torch anywhere
        raise _RefusedError("a damaged or foreign file") from error


def _expect_whole(path: Path) -> None:
    """Compare the checksums of all parts of a file; torch itself does not."""
    with zipfile.ZipFile(path) as parts:
        sizes = [part.file_size for part in parts.infolist()]
        stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts.infolist())
        # torch compresses nothing: what would grow on reading is not torch's.
        if not stored or sum(sizes) > path.stat().st_size or parts.testzip():
            raise _RefusedError("a damaged or foreign file")


def _upgrade(content: dict[Any, Any]) -> None:
    """Turn version 1, which held the whole state of the optimizer, into version 2."""
    training = content.get("training")
    if isinstance(training, dict) and isinstance(training.get("optimizer"), dict):
        training["moments"] = training.pop("optimizer").get("state")


def _expect_sound(tensors: Mapping[str, Tensor], owner: str = "") -> None:
    """Check that tensors are finite float32, each number in its own place: kernels rely on it."""
    for name, tensor in tensors.items():
        if not (
            tensor.layout == torch.strided
            and tensor.dtype == torch.float32
            and tensor.device.type == "cpu"
            and tensor.is_contiguous()
        ):
            raise _RefusedError(f"{name} {owner}in another form than dense float32")
        wrong = tensor.numel() - int(tensor.isfinite().sum())
        if wrong:
            raise _RefusedError(f"NaN or infinity in {wrong} of {tensor.numel()} values of {name}")
