# SPDX-License-Identifier: MPL-2.0
"""The run directory: the files a training run leaves behind."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from srnn.data.locks import locked
from srnn.errors import InputError


class RunDirectory:
    """Names the files of a run.

    Attributes
    ----------
    path : Path
    config : Path
        The resolved configuration, ``config.toml``.
    log : Path
        Everything logged, ``train.log``.
    metrics : Path
        A JSON object a finished epoch, ``metrics.jsonl``.
    best, last : Path
        Checkpoints: the best epoch by validation accuracy, and the state to resume from.
    test : Path
        The result on the testing partition, ``test.json``.
    init : Path
        The weights that training started from, ``init.pt``, if it was those of another run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.toml"
        self.log = path / "train.log"
        self.metrics = path / "metrics.jsonl"
        self.best = path / "best.pt"
        self.last = path / "last.pt"
        self.test = path / "test.json"
        self.init = path / "init.pt"

    def expect_unused(self) -> None:
        """Check that no run has left anything here.

        Raises
        ------
        InputError
            Naming what was found.
        """
        for file in (self.config, self.metrics, self.best, self.last, self.test, self.init):
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
                f"--run-dir {self.path}: expected a directory that can be written, "
                f"found {error.strerror}"
            ) from error
        with lock:
            yield


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
