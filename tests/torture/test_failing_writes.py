# SPDX-License-Identifier: MPL-2.0
"""Each write, fsync and rename of a run directory fails in turn; nothing that was there is lost."""

import errno
import io
import os
import resource
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from itertools import cycle, product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from processes import exit_code, load_ahead, say, training, wait_until

from run_results import RUN_FILES, assert_same_results, expect_the_same
from srnn import cli
from srnn.runs.checkpoint import load_checkpoint

WRITTEN = RUN_FILES - {"train.log"}


class Operation(NamedTuple):
    kind: str  # write, fsync or replace
    name: str  # the file's; "" means the run directory itself


class Disk:
    """Watches what is done to the files of a run directory but its log, and may fail.

    Parameters
    ----------
    run : Path
    fails_at : int, optional
        The operation that fails, counted from 0.
    lasting : bool
        Whether all later ones fail, too.

    Attributes
    ----------
    done : list of Operation
        In order.
    found : dict
        The files that lay in the directory, in the moment of the first failure.
    """

    def __init__(self, run: Path, fails_at: int | None = None, *, lasting: bool = False) -> None:
        self.run = run
        self.fails_at = fails_at
        self.lasting = lasting
        self.done: list[Operation] = []
        self.found: dict[str, bytes] = {}

    def note(self, kind: str, path: Path) -> None:
        """Count an operation, or have it fail."""
        name = "" if path == self.run else path.name.removeprefix(".").removesuffix(".part")
        self.done.append(Operation(kind, name))
        number = len(self.done) - 1
        if number == self.fails_at:
            self.found = contents(self.run)
        failing = self.fails_at is not None and number >= self.fails_at
        if failing and (self.lasting or number == self.fails_at):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within the context, notice what is done."""
        real_open, real_fsync, real_replace = io.open, os.fsync, os.replace

        def open_(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if mode != "wb" or self.run not in Path(file).absolute().parents:
                return real_open(file, mode, *rest, **options)
            return io.BufferedWriter(WatchedFile(Path(file), self))

        def fsync(handle: int) -> None:
            if path := self._path_of(handle):
                self.note("fsync", path)
            real_fsync(handle)

        def replace(source: Path, target: Path) -> None:
            if self.run in Path(target).absolute().parents:
                self.note("replace", Path(target))
            real_replace(source, target)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(io, "open", open_)
            patch.setattr(os, "fsync", fsync)
            patch.setattr(os, "replace", replace)
            patch.setattr(os, "rename", replace)
            yield

    def _path_of(self, handle: int) -> Path | None:
        paths = [self.run, *self.run.iterdir()] if self.run.exists() else []
        status = os.fstat(handle)
        return next((path for path in paths if os.path.samestat(path.stat(), status)), None)


class WatchedFile(io.FileIO):
    """A file whose writes a `Disk` notices."""

    def __init__(self, path: Path, disk: Disk) -> None:
        super().__init__(path, "wb")
        self.path = path
        self.disk = disk

    def write(self, content: Any) -> int:
        self.disk.note("write", self.path)
        return super().write(content)


def contents(run: Path) -> dict[str, bytes]:
    """Return the files of a run; what is being written and the log aside."""
    return {file.name: file.read_bytes() for file in run.iterdir() if file.name in WRITTEN}


def expect_as_found(disk: Disk) -> None:
    """Hold a run directory to what lay there as the disk failed."""
    assert contents(disk.run) == disk.found
    for name in disk.found.keys() & {"best.safetensors", "last.safetensors"}:
        load_checkpoint(disk.run / name)
    others = {file.name for file in disk.run.iterdir()} - RUN_FILES - {".lock"}
    assert others <= {f".{name}.part" for name in RUN_FILES}


@pytest.fixture(autouse=True)
def _meanwhile(full: bool) -> None:
    if not full:
        load_ahead()


@pytest.fixture
def command(tones: Path) -> Callable[[Path], list[str]]:
    """Return a function that returns the command for a run directory."""
    keys = [f"data.dataroot={tones / 'tones'}", "srnn.checkpoint_minutes=1e-9", "srnn.epochs=2"]
    keys += ["srnn.batch_size=64", "logger.level=ERROR"]

    def arguments(run: Path) -> list[str]:
        sets = [word for key in keys for word in ("--set", key)]
        return [str(tones / "tones.toml"), *sets, "--run-dir", str(run)]

    return arguments


def sample(operations: list[Operation]) -> list[tuple[int, bool]]:
    """Choose an operation on each file, of every kind; every other one fails for good."""
    last = {tuple(operation): number for number, operation in enumerate(operations)}
    kinds = cycle(("write", "replace", "fsync"))
    chosen = [last["fsync", ""], *(last[next(kinds), name] for name in sorted(WRITTEN))]
    return [(number, bool(place % 2)) for place, number in enumerate(chosen)]


def test_a_disk_that_fails_takes_nothing_with_it(
    command: Callable[[Path], list[str]], tmp_path: Path, full: bool
) -> None:
    undisturbed = Disk(tmp_path / "undisturbed")
    with undisturbed.watched():
        assert cli.run(command(undisturbed.run)) == 0
    operations = undisturbed.done
    tally = Counter(operations)
    assert tally.keys() == {*product(("write", "fsync", "replace"), WRITTEN), ("fsync", "")}
    every = list(product(range(len(operations)), (False, True)))
    failures = every if full else sample(operations)
    for number, lasting in failures:
        disk = Disk(tmp_path / f"{number}{' for good' * lasting}", number, lasting=lasting)
        with disk.watched(), redirect_stderr(io.StringIO()) as stderr:
            code = cli.run(command(disk.run))
        is_last = number == len(operations) - 1
        if not operations[number].name and (is_last or not lasting):
            assert (code, stderr.getvalue()) == (0, "")  # the files are there
            assert_same_results(disk.run, undisturbed.run)
            continue
        assert code == 2
        error = stderr.getvalue()
        assert error.count("\n") == 1, error
        assert f"{disk.run}{os.sep}{operations[number].name}" in error
        expect_as_found(disk)
        assert cli.run([*command(disk.run), "--resume"]) == 0
        expect_the_same(disk.run, undisturbed.run)
    say(f"{len(operations)} operations, {len(failures)} failures, once or for good:")
    for (kind, name), count in sorted(tally.items()):
        say(f"  {kind:7} {name or 'the directory':13} {count:3}")
    say("all ended with the same bits\n")


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits processes by prlimit")
def test_a_file_too_large_for_the_disk(
    command: Callable[[Path], list[str]], tmp_path: Path, full: bool
) -> None:
    """In the midst of training no file may have more than 24 KB, too little for a state."""
    undisturbed, run, output = (tmp_path / name for name in ("undisturbed", "run", "out"))
    long = ["--set", "srnn.epochs=20"]
    assert cli.run([*command(undisturbed), *long]) == 0
    assert (undisturbed / "last.safetensors").stat().st_size > 24_000
    with training([*command(run), *long], output, fork=not full) as process:
        assert wait_until((run / "best.safetensors").exists, process)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (24_000, 24_000))
        assert exit_code(process) == 2
    error = output.read_text()
    assert error.count("\n") == 1
    assert error.startswith(f"{run / 'last.safetensors'}: ")
    assert os.strerror(errno.EFBIG) in error
    load_checkpoint(run / "last.safetensors")
    assert cli.run([*command(run), *long, "--resume"]) == 0
    expect_the_same(run, undisturbed)
