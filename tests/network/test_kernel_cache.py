# SPDX-License-Identifier: MPL-2.0
"""What is compiled is kept, made anew where it is damaged, and done without where it cannot be."""

import errno
import logging
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from numba.core import config
from numba.core.caching import IndexDataCacheFile
from tqdm import tqdm

from srnn import caches
from srnn.network.neurons import registry
from srnn.network.ops.cpu import compilation


def _double(x: int) -> int:
    return 2 * x


def _triple(x: int) -> int:
    return 3 * x


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where kernels are kept; nothing has been said of it yet."""
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for said in (compilation._announce, compilation._warn_once, caches._warn_once):
        said.cache_clear()
    return tmp_path / "srnn"


def hits(kernel: Any) -> int:
    return sum(kernel.stats.cache_hits.values())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


def test_kernels_are_kept_in_a_folder_for_their_state(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for state in ("one", "other"):
        monkeypatch.setattr(compilation, "_digest", lambda state=state: state)
        assert compilation.kernel(_double)(3) == 6
        assert list((place / f"kernels-{state}").rglob("*.nbi"))
    assert config.CACHE_DIR == ""


def test_numba_keeps_its_own_level_for_other_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    levels, before = [], config.OPT
    monkeypatch.setattr(compilation, "_announce", lambda: levels.append(int(config.OPT)))
    assert compilation.kernel(_double)(3) == 6
    assert levels == [min(before, 2)]
    assert before == config.OPT


def test_the_state_of_kernels_includes_the_functions_of_neurons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (registry.FOLDER / "adaptive_threshold" / "cpu.py").is_file()
    digests = set()
    for content in ("one", "other"):
        changed = tmp_path / "kind" / "cpu.py"
        changed.parent.mkdir(exist_ok=True)
        changed.write_text(content)
        monkeypatch.setattr(registry, "FOLDER", tmp_path)
        digests.add(compilation._digest.__wrapped__())
    assert len(digests) == 2


def test_numbas_own_directory_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "numbas"))
    assert compilation.kernel(_double)(3) == 6
    assert list((tmp_path / "numbas").glob("kernels-*/*/*.nbi"))


def test_only_what_has_to_be_compiled_is_announced(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for function in (_double, _triple):
        compilation.kernel(function)(3)
    assert [m for m in caplog.messages if "compiling kernels for this machine" in m] == [
        "compiling kernels for this machine: about half a minute, once"
    ]
    caplog.clear()
    compilation._announce.cache_clear()
    again = compilation.kernel(_double)
    assert again(3) == 6
    assert hits(again) == 1
    assert caplog.messages == []


def test_what_is_compiled_counts_in_a_progress_bar_that_otherwise_never_appears(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[int, int]] = []
    screens: list[StringIO] = []

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, **keys: Any) -> None:
            screens.append(StringIO())
            super().__init__(**keys | {"disable": False, "file": screens[-1]})

        def update(self, n: int = 1) -> None:
            self.last_print_t = 0  # every kernel is shown
            super().update(n)
            told.append((self.n, self.total))

    monkeypatch.setattr(compilation, "progress_bar", Bar)
    monkeypatch.setattr(compilation, "_KERNELS", 1)
    for _ in range(2):
        with compilation.compilation_progress():
            for function in (_double, _triple):
                compilation.kernel(function)(3)
    assert told == [(1, 2), (2, 3)]
    compiled, at_hand = (screen.getvalue() for screen in screens)
    assert "compiling kernels" in compiled
    assert at_hand == ""


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", ["empty", "cut", "zeros", "flipped"])
def test_a_damaged_cache_is_made_anew(
    place: Path, suffix: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    compilation.kernel(_double)(3)
    (path,) = place.rglob(f"*{suffix}")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle] ^= 0xFF
    cut = content[:middle]
    damaged = {"empty": bytearray(), "cut": cut, "zeros": bytearray(middle), "flipped": content}
    path.write_bytes(damaged[damage])
    assert compilation.kernel(_double)(3) == 6
    again = compilation.kernel(_double)
    assert again(3) == 6
    assert hits(again) == 1
    assert warnings(caplog) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE])
def test_kernels_work_where_the_disk_takes_none(
    place: Path, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(IndexDataCacheFile, "_save_data", refuse)
    assert compilation.kernel(_double)(3) == 6
    assert compilation.kernel(_triple)(3) == 9
    (warning,) = warnings(caplog)
    (folder,) = place.glob("kernels-*")
    assert warning.startswith(f"compiled kernels cannot be kept in {folder} ({os.strerror(number)}")


def test_a_damaged_cache_that_is_read_only(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    compilation.kernel(_double)(3)
    (path,) = place.rglob("*.nbi")
    path.write_bytes(b"")
    monkeypatch.setattr(IndexDataCacheFile, "_open_for_write", refuse)
    assert compilation.kernel(_double)(3) == 6
    assert len(warnings(caplog)) == 1


def test_kernels_that_may_only_be_read_serve(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As in an image of a container that was used once while it was built."""

    def refuse(place: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(place))

    compilation.kernel(_double)(3)
    monkeypatch.setattr(caches, "_try_writing", refuse)
    caches.writable.cache_clear()
    again = compilation.kernel(_double)
    assert again(3) == 6
    assert hits(again) == 1
    assert warnings(caplog) == []
