# SPDX-License-Identifier: MPL-2.0
"""Files are written whole, and a disk that does not take them is told what may help."""

import ctypes
import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from srnn.errors import InputError
from srnn.files import remedy, sync_tree, write_text


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space there, or go elsewhere"),
        ((errno.EROFS, errno.EACCES, errno.EPERM), "allow it, or go elsewhere"),
        ((errno.EIO, errno.ENOTDIR, None), "go elsewhere"),
    ],
)
def test_what_to_do_about_a_disk(numbers: tuple[int | None, ...], expected: str) -> None:
    for number in numbers:
        assert remedy(OSError(number, "error"), "go elsewhere") == expected


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "name"
    write_text(path, "old")
    (tmp_path / ".name.part").mkdir()
    with pytest.raises(InputError) as error:
        write_text(path, "new")
    assert str(error.value) == (
        f"{path}: expected to write 3 bytes, found Is a directory: choose another place"
    )
    assert path.read_text() == "old"


UNSUPPORTED = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)


def refuse_to_sync(number: int, folders: bool, patch: pytest.MonkeyPatch) -> None:
    """Have fsync fail, of folders or of files."""
    real = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode) == folders:
            raise OSError(number, os.strerror(number))
        real(handle)

    patch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize(
    "number", [*UNSUPPORTED, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOSPC, errno.ESTALE]
)
def test_a_folder_that_cannot_be_synced_is_no_error(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The file is there."""
    refuse_to_sync(number, True, monkeypatch)
    for text in ("old", "new"):
        write_text(tmp_path / "name", text)
    assert (tmp_path / "name").read_text() == "new"
    harmless = number in (*UNSUPPORTED, errno.EACCES, errno.EPERM)
    assert caplog.messages == [] or not harmless
    assert harmless or caplog.messages == [
        f"{tmp_path}: a new file in it may be lost with the power ({os.strerror(number)})"
    ]


def test_a_folder_that_cannot_be_opened_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, and where it may be written, but not read."""
    real = os.open

    def open_(path: Any, *rest: Any, **options: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path, *rest, **options)

    monkeypatch.setattr(os, "open", open_)
    write_text(tmp_path / "name", "new")
    assert (tmp_path / "name").read_text() == "new"


@pytest.mark.parametrize("number", UNSUPPORTED)
def test_a_disk_that_cannot_tell_whether_a_file_is_on_it(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_sync(number, False, monkeypatch)
    write_text(tmp_path / "name", "new")
    assert (tmp_path / "name").read_text() == "new"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE])
def test_a_file_that_does_not_reach_the_disk_is_an_error(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "name", "old")
    refuse_to_sync(number, False, monkeypatch)
    with pytest.raises(InputError) as error:
        write_text(tmp_path / "name", "new")
    assert f"{tmp_path / 'name'}: expected to write 3 bytes" in str(error.value)
    assert os.strerror(number) in str(error.value)
    assert (tmp_path / "name").read_text() == "old"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a/1", "a/2", "b/c/3"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(name)
    return tmp_path / "tree"


def synced(patch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which the names of all files and folders come that are synced from now."""
    names: list[str] = []
    patch.setattr(os, "fsync", lambda handle: names.append(_name(handle)))
    return names


def _name(handle: int) -> str:
    return Path(f"/proc/self/fd/{handle}").readlink().name


class _Library:
    """The C library of a system: one that has syncfs, or one that does not."""

    def __init__(self, *results: tuple[int, int]) -> None:
        self.results = iter(results)
        if results:
            self.syncfs = self._syncfs

    def _syncfs(self, _: int) -> int:
        failed, number = next(self.results)
        ctypes.set_errno(number)
        return failed


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks Linux for names of files")
@pytest.mark.parametrize("library", [_Library(), _Library((-1, errno.ENOSYS))])
def test_without_a_call_for_a_file_system_each_file_is_synced(
    library: _Library, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: library)
    names = synced(monkeypatch)
    sync_tree(tree)
    assert sorted(names) == ["1", "2", "3", "a", "b", "c", "tree"]


def test_a_call_for_a_file_system_takes_the_place_of_one_for_each_file(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: _Library((0, 0), (-1, errno.EIO)))
    names = synced(monkeypatch)
    sync_tree(tree)
    assert names == []
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: _Library((-1, errno.EIO)))
    with pytest.raises(OSError, match="Input/output error"):
        sync_tree(tree)


def test_a_tree_is_synced_here(tree: Path) -> None:
    sync_tree(tree)
    assert (tree / "b" / "c" / "3").read_text() == "b/c/3"
