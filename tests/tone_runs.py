# SPDX-License-Identifier: MPL-2.0
"""Runs on the corpus of tones, which fixtures train once for a module."""

from pathlib import Path

import pytest

from srnn import cli


def train_on_tones(tones: Path, run: Path, *changes: str) -> Path:
    """Train ``tones.toml``, with keys changed (``table.key=value``), into ``run``; return it."""
    options = [f"--set={change}" for change in changes]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tones)
        assert cli.run(["tones.toml", "--run-dir", str(run), *options]) == 0
    return run
