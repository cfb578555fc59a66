# SPDX-License-Identifier: MPL-2.0
"""The results in a run directory: ``metrics.jsonl`` and ``test.json``; means over several runs."""

import statistics
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from srnn.errors import InputError
from srnn.runs.directory import RunDirectory
from srnn.training.progress import EpochMetrics

Json = dict[str, Any]
T = TypeVar("T")


def metrics_of(run: RunDirectory) -> list[Json]:
    """Return the metrics of the finished epochs, in their order; those of `EpochMetrics` by name.

    Raises
    ------
    InputError
        If ``metrics.jsonl`` cannot be read, or is damaged.
    """
    lines = enumerate(_text(run.metrics).splitlines(), start=1)
    return [
        asdict(parse_json(EpochMetrics, line, f"{run.metrics}, line {number}", "metrics"))
        for number, line in lines
    ]


def testing_of(run: RunDirectory) -> Json:
    """Return the result on the testing partition.

    Raises
    ------
    InputError
        If ``test.json`` cannot be read, or is damaged.
    """
    return parse_json(Json, _text(run.test), str(run.test), "an object")


def parse_json(kind: type[T], text: str | bytes, source: str, expected: str) -> T:
    """Return the value of a kind that JSON describes.

    Parameters
    ----------
    kind : type
        That pydantic can validate.
    text : str or bytes
    source, expected : str
        Where it is from, and what it should be, for messages.

    Raises
    ------
    InputError
        If it is something else.
    """
    try:
        value: T = _adapter(kind).validate_json(text)  # type: ignore[arg-type] # it is hashable
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"{each}: " for each in first["loc"])
        raise InputError(f"{source}: expected {expected}, found {place}{first['msg']}") from error
    return value


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are there, or None without any."""
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found else None


def std(values: Iterable[float | None]) -> float | None:
    """Return the standard deviation (of a sample) of the values that are there, or None of one."""
    found = [value for value in values if value is not None]
    return statistics.stdev(found) if len(found) > 1 else None


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: expected text in UTF-8, found {error}") from error
    except OSError as error:
        found = "none" if isinstance(error, FileNotFoundError) else error.strerror or error
        raise InputError(f"{file}: expected a file, found {found}") from error
