# SPDX-License-Identifier: MPL-2.0
"""What a run leaves behind, and whether two runs left the same."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from srnn.runs.checkpoint import load_checkpoint

RUN_FILES = {
    "best.safetensors",
    "config.toml",
    "last.safetensors",
    "metrics.jsonl",
    "test.json",
    "train.log",
}
TIMES = ("seconds", "samples_per_second")


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(value[key]) for key in value if key not in TIMES}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def assert_same_results(one: Path, other: Path) -> None:
    """Everything but times is the same, bit for bit."""
    for name in ("best.safetensors", "last.safetensors"):
        a, b = (without_times(asdict(load_checkpoint(run / name))) for run in (one, other))
        assert_same_tensors(a, b)
    assert (one / "test.json").read_text() == (other / "test.json").read_text()
    assert_same_tensors(without_times(metrics(one)), without_times(metrics(other)))


def expect_the_same(run: Path, undisturbed: Path) -> None:
    """Hold a run that has ended to one that was left alone."""
    assert {file.name for file in run.iterdir()} - {".lock"} == RUN_FILES
    assert_same_results(run, undisturbed)


def assert_same_tensors(one: Any, other: Any) -> None:
    """What a checkpoint may hold is the same; -0.0 is not 0.0."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same_tensors(one[key], other[key])
    elif isinstance(one, list):
        for a, b in zip(one, other, strict=True):
            assert_same_tensors(a, b)
    elif isinstance(one, torch.Tensor):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.numpy().tobytes() == other.numpy().tobytes()
    else:
        assert repr(one) == repr(other)
