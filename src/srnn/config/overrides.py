# SPDX-License-Identifier: MPL-2.0
"""The overrides of a configuration, ``--set table.key=value``."""

from collections.abc import Sequence
from typing import Any

import tomli

from srnn.config.messages import Document, Place, nearest_key
from srnn.config.tables import schemas


def override(document: Document, overrides: Sequence[str]) -> tuple[set[Place], list[str]]:
    """Put `overrides` into `document`; return the keys they set, and those that set none."""
    overridden: set[Place] = set()
    problems: list[str] = []
    for override in overrides:
        left, equals, right = override.partition("=")
        table, _, key = (part.strip() for part in left.partition("."))
        if not (equals and table and key and left.isprintable()):
            hint = "" if key else nearest_key(table)
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
