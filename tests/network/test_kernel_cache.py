# SPDX-License-Identifier: MPL-2.0
from pathlib import Path
from typing import Any

import numba
import pytest
from numba.core import config

from srnn.network.ops.kernels import compilation


def _double(x: int) -> int:
    return 2 * x


@pytest.fixture(autouse=True)
def _no_cache_of_numbas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "CACHE_DIR", "")


def test_kernels_are_kept_in_a_folder_for_their_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for state in ("one", "other"):
        monkeypatch.setattr(compilation, "_digest", lambda state=state: state)
        assert compilation.kernel(_double)(3) == 6
        assert list((tmp_path / "srnn" / f"kernels-{state}").rglob("*.nbi"))
    assert config.CACHE_DIR == ""


def test_kernels_work_where_nothing_can_be_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(function: object) -> object:
        raise RuntimeError("cannot cache function: no locator available")

    def njit(**settings: Any) -> Any:
        return refuse if settings.get("cache") else real(**settings)

    real = numba.njit
    monkeypatch.setattr(numba, "njit", njit)
    assert compilation.kernel(_double)(3) == 6
    assert "compiled in every process" in caplog.text
