# SPDX-License-Identifier: MPL-2.0
"""Checkpoints: weights, configuration and labels, and what training goes on from, in one file.

A file is in the safetensors format (https://github.com/huggingface/safetensors): tensors, and JSON
in its metadata. Loading one runs no code. The metadata hold the fields of `Checkpoint`, a checksum,
and the version of the layout.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import safetensors.torch
import torch
from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from torch import Tensor

from srnn.config import Config, from_tables
from srnn.errors import InputError
from srnn.files import write_atomically
from srnn.runs.directory import RunDirectory
from srnn.runs.included import included
from srnn.runs.legacy import drop_best_accuracy, is_legacy, read_legacy
from srnn.runs.refusal import RefusedError
from srnn.training.progress import TrainingState
from srnn.version import VERSION

FORMAT = "srnn checkpoint"
_VERSION = 3  # of the layout; keys that a configuration lacks have their defaults

_LONGEST_HEADER = 100_000_000  # bytes that the format allows

_Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file.

    Attributes
    ----------
    config : dict
        The resolved configuration, table by table.
    labels : list of str
        The classes, in the order of the network's outputs.
    clips : str
        `srnn.runs.compatibility.clips_digest` of the corpus.
    epoch : int
        Epochs that the weights were trained for.
    weights : dict of Tensor
        State of the `srnn.training.spotter.Spotter`: finite float32.
    draws : int
        `srnn.augment.augmentation.DRAWS` of the version that trained them.
    training : TrainingState, or None
        What else resuming needs (``last.safetensors`` only).
    card : str
        A model card, in Markdown; empty if there is none.
    calibration : dict, or None
        Thresholds of the keywords, a `srnn.instruments.listening.calibration.Calibration`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    config: dict[str, dict[str, JsonValue]]
    labels: Annotated[list[str], Field(min_length=1)]
    clips: str
    epoch: _Count
    weights: dict[str, Tensor]
    training: TrainingState | None = None
    draws: int = 1
    card: str = ""
    calibration: dict[str, JsonValue] | None = None

    def save(self, path: Path) -> None:
        """Write the checkpoint to ``path``, whole or not at all.

        Raises
        ------
        InputError
            If the disk does not take it.
        """
        write_atomically(path, self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the content of a file."""
        tensors = {f"weights.{name}": tensor for name, tensor in self.weights.items()}
        fields: dict[str, object] = {
            "format": FORMAT,
            "version": _VERSION,
            "srnn": VERSION,
            "config": self.config,
            "labels": self.labels,
            "clips": self.clips,
            "epoch": self.epoch,
            "draws": self.draws,
        }
        # Only where they are: versions that do not know them can read all other files.
        if self.card:
            fields["card"] = self.card
        if self.calibration is not None:
            fields["calibration"] = self.calibration
        if self.training:
            fields["progress"] = asdict(self.training.progress)
            tensors |= {
                f"moments.{index}.{name}": moment
                for index, moments in self.training.moments.items()
                for name, moment in moments.items()
            }
            average = self.training.average or {}
            tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
        tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        metadata = {name: json.dumps(value) for name, value in fields.items()}
        metadata["sha256"] = _digest(metadata, tensors)
        return safetensors.torch.save(tensors, metadata)

    def parsed_config(self) -> Config:
        """Return the configuration as a `Config`."""
        return Config.model_validate(self.config)


_SCHEMA = TypeAdapter(Checkpoint)


def checkpoint_path(run: Path) -> Path:
    """Return the checkpoint that RUN means.

    It is ``best.safetensors`` of a run directory, or a file; where neither exists, the network of
    the package that has this name.

    Raises
    ------
    InputError
        If there is none.
    """
    path = RunDirectory(run).best if run.is_dir() else run
    if not run.exists():
        path = included().get(str(run), run)
    if not path.is_file():
        found = "a directory without one" if run.is_dir() else "nothing there"
        expected = "a run directory that holds best.safetensors, a checkpoint file or a network of "
        expected += f"the package ({', '.join(included())})"
        raise InputError(f"{run}: expected {expected}, found {found}")
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint file, which may be anybody's: nothing in it is run, all of it is checked.

    Files of earlier versions (``.pt``) are read, too.

    Raises
    ------
    InputError
        If it is missing, damaged, no checkpoint of this package, of another version of it, or its
        weights are not finite.
    """
    try:
        content = read_legacy(path) if is_legacy(path) else _read(path)
        drop_best_accuracy(content)
        writer = str(content.pop("srnn", "0.1.0"))[:20]
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
    except RefusedError as error:
        raise InputError(f"{path}: expected a checkpoint of srnn, found {error}") from error
    try:
        from_tables(checkpoint.config, f"{path} (written by srnn {writer})")
    except InputError as error:
        first, *others = str(error).split("\n")
        raise InputError(first + f" (and {len(others)} more)" * bool(others)) from error
    return checkpoint


def _read(path: Path) -> dict[str, Any]:
    """Return the fields of `Checkpoint`, and ``srnn``, as a file has them."""
    try:
        # Opened once: safetensors opens a name again for its tensors, and a run that goes on
        # meanwhile may have put a newer file there.
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _LONGEST_HEADER:
                raise ValueError(length)
            metadata = json.loads(file.read(length)).get("__metadata__", {})
            file.seek(0)
            tensors = dict(sorted(safetensors.torch.load(file.read()).items()))
        checksum = metadata.pop("sha256", None)
        found_checksum = _digest(metadata, tensors)
    except OSError as error:
        raise RefusedError(error.strerror or str(error)) from error
    except Exception as error:  # of any kind: foreign bytes break safetensors and torch anywhere
        raise RefusedError("a damaged or foreign file") from error
    try:
        fields = {name: json.loads(value) for name, value in metadata.items()}
    except (ValueError, RecursionError) as error:
        raise RefusedError("another safetensors file") from error
    if fields.pop("format", None) != FORMAT:
        raise RefusedError("another safetensors file")
    version = fields.pop("version", None)
    if version != _VERSION:
        found = version if isinstance(version, int) else "unknown"
        writer = str(fields.get("srnn"))[:20]
        raise RefusedError(f"version {found} of it, written by srnn {writer}, not {_VERSION}")
    if checksum != found_checksum:
        raise RefusedError("a damaged file")
    fields["weights"] = dict(_named(tensors, "weights."))
    if "progress" in fields:
        moments: dict[int, dict[str, Tensor]] = {}
        for name, moment in _named(tensors, "moments."):
            index, _, what = name.partition(".")
            moments.setdefault(int(index) if index.isdecimal() else -1, {})[what] = moment
        average = dict(_named(tensors, "average.")) or None
        progress = fields.pop("progress")
        fields["training"] = {"moments": moments, "progress": progress, "average": average}
    return fields


def _named(tensors: Mapping[str, Tensor], prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors whose names begin with a prefix, by the rest of their names."""
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            yield name.removeprefix(prefix), tensor


def _digest(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of everything in a file: the format itself has no checksum."""
    total = hashlib.sha256(json.dumps(dict(sorted(metadata.items()))).encode())
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _expect_sound(tensors: Mapping[str, Tensor], owner: str = "") -> None:
    """Check that tensors are finite float32, each number in its own place: kernels rely on it."""
    for name, tensor in tensors.items():
        if not (
            tensor.layout == torch.strided
            and tensor.dtype == torch.float32
            and tensor.device.type == "cpu"
            and tensor.is_contiguous()
        ):
            raise RefusedError(f"{name} {owner}in another form than dense float32")
        wrong = tensor.numel() - int(tensor.isfinite().sum())
        if wrong:
            raise RefusedError(f"NaN or infinity in {wrong} of {tensor.numel()} values of {name}")
