# SPDX-License-Identifier: MPL-2.0
"""Where there is no home, no name, no room or no permission, a temporary cache serves."""

import errno
import getpass
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from numba.core import config

from srnn import caches
from srnn.errors import InputError


@pytest.fixture(autouse=True)
def _as_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    remembered: tuple[Any, ...] = (
        *(caches.writable, caches._temporary_directory, caches.librosa),
        *(caches._warn_once, caches._warn_of_damage),
    )
    for each in remembered:
        each.cache_clear()
    yield
    for each in remembered:
        each.cache_clear()


def refuse(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def forget_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)


def test_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert caches.user_cache() == tmp_path / "xdg" / "srnn"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert caches.user_cache() == tmp_path / ".cache" / "srnn"
    assert list(caches.user_cache().iterdir()) == []


def test_without_a_home_there_is_a_temporary_cache_and_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    forget_the_home(monkeypatch)
    place = caches.user_cache()
    assert caches.user_cache() == place
    assert place.parent == tmp_path / "tmp"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert caplog.messages == [
        "no persistent cache: no home directory is known: compiled code and packs are kept in "
        f"{place} until this process ends; set XDG_CACHE_HOME to a writable directory"
    ]
    caches._remove(place, os.getpid() + 1)  # in a fork
    assert place.exists()
    caches._remove(place, os.getpid())
    assert not place.exists()


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert caches.user_cache().parent == tmp_path / "tmp"
    assert caches.user_cache().parent == tmp_path / "tmp"
    (warning,) = caplog.messages
    assert f"{tmp_path / 'file' / 'srnn'} cannot be written (Not a directory)" in warning


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_counts_as_one_that_cannot_be_written(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It still takes folders and empty files."""
    real = tempfile.TemporaryFile

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))

    def make(**options: Any) -> _Full:
        return _Full(real(**options), tmp_path / "xdg" in options["dir"].parents)

    monkeypatch.setattr(tempfile, "TemporaryFile", make)
    monkeypatch.setattr(_Full, "number", number)
    assert caches.user_cache().parent == tmp_path / "tmp"
    assert os.strerror(number) in caplog.text


class _Full:
    """A file, of a disk that may be full."""

    number = 0

    def __init__(self, file: Any, is_full: bool) -> None:
        self.file = file
        self.is_full = is_full

    def __enter__(self) -> "_Full":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, content: bytes) -> None:
        if self.is_full:
            raise OSError(self.number, os.strerror(self.number))
        self.file.write(content)


def test_where_nothing_at_all_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "_try_writing", refuse(errno.EROFS))
    monkeypatch.setattr(tempfile, "mkdtemp", refuse(errno.EROFS))
    with pytest.raises(InputError) as error:
        caches.user_cache()
    assert str(error.value) == (
        "TMPDIR: expected a writable directory for temporary files, found none "
        "(Read-only file system; Read-only file system): set it, or XDG_CACHE_HOME, to one"
    )


@pytest.mark.parametrize("error", [KeyError("uid not found"), OSError("no name"), ImportError()])
def test_torch_gets_a_cache_where_the_user_has_no_name(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise error

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "taken back in the end")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    monkeypatch.setattr(getpass, "getuser", fail)
    caches.prepare_torch_compiler()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "srnn" / "torchinductor")


def test_torch_gets_another_cache_where_its_own_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "file" / "torch"))
    caches.prepare_torch_compiler()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "srnn" / "torchinductor")


def test_torch_is_left_alone_where_it_can_name_its_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    caches.prepare_torch_compiler()
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ


def test_librosa_is_imported_where_numba_finds_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def import_(name: str) -> Callable[..., str]:
        if str(tmp_path / "srnn" / "numba") != config.CACHE_DIR:
            raise RuntimeError("cannot cache function '__o_fold': no locator available")
        return lambda: name

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(caches, "_function", import_)
    before = config.CACHE_DIR
    assert caches.librosa("filters.mel")() == "filters.mel"
    assert before == config.CACHE_DIR


def test_what_numba_keeps_of_librosa_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from numba.core.caching import IndexDataCacheFile

    def import_(_: str) -> Callable[..., Any]:
        file = IndexDataCacheFile(str(tmp_path), "x", "stamp")
        found = file.load("key")
        file.save("key", "content")
        return lambda: found

    file = IndexDataCacheFile(str(tmp_path), "x", "stamp")
    file.save("key", "content")
    (tmp_path / "x.nbi").write_bytes(b"")
    monkeypatch.setattr(caches, "_function", import_)
    assert caches.librosa("filters.mel")() is None
    assert caplog.messages == [
        "numba's cache for librosa is damaged: its functions are compiled again"
    ]
    assert file.load("key") == "content"
