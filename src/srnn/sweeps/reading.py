# SPDX-License-Identifier: MPL-2.0
"""Reads the TOML file of a sweep, and names everything that is wrong with it."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli_w

from srnn.config import (
    Config,
    expected_found,
    find,
    fixed_on_resume,
    key_problems,
    load,
    parse,
    table_problems,
    toml_value,
)
from srnn.errors import InputError
from srnn.sweeps.keys import PruningKeys, SweepKeys
from srnn.sweeps.space import Choices, Range, RangeKeys, Varied, is_integer

FILE = "sweep.toml"
"""The copy of the sweep's file in its directory."""

_TABLES = {
    "sweep": "what is trained and compared",
    "keys": "what is varied",
    "set": "keys of all trials",
    "pruning": "trials that end early",
}
_LARGEST_GRID = 10_000

Params = Mapping[str, Any]
"""A setting as Optuna has it: drawn values by ``table.key``."""


@dataclass(frozen=True)
class Sweep:
    """A sweep as its file describes it.

    Attributes
    ----------
    file : Path
    keys : SweepKeys
    pruning : PruningKeys
    fixed : tuple of str
        ``table.key=value`` of the table ``[set]``.
    space : dict of str to Varied
        What is varied, by ``table.key``.
    directory : Path
        That of the trials.
    document : dict
        The content of the file.
    """

    file: Path
    keys: SweepKeys
    pruning: PruningKeys
    fixed: tuple[str, ...]
    space: dict[str, Varied]
    directory: Path
    document: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.keys.name or self.file.stem

    @property
    def server(self) -> str | None:
        """The address of the server that keeps the study; None: a file does."""
        return self.keys.storage or None

    @cached_property
    def base(self) -> Config:
        """The configuration that is varied, with the keys of ``[set]``."""
        return load(self.keys.base, self.fixed, overridden_by=f"{self.file}: set.")

    def values(self, params: Params) -> dict[str, Any]:
        """Return the values of the varied keys in a setting."""
        return {name: varied.decoded(params[name]) for name, varied in self.space.items()}

    def overrides(self, params: Params, seed: int) -> tuple[str, ...]:
        """Return what a run of a setting changes in the configuration, ``table.key=value`` each."""
        values = (f"{name}={toml_value(value)}" for name, value in self.values(params).items())
        return (*self.fixed, *values, f"srnn.seed={seed}")

    def config(self, params: Params, seed: int) -> Config:
        """Return the configuration of a run.

        Raises
        ------
        InputError
            If the values of a setting do not go together.
        """
        overrides = self.overrides(params, seed)
        return load(self.keys.base, overrides, overridden_by=f"{self.file}: keys.")

    @property
    def seeds(self) -> range:
        """The seeds of each setting."""
        return range(self.base.srnn.seed, self.base.srnn.seed + self.keys.seeds)

    @cached_property
    def grid(self) -> list[dict[str, Any]]:
        """All settings, as Optuna has them; only of the sampler ``grid``."""
        columns = [varied.grid() for varied in self.space.values()]
        assert all(column is not None for column in columns)
        points = itertools.product(*(column for column in columns if column is not None))
        return [dict(zip(self.space, point, strict=True)) for point in points]

    @property
    def planned(self) -> int | None:
        """How many trials there will be; None if only time limits them."""
        limits = [self.keys.trials] if self.keys.trials else []
        limits += [len(self.grid)] if self.keys.sampler == "grid" else []
        return min(limits) if limits else None

    def to_toml(self) -> str:
        """Return a file of the same sweep that may lie elsewhere and have another name."""
        table = {**self.document["sweep"], "name": self.name, "directory": str(self.directory)}
        return tomli_w.dumps({**self.document, "sweep": table})

    def definition(self) -> dict[str, str]:
        """Return what may not change while a study goes on: TOML by ``table.key``."""
        free = {"base", "name", "directory", "storage", "trials", "hours"}
        found = {
            f"{table}.{key}": toml_value(value)
            for table, keys in (("sweep", self.keys), ("pruning", self.pruning))
            for key, value in keys.model_dump().items()
            if key not in free
        }
        found |= {f"keys.{name}": str(varied) for name, varied in self.space.items()}
        base = fixed_on_resume(self.base).items()
        return found | {key: toml_value(value) for key, value in base if key not in self.space}


def read_sweep(path: str | Path) -> Sweep:
    """Read and validate the file of a sweep.

    Parameters
    ----------
    path : str or Path
        A TOML file, or the directory of a sweep, which holds a copy of its own.

    Raises
    ------
    InputError
        If anything is wrong with it, with the base configuration, with the values of a key, or with
        a setting of a grid. Each line names a table and a key, what was expected and what was
        found.
    """
    given = Path(path)
    is_directory = given.is_dir()
    if is_directory and not (given / FILE).is_file():
        raise InputError(f"{given}: expected the file or the directory of a sweep, found no {FILE}")
    file = given / FILE if is_directory else find(given)
    try:
        document = parse(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    problems = list(_table_problems(document))
    if problems:
        raise InputError(*(f"{file}: {problem}" for problem in problems))
    keys = SweepKeys.model_validate(document["sweep"])
    pruning = PruningKeys.model_validate(document.get("pruning", {}))
    fixed = _flat(document.get("set", {}))
    space: dict[str, Varied] = {}
    for name, value in _flat(document["keys"]).items():
        found = _varied(name, value)
        if isinstance(found, str):
            problems.append(f"keys.{name}: {found}")
        else:
            space[name] = found
    problems += [
        f"set.{name}: expected a key that [keys] does not vary" for name in fixed if name in space
    ]
    problems += _relation_problems(keys, pruning, space)
    if problems:
        raise InputError(*(f"{file}: {problem}" for problem in problems))
    directory = (
        given if is_directory else Path(keys.directory or f"sweeps/{keys.name or file.stem}")
    )
    overrides = tuple(f"{name}={toml_value(value)}" for name, value in fixed.items())
    sweep = Sweep(file, keys, pruning, overrides, space, directory, document)
    _expect_valid_settings(sweep)
    return sweep


def _table_problems(document: dict[str, Any]) -> Iterator[str]:
    for name, value in document.items():
        if name not in _TABLES:
            listed = ", ".join(f"[{table}] ({what})" for table, what in _TABLES.items())
            yield f"{name}: unknown table or key; the tables are {listed}"
        elif not isinstance(value, dict):
            yield f"{name}: {expected_found(f'a table, [{name}]', toml_value(value))}"
    tables = {name: document.get(name, {}) for name in _TABLES}
    if not all(isinstance(table, dict) for table in tables.values()):
        return
    for name, keys in (("sweep", SweepKeys), ("pruning", PruningKeys)):
        if name == "sweep" and "base" not in tables[name]:
            yield "sweep.base: expected a configuration, found none"
            tables[name] = {"base": "-", **tables[name]}
        for key, problem in table_problems(keys, tables[name]).items():
            yield f"{name}.{key}: {problem}"
    if not tables["keys"]:
        yield "keys: expected keys to vary, such as srnn.learning_rate = [1e-3, 3e-3], found none"
    for name in ("keys", "set"):
        for table, value in tables[name].items():
            if not isinstance(value, dict):
                yield f"{name}.{table}: expected TABLE.KEY = ..., found {table} = " + toml_value(
                    value
                )


def _flat(tables: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        f"{table}.{key}": value for table, keys in tables.items() for key, value in keys.items()
    }


def _varied(name: str, value: Any) -> Varied | str:
    """Return the values of a key, or what is wrong with them."""
    if name == "srnn.seed":
        return "expected another key: sweep.seeds = N trains each setting with N seeds"
    if isinstance(value, dict):
        return _range(name, value)
    if not isinstance(value, list) or not value:
        expected = "a list of values or a range {low = ..., high = ...}"
        return expected_found(expected, toml_value(value))
    choices = {toml_value(choice): choice for choice in value}
    if len(choices) < len(value):
        return expected_found("distinct values", toml_value(value))
    return _invalid(name, value) or Choices(choices)


def _range(name: str, value: dict[str, Any]) -> Range | str:
    """Return a range of a key, or what is wrong with it."""
    for key in ("low", "high"):
        if key not in value:
            return f"{key}: expected a number, found none"
    for key, problem in table_problems(RangeKeys, value).items():
        return f"{key}: {problem}"
    keys = RangeKeys.model_validate(value)
    for relation in keys.broken_relations():
        text = expected_found(relation.expected, toml_value(relation.found))
        return f"{relation.keys[0]}: {text}"
    if wrong := _invalid(name, [keys.low, keys.high]):
        return wrong
    return Range(keys.low, keys.high, keys.log, keys.step, is_integer=is_integer(name, keys))


def _invalid(name: str, examples: list[Any]) -> str | None:
    """Return what is wrong with the first value that a key cannot have, by itself."""
    table, _, key = name.partition(".")
    for example in examples:
        for problem in key_problems({table: {key: example}}).values():
            return problem
    return None


def _relation_problems(
    keys: SweepKeys, pruning: PruningKeys, space: dict[str, Varied]
) -> Iterator[str]:
    if keys.sampler == "grid":
        sizes = []
        for name, varied in space.items():
            grid = varied.grid()
            if grid is None:
                expected = 'a list, or a range with a step, beside sampler = "grid"'
                yield f"keys.{name}: {expected_found(expected, str(varied))}"
            sizes.append(len(grid or ()))
        if math.prod(sizes) > _LARGEST_GRID:
            found = f"{math.prod(sizes):,}"
            yield f"keys: {expected_found(f'a grid of at most {_LARGEST_GRID:,} settings', found)}"
    elif not (keys.trials or keys.hours):
        expected = f'trials or hours beside sampler = "{keys.sampler}"'
        yield f"sweep.trials: expected {expected}, found neither"
    if keys.spikes and pruning.method != "none":
        yield (
            'pruning.method: expected "none" beside sweep.spikes = true, as Optuna prunes by one '
            f"objective only, found {toml_value(pruning.method)}"
        )


def _expect_valid_settings(sweep: Sweep) -> None:
    """Check the base configuration, and every setting of a grid."""
    seeds = sweep.seeds  # reads the base configuration
    if sweep.keys.sampler == "grid":
        for point in sweep.grid:
            sweep.config(point, seeds[0])
