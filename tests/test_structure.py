# SPDX-License-Identifier: MPL-2.0
"""Imports point one way along the order of the packages."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "srnn"

# What each part may import from the package, besides itself: what stands before it, in groups that
# do not know each other.
BASE = {"errors", "files", "caches", "packages", "randomness", "settings", "bars", "parallel"}
PARTS = {"data", "features", "augment", "network"}
ALLOWED = {
    "errors": set(),
    "settings": set(),
    "randomness": {"settings"},
    "packages": {"errors"},
    "files": {"errors"},
    "caches": {"errors"},
    "log": {"settings"},
    "bars": set(),
    "parallel": {"errors"},
    "version": set(),
    "data": BASE,
    "features": BASE,
    "augment": BASE,
    "network": BASE,
    "detection": {"settings", "data"},
    "energy": {"settings", "errors", "network"},
    "training": {*BASE, *PARTS, "energy"},
    "plot": {"errors", "files", "network"},
    "config": {*BASE, *PARTS, "detection", "energy", "log", "training"},
    "runs": {*BASE, *PARTS, "config", "energy", "plot", "training", "version"},
    "instruments": {
        *BASE,
        *PARTS,
        "config",
        "detection",
        "energy",
        "plot",
        "training",
        "runs",
        "sweeps",
        "version",
    },
    "sweeps": {"errors", "files", "packages", "settings", "config", "data", "runs", "training"},
    "export": {*BASE, "data", "features", "network", "training", "runs", "version"},
    "neurobench": {"errors", "packages", "network", "runs", "training"},
    "process": {"errors", "log", "training"},
    "commands": {
        "errors",
        "files",
        "packages",
        "log",
        "parallel",
        "config",
        "data",
        "detection",
        "plot",
        "training",
        "runs",
        "instruments",
        "sweeps",
        "export",
    },
    "cli": {"commands", "process", ""},
    "": {"errors", "plot", "training", "runs", "network", "version"},
    "__main__": {"cli"},
}


def parts_imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            package = node.module or ""
            names = (
                [f"srnn.{alias.name}" for alias in node.names] if package == "srnn" else [package]
            )
        for name in names:
            if name == "srnn":
                yield ""
            elif name.startswith("srnn."):
                yield name.split(".")[1]


def part_of(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.stem)
def test_imports_follow_the_order(path: Path) -> None:
    part = part_of(path)
    assert set(parts_imported(path)) - {part} <= ALLOWED[part]


def test_parts_that_a_notebook_may_use_do_not_log_or_configure() -> None:
    for part in ("data", "features", "augment", "network"):
        for path in (SOURCE / part).rglob("*.py"):
            assert "loguru" not in path.read_text(), path


def test_every_file_names_its_licence() -> None:
    root = SOURCE.parents[1]
    files = [*root.glob("src/**/*.py"), *root.glob("tests/**/*.py"), *root.glob("configs/*.toml")]
    assert len(files) > 30
    for path in files:
        first = path.read_text().splitlines()[0]
        expected = "CC0-1.0" if path.suffix == ".toml" else "MPL-2.0"
        assert first == f"# SPDX-License-Identifier: {expected}", path
