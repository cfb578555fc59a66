# SPDX-License-Identifier: MPL-2.0
"""Read a configuration file and its overrides, and name everything that is wrong with them."""

import copy
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from srnn.config.relations import broken_relations
from srnn.config.tables import Config, schemas
from srnn.config.writing import expectation, toml_value
from srnn.errors import InputError

_PACKAGE = Path(__file__).parents[1]

_LONGEST_VALUE = 200  # characters of a wrong value that an error message repeats

# What other libraries call a key; they count samples.
_ELSEWHERE = {
    "n_fft": "mel.window (ms)",
    "win_length": "mel.window (ms)",
    "frame_length": "mel.window (ms)",
    "hop_length": "mel.hop (ms)",
    "frame_shift": "mel.hop (ms)",
}

Document = dict[str, Any]
Place = tuple[str, ...]  # (table, key), or (name,) of a table or of a key outside any table


def load(name: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read and validate a configuration.

    Parameters
    ----------
    name : str or Path
        A TOML file; a bare name is looked up as `find` does.
    overrides : sequence of str
        ``table.key=value`` each, later ones first in rank. The value is TOML, or, where it is
        not, a plain string.

    Returns
    -------
    Config
        With every key; keys the file does not mention have their defaults.

    Raises
    ------
    InputError
        If anything is wrong. Its text lists all problems, a line each, that starts with the
        file, or with ``--set`` where an override is at fault.
    """
    try:
        path = find(name)
        document = _parse(path)
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror}") from error

    overridden, problems = _override(document, overrides)
    return _validated(document, str(path), overridden, problems)


def from_tables(tables: Document, source: str) -> Config:
    """Validate the tables of a configuration that was read from `source`, such as a checkpoint.

    Raises
    ------
    InputError
        As `load` does.
    """
    return _validated(copy.deepcopy(tables), source, set(), [])


def _validated(
    document: Document, path: str, overridden: set[Place], problems: list[str]
) -> Config:
    """Return the configuration, or raise `problems` and everything else that is wrong with it."""

    def report(places: Sequence[Place], text: str) -> None:
        is_override = any(place[: len(at)] == at for place in overridden for at in places)
        source = "--set " if is_override else f"{path}: "
        problems.append(f"{source}{'.'.join(places[0])}: {text}")

    bad = _key_problems(document)
    for place, text in bad.items():
        report([place], text)
        _remove(document, place)
    config = Config.model_validate(document)
    for relation in broken_relations(config):
        places = [tuple(key.split(".")) for key in relation.keys]
        if not any(place in bad or place[:1] in bad for place in places):
            report(places, _expected_found(relation.expected, toml_value(relation.found)))

    if problems:
        raise InputError(*problems)
    return config


def is_named(config: Config, table: str, key: str) -> bool:
    """Return whether the file that `config` was read from, or an override, names a key.

    In a file that names every key, as ``config.toml`` of a run and what ``srnn config`` prints do,
    none counts: the program wrote them.
    """
    if all(part.model_fields_set == type(part).model_fields.keys() for _, part in config):
        return False
    return key in getattr(config, table).model_fields_set


def find(name: str | Path) -> Path:
    """Return the configuration file `name`.

    A bare name is looked up in the working directory, in its configs/, and then among the
    configurations of the package: srnn/configs/ of a wheel, configs/ of a clone.

    Raises
    ------
    InputError
        If there is none.
    """
    path = Path(name)
    places = [path]
    if len(path.parts) == 1:
        installed = _PACKAGE / "configs"
        own = installed if installed.is_dir() else _PACKAGE.parents[1] / "configs"
        places += ["configs" / path, *([own / path] if own != Path("configs").absolute() else [])]
    existing = [place for place in places if place.exists()]
    for place in existing:
        if not place.is_dir():
            return place
    if existing:
        raise InputError(f"{name}: expected a TOML file, found a directory")
    looked = " or ".join(str(place.absolute()) for place in places)
    raise InputError(f"{name}: expected a TOML file, found nothing at {looked}")


def _parse(path: Path) -> Document:
    content = path.read_bytes()
    try:
        return tomli.loads(content.decode("utf-8-sig"))  # some editors put a mark in front
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        text = f"line {line}: not UTF-8: byte 0x{error.object[error.start]:02x}"
        raise InputError(f"{path}: {text}") from error
    except tomli.TOMLDecodeError as error:
        text = f"line {error.lineno}, column {error.colno}: not valid TOML: {error.msg}"
        raise InputError(f"{path}: {text}") from error
    except (ValueError, RecursionError) as error:  # integers too long, brackets too deep
        raise InputError(f"{path}: not valid TOML: {error}") from error


def _override(document: Document, overrides: Sequence[str]) -> tuple[set[Place], list[str]]:
    """Put `overrides` into `document`; return the keys they set, and those that set none."""
    overridden: set[Place] = set()
    problems: list[str] = []
    for override in overrides:
        left, equals, right = override.partition("=")
        table, _, key = (part.strip() for part in left.partition("."))
        if not (equals and table and key and left.isprintable()):
            hint = "" if key else _nearest_key(table)
            problems.append(f"--set {override}: expected table.key=value{hint}")
            continue
        keys = document.setdefault(table, {})
        if isinstance(keys, dict):  # else the file is at fault, which `load` reports
            schema = schemas().get(table, {}).get(key, {})
            keys[key] = _override_value(right.strip(), schema)
            overridden.add((table, key))
    return overridden, problems


def _override_value(text: str, schema: dict[str, Any]) -> Any:
    """Return a value as TOML has it; where it is none, a list or text as the key's schema has it.

    A shell takes the quotes from ``["yes","no"]``, and ``yes,no`` is quicker to type.
    """
    try:
        return _toml_value(text)
    except ValueError:
        options = schema.get("anyOf", [schema])
    lists = [option for option in options if option.get("type") == "array"]
    if not (text and lists) or text in [option.get("const") for option in options]:
        return text
    enclosed = text.startswith("[") and text.endswith("]")
    parts = [part.strip() for part in (text[1:-1] if enclosed else text).split(",")]
    if lists[0].get("items", {}).get("type") == "string":
        return [part.strip("\"'") for part in parts]
    return [_override_value(part, {}) for part in parts] if len(parts) > 1 else text


def _toml_value(text: str) -> Any:
    """Return the value that a text is in TOML; raise ValueError where it is none."""
    try:
        document = tomli.loads(f"value = {text}")
    except RecursionError as error:
        raise ValueError(text) from error
    if len(document) > 1:
        raise ValueError(text)
    return document["value"]


def _key_problems(document: Document) -> dict[Place, str]:
    """Return what is wrong with each key or table of `document`, by itself."""
    try:
        Config.model_validate(document)
    except ValidationError as failure:
        errors: dict[Place, list[ErrorDetails]] = {}
        for error in failure.errors():
            place = tuple(str(part) for part in error["loc"][:2])
            errors.setdefault(place, []).append(error)
        return {place: _key_problem(document, place, group) for place, group in errors.items()}
    return {}


def _key_problem(document: Document, place: Place, errors: list[ErrorDetails]) -> str:
    unknown = errors[0]["type"] == "extra_forbidden"
    match place:
        case (name,) if not unknown:
            return _expected_found(f"a table, [{name}]", toml_value(document[name]))
        case (name,) if isinstance(document[name], dict):
            tables = {table: table for table in schemas()}
            hint = _nearest(name, tables, 0.6) or f"; the tables are {', '.join(tables)}"
            return f"unknown table{hint}"
        case (name,):
            return f"unknown key outside any table{_nearest_key(name)}"
        case (table, key) if unknown:
            return f"unknown key{_nearest_key(key, table)}"
    table, key = place
    return _expected_found(expectation(schemas()[table][key]), _found(document[table][key], errors))


def _found(value: Any, errors: list[ErrorDetails]) -> str:
    """Return the wrong value, or the part of a list that is wrong with it."""
    for error in errors:
        index = error["loc"][-1]
        if error["type"] == "value_error":
            return str(error["ctx"]["error"])
        if isinstance(value, list) and isinstance(index, int) and index < len(value):
            return f"{toml_value(value[index])} as item {index + 1} of the list"
    return toml_value(value)


def _expected_found(expected: str, found: str) -> str:
    if len(found) > _LONGEST_VALUE:
        found = f"{found[:_LONGEST_VALUE]}..."
    return f"expected {expected}, found {found}"


def _nearest_key(name: str, table: str = "") -> str:
    """Suggest a key of `table` that resembles `name`, or one elsewhere that does so closely."""
    if name in _ELSEWHERE:
        return f"; did you mean {_ELSEWHERE[name]}?"
    own = {key: f"{table}.{key}" for key in schemas().get(table, {})}
    every = {key: f"{home}.{key}" for home, keys in schemas().items() for key in keys}
    return _nearest(name, own, 0.6) or _nearest(name, every, 0.75)


def _nearest(name: str, known: dict[str, str], resemblance: float) -> str:
    nearest = difflib.get_close_matches(name.lower(), known, n=1, cutoff=resemblance)
    return f"; did you mean {known[nearest[0]]}?" if nearest else ""


def _remove(document: Document, place: Place) -> None:
    *tables, key = place
    for table in tables:
        document = document[table]
    del document[key]
