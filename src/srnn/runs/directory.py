# SPDX-License-Identifier: MPL-2.0
"""The run directory: the files a training run leaves behind."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import Timeout

from srnn.config import Config, load, to_toml, toml_value
from srnn.data.fetch.locks import locked
from srnn.errors import InputError
from srnn.files import write_atomically, write_text

_OVERRIDDEN = "# set on the command line: "
"""Begins the first line of a ``config.toml``, if some keys were; their names follow."""

_SUFFIX, _LEGACY_SUFFIX = ".safetensors", ".pt"


class RunDirectory:
    """Names the files of a run.

    Parameters
    ----------
    path : Path
    overrides : sequence of str
        ``table.key=value`` each: set on the command line, besides a configuration file.

    Attributes
    ----------
    path : Path
    config : Path
        The resolved configuration, ``config.toml``.
    log : Path
        Everything logged, ``train.log``.
    metrics : Path
        A JSON object a finished epoch, ``metrics.jsonl``.
    test : Path
        The result on the testing partition, ``test.json``.
    tensorboard : Path
        The folder of event files, ``tensorboard``, if they were asked for.
    """

    def __init__(self, path: Path, overrides: Sequence[str] = ()) -> None:
        self.path = path
        self._overrides = overrides
        self.config = path / "config.toml"
        self.log = path / "train.log"
        self.metrics = path / "metrics.jsonl"
        self.test = path / "test.json"
        self.tensorboard = path / "tensorboard"

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch by validation accuracy, ``best.safetensors``."""
        return self._checkpoint("best")

    @property
    def last(self) -> Path:
        """The state to resume from, ``last.safetensors``."""
        return self._checkpoint("last")

    @property
    def init(self) -> Path:
        """The weights of another run that training started from, ``init.safetensors``, if any."""
        return self._checkpoint("init")

    def _checkpoint(self, name: str) -> Path:
        """Return the file of a checkpoint; of a run that an earlier version began, its ``.pt``."""
        path, legacy = (self.path / f"{name}{suffix}" for suffix in (_SUFFIX, _LEGACY_SUFFIX))
        return legacy if legacy.exists() and not path.exists() else path

    def write_checkpoint(self, name: Literal["best", "last"], content: bytes) -> None:
        """Write a checkpoint, whole or not at all, in the place of an earlier one.

        Raises
        ------
        InputError
            If the disk does not take it.
        """
        write_atomically(self.path / f"{name}{_SUFFIX}", content)
        (self.path / f"{name}{_LEGACY_SUFFIX}").unlink(missing_ok=True)

    def write_config(self, config: Config) -> None:
        """Write ``config.toml``, with a note of the keys that the command line sets."""
        keys = dict.fromkeys(override.partition("=")[0].strip() for override in self._overrides)
        note = f"{_OVERRIDDEN}{', '.join(keys)}\n\n" if keys else ""
        write_text(self.config, note + to_toml(config))

    def earlier_overrides(self) -> list[str]:
        """Return ``table.key=value`` of the keys that ``config.toml`` notes as set with ``--set``.

        Raises
        ------
        InputError
            If the file cannot be read.
        """
        try:
            first, *_ = self.config.read_text(encoding="utf-8", errors="replace").split("\n", 1)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"{self.config}: cannot be read: {error.strerror}") from error
        if not first.startswith(_OVERRIDDEN):
            return []
        tables = load(self.config).model_dump()
        names = [name.split(".") for name in first.removeprefix(_OVERRIDDEN).split(", ")]
        return [
            f"{table}.{key}={toml_value(tables[table][key])}"
            for table, key in names
            if key in tables.get(table, {})
        ]

    def expect_unused(self) -> None:
        """Check that no run has left anything here.

        Raises
        ------
        InputError
            Naming the file found.
        """
        files = (self.config, self.metrics, self.best, self.last, self.test, self.init)
        for file in (*files, self.tensorboard):
            if file.exists():
                raise InputError(
                    f"--run-dir {self.path}: expected a directory without a run, found "
                    f"{file.name}; add --resume to continue that run, or choose another directory"
                )

    @contextmanager
    def prepared(self, *, resume: bool) -> Iterator[None]:
        """Create the directory and keep other processes out of it within the context.

        One that holds a run is refused unless it is to be resumed.

        Raises
        ------
        InputError
            If it holds a run already, is in use by another process, or cannot be written.
        """
        if not resume:
            self.expect_unused()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = locked(self.path / ".lock", waiting=None)
        except Timeout as error:
            raise InputError(
                f"--run-dir {self.path}: expected a directory of its own for each run, "
                "found another process at work in it"
            ) from error
        except OSError as error:
            raise InputError(
                f"--run-dir {self.path}: expected a writable directory, found {error.strerror}"
            ) from error
        with lock:
            yield


def first_of_seeds(path: Path) -> RunDirectory | None:
    """Return the run with the lowest seed that ``--seeds`` has begun in a directory, if any."""
    found = {}
    for config in path.glob("seed-*/config.toml"):
        seed = config.parent.name.removeprefix("seed-")
        if seed.isdecimal():
            found[int(seed)] = config.parent
    return RunDirectory(found[min(found)]) if found else None


def new_run_path(name: str) -> Path:
    """Make and return a new directory ``runs/<name>-<time>``, numbered where there is one.

    Raises
    ------
    InputError
        If ``runs/`` cannot be written.
    """
    stem = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = stem, 1
    while True:
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            number += 1
            path = stem.with_name(f"{stem.name}-{number}")
        except OSError as error:
            raise InputError(
                f"{path}: expected a directory that can be created, found {error.strerror}"
            ) from error
