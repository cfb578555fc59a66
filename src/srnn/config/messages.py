# SPDX-License-Identifier: MPL-2.0
"""Errors of keys, a line each: expected and found."""

import difflib
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from srnn.config.tables import Config, schemas
from srnn.config.writing import toml_value
from srnn.settings import Keys

_LONGEST_VALUE = 200  # characters of a wrong value that an error message repeats

# Names of keys in other libraries, which count samples.
_ELSEWHERE = {
    "n_fft": "mel.window (ms)",
    "win_length": "mel.window (ms)",
    "frame_length": "mel.window (ms)",
    "hop_length": "mel.hop (ms)",
    "frame_shift": "mel.hop (ms)",
}


Document = dict[str, Any]
Place = tuple[str, ...]  # (table, key), or (name,) of a table or of a key outside any table


def key_problems(document: Document) -> dict[Place, str]:
    """Return the error of each invalid key or table of `document`."""
    try:
        Config.model_validate(document)
    except ValidationError as failure:
        errors = _by_place(failure, 2)
        return {place: _key_problem(document, place, group) for place, group in errors.items()}
    return {}


def table_problems(keys: type[Keys], table: dict[str, Any]) -> dict[str, str]:
    """Return the error of each invalid key of a table that is no part of a configuration."""
    schema = keys.model_json_schema()["properties"]
    try:
        keys.model_validate(table)
    except ValidationError as failure:
        errors = _by_place(failure, 1)
        return {
            name: expected_found(expectation(schema[name]), _found(table[name], group))
            if name in schema
            else "unknown key"
            + (_nearest(name, {key: key for key in schema}, 0.6) or f"; known: {', '.join(schema)}")
            for (name,), group in errors.items()
        }
    return {}


def _by_place(failure: ValidationError, depth: int) -> dict[Place, list[ErrorDetails]]:
    """Return errors by the first ``depth`` names of their places."""
    errors: dict[Place, list[ErrorDetails]] = {}
    for error in failure.errors():
        place = tuple(str(part) for part in error["loc"][:depth])
        errors.setdefault(place, []).append(error)
    return errors


def _key_problem(document: Document, place: Place, errors: list[ErrorDetails]) -> str:
    unknown = errors[0]["type"] == "extra_forbidden"
    match place:
        case (name,) if not unknown:
            return expected_found(f"a table, [{name}]", toml_value(document[name]))
        case (name,) if isinstance(document[name], dict):
            tables = {table: table for table in schemas()}
            hint = _nearest(name, tables, 0.6) or f"; the tables are {', '.join(tables)}"
            return f"unknown table{hint}"
        case (name,):
            return f"unknown key outside any table{nearest_key(name)}"
        case (table, key) if unknown:
            return f"unknown key{nearest_key(key, table)}"
    table, key = place
    return expected_found(expectation(schemas()[table][key]), _found(document[table][key], errors))


def _found(value: Any, errors: list[ErrorDetails]) -> str:
    """Return the wrong value, or the part of a list that is wrong with it."""
    for error in errors:
        index = error["loc"][-1]
        if error["type"] == "value_error":
            return str(error["ctx"]["error"])
        if isinstance(value, list) and isinstance(index, int) and index < len(value):
            return f"{toml_value(value[index])} as item {index + 1} of the list"
    return toml_value(value)


def expected_found(expected: str, found: str) -> str:
    """Return both as one clause; a value that is too long is cut off."""
    if len(found) > _LONGEST_VALUE:
        found = f"{found[:_LONGEST_VALUE]}..."
    return f"expected {expected}, found {found}"


def nearest_key(name: str, table: str = "") -> str:
    """Suggest a key of `table` that resembles `name`, or one elsewhere that does so closely."""
    if name in _ELSEWHERE:
        return f"; did you mean {_ELSEWHERE[name]}?"
    own = {key: f"{table}.{key}" for key in schemas().get(table, {})}
    every = {key: f"{home}.{key}" for home, keys in schemas().items() for key in keys}
    return _nearest(name, own, 0.6) or _nearest(name, every, 0.75)


def _nearest(name: str, known: dict[str, str], resemblance: float) -> str:
    nearest = difflib.get_close_matches(name.lower(), known, n=1, cutoff=resemblance)
    return f"; did you mean {known[nearest[0]]}?" if nearest else ""


def expectation(schema: dict[str, Any]) -> str:
    """Return which values a JSON schema admits, as what follows "expected"."""
    match schema:
        case {"anyOf": options}:
            return alternatives([expectation(option) for option in options])
        case {"const": value}:
            return toml_value(value)
        case {"enum": values}:
            return alternatives([toml_value(value) for value in values])
        case {"type": "boolean"}:
            return "true or false"
        case {"prefixItems": items}:
            members = (f"{item['title']}: {_noun(item)}" for item in items)
            return f"a list [{', '.join(members)}]"
        case {"items": item}:
            distinct = "distinct " if schema.get("uniqueItems") else ""
            noun, _, rest = _noun(item).partition(" ")
            some = "non-empty " if schema.get("minItems") else ""
            return f"a {some}list of {distinct}{noun}s {rest}".rstrip()
    noun = _noun(schema)
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _noun(schema: dict[str, Any]) -> str:
    """Return the kind and range of a single value, without article."""
    kind: str = schema.get("noun", schema["type"])
    match schema:
        case {"minimum": low, "maximum": high}:
            return f"{kind} from {low} to {high}"
        case {"exclusiveMinimum": low, "maximum": high}:
            return f"{kind} > {low} and <= {high}"
        case {"minimum": low, "exclusiveMaximum": high}:
            return f"{kind} >= {low} and < {high}"
        case {"minimum": low}:
            return f"{kind} >= {low}"
        case {"exclusiveMinimum": low}:
            return f"{kind} > {low}"
    return kind


def alternatives(options: list[str]) -> str:
    """Return options as in "a, b or c"."""
    return " or ".join([*filter(None, [", ".join(options[:-1])]), options[-1]])
