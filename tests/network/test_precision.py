# SPDX-License-Identifier: MPL-2.0
"""Full precision whatever the user allows: torch has these settings without a GPU, too."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from srnn.network.ops.precision import full_precision

backends: Any = torch.backends
LEVELS = [
    *itertools.product(("cuda", "mkldnn"), ("matmul", "all")),
    ("generic", "all"),
]

OLDER: dict[str, Callable[[], None]] = {
    "untouched": lambda: None,
    "highest": lambda: torch.set_float32_matmul_precision("highest"),
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "allow_tf32": lambda: setattr(backends.cuda.matmul, "allow_tf32", True),
    "forbid_tf32": lambda: setattr(backends.cuda.matmul, "allow_tf32", False),
}
NEWER: dict[str, Callable[[], None]] = {
    "untouched": lambda: None,
    "matmul tf32": lambda: setattr(backends.cuda.matmul, "fp32_precision", "tf32"),
    "matmul ieee": lambda: setattr(backends.cuda.matmul, "fp32_precision", "ieee"),
    "matmul none": lambda: setattr(backends.cuda.matmul, "fp32_precision", "none"),
    "cuda tf32": lambda: setattr(backends.cudnn, "fp32_precision", "tf32"),
    "all tf32": lambda: setattr(backends, "fp32_precision", "tf32"),
    "all ieee": lambda: setattr(backends, "fp32_precision", "ieee"),
    "all bf16": lambda: setattr(backends, "fp32_precision", "bf16"),
    "mkldnn bf16": lambda: setattr(backends.mkldnn.matmul, "fp32_precision", "bf16"),
}


def _reset() -> None:
    torch.set_float32_matmul_precision("highest")
    for level in LEVELS:
        torch._C._set_fp32_precision_setter(*level, "none")


@pytest.fixture(autouse=True)
def _as_torch_begins() -> Iterator[None]:
    _reset()
    yield
    _reset()


def _read() -> list[str]:
    """Return every setting as its getter tells it, which may be an error."""
    older: list[Callable[[], object]] = [
        torch.get_float32_matmul_precision,
        lambda: backends.cuda.matmul.allow_tf32,
    ]
    found = [torch._C._get_fp32_precision_getter(*level) for level in LEVELS]
    for getter in older:
        try:
            found.append(str(getter()))
        except RuntimeError as error:
            found.append(str(error))
    return found


def _fingerprint() -> list[str]:
    """Return what is set, also what does not show yet: which levels follow those above them."""
    found = _read()
    for level in reversed(LEVELS):
        torch._C._set_fp32_precision_setter(*level, "ieee")
        found += _read()
        torch._C._set_fp32_precision_setter(*level, "tf32")
        found += _read()
    return found


@pytest.mark.parametrize("newer_first", [False, True])
@pytest.mark.parametrize("newer", [*NEWER, "matmul tf32, all tf32", "all tf32, cuda tf32"])
@pytest.mark.parametrize("older", OLDER)
def test_products_are_full_and_all_settings_as_they_were(
    older: str, newer: str, newer_first: bool
) -> None:
    settings = [OLDER[older], *(NEWER[each] for each in newer.split(", "))]
    if newer_first:
        settings = [*settings[1:], settings[0]]

    def apply() -> None:
        _reset()
        for setting in settings:
            setting()

    apply()
    allowed = backends.cuda.matmul.fp32_precision == "tf32"
    with full_precision():
        assert backends.cuda.matmul.fp32_precision != "tf32"
        if allowed:
            assert not backends.cuda.matmul.allow_tf32
            assert torch.get_float32_matmul_precision() == "highest"
    found = _fingerprint()
    apply()
    assert found == _fingerprint()


def test_the_last_to_leave_restores() -> None:
    torch.set_float32_matmul_precision("high")
    first, second = full_precision(), full_precision()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert backends.cuda.matmul.fp32_precision == "ieee"
    second.__exit__(None, None, None)
    assert backends.cuda.matmul.fp32_precision == "tf32"


def test_an_error_within_restores_too() -> None:
    backends.cuda.matmul.allow_tf32 = True
    with pytest.raises(ValueError, match="within"), full_precision():
        raise ValueError("within")
    assert backends.cuda.matmul.allow_tf32


def test_settings_by_environment() -> None:
    code = (
        "import torch\n"
        "from srnn.network.ops.precision import full_precision\n"
        "with full_precision():\n"
        "    print(torch.backends.cuda.matmul.allow_tf32)\n"
        "print(torch.backends.cuda.matmul.allow_tf32, torch.get_float32_matmul_precision())\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.split() == ["False", "True", "high"], result.stderr
