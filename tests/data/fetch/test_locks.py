# SPDX-License-Identifier: MPL-2.0
"""Locks where a file system has none: a warning, and never a wait for a process that is gone."""

import errno
import fcntl
import os
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from srnn import cli
from srnn.data.fetch.locks import locked
from srnn.data.pack.opening import open_pack
from srnn.data.sources.folder import source as folders

NO_LOCKS = [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL]


def without_locks(number: int, patch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    patch.setattr(fcntl, "flock", refuse)


@pytest.mark.parametrize("number", NO_LOCKS)
@pytest.mark.parametrize("waiting", [None, "waiting"])
@pytest.mark.parametrize("left_over", [False, True])
def test_without_locks_there_is_a_warning(
    number: int,
    waiting: str | None,
    left_over: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Even where an earlier process left the file of a lock: nothing tells that it still lives."""
    path = tmp_path / ".lock"
    if left_over:
        path.touch()
    without_locks(number, monkeypatch)
    for _ in range(2):
        caplog.clear()
        with locked(path, waiting):
            assert caplog.messages == [
                f"{path}: this file system has no locks ({os.strerror(number)}): do not run "
                f"another srnn process in {tmp_path}"
            ]


def test_a_lock_that_is_held_and_not_waited_for(tmp_path: Path) -> None:
    with locked(tmp_path / ".lock", None), pytest.raises(Timeout):
        locked(tmp_path / ".lock", None)
    with locked(tmp_path / ".lock", None):
        assert FileLock(tmp_path / ".lock").lock_file == str(tmp_path / ".lock")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_lock_that_cannot_be_created_is_an_error(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(OSError, match=os.strerror(number)):
        locked(tmp_path / ".lock", "waiting")


def test_what_was_done_is_done_even_if_a_lock_is_not_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with monkeypatch.context() as patch, locked(tmp_path / ".lock", None):
        patch.setattr(FileLock, "release", refuse)


@pytest.mark.parametrize("number", NO_LOCKS)
def test_a_run_needs_no_locks(
    number: int,
    tones: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tones)
    cache = tmp_path / "cache"
    open_pack(folders.read(tones / "tones"), str(cache)).path.unlink()
    assert [path.suffix for path in cache.iterdir()] == [".lock"]
    run = tmp_path / "run"
    run.mkdir()
    (run / ".lock").touch()
    without_locks(number, monkeypatch)
    sets = [f"data.cache={cache}", "srnn.epochs=1"]
    command = ["tones.toml", *(word for key in sets for word in ("--set", key))]
    assert cli.run([*command, "--run-dir", str(run)]) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if "WARNING" in line]
    assert len(warnings) == 2
    assert f"{run / '.lock'}: this file system has no locks" in warnings[0]
    assert f"do not run another srnn process in {cache}" in warnings[1]
