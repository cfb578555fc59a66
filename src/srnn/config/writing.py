# SPDX-License-Identifier: MPL-2.0
"""Keys and values as text: TOML, what a key expects, the table of all keys."""

from typing import Any

import tomli_w

from srnn.config.tables import Config, schemas

_TOML_INTEGERS = 2**63  # beyond, Python may refuse to print decimals; TOML has hexadecimals


def toml_value(value: Any) -> str:
    """Return `value` as TOML on one line; what has no TOML, from Python, as Python shows it.

    None, which a checkpoint may hold, is "null".
    """
    if value is None:
        return "null"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {toml_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, int) and abs(value) >= _TOML_INTEGERS:
        return hex(value)
    try:
        return tomli_w.dumps({"x": value}).removeprefix("x = ").removesuffix("\n")
    except TypeError:
        return repr(value)


def to_toml(config: Config) -> str:
    """Return the TOML of `config`, every key in it; `load` makes an equal `Config` of it."""
    tables = (
        f"[{table}]\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in keys.items())
        for table, keys in config.model_dump().items()
    )
    return "\n".join(tables)


def changes(config: Config) -> list[str]:
    """Return the keys whose values differ from the defaults, as ``table.key = value`` in TOML."""
    usual = Config().model_dump()
    return [
        f"{table}.{key} = {toml_value(value)}"
        for table, keys in config.model_dump().items()
        for key, value in keys.items()
        if value != usual[table][key]
    ]


def expectation(schema: dict[str, Any]) -> str:
    """Say which values a JSON schema admits, as what follows "expected"."""
    match schema:
        case {"anyOf": options}:
            return _alternatives([expectation(option) for option in options])
        case {"const": value}:
            return toml_value(value)
        case {"enum": values}:
            return _alternatives([toml_value(value) for value in values])
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


def _alternatives(options: list[str]) -> str:
    return " or ".join([", ".join(options[:-1]), options[-1]])


def key_table() -> str:
    """Return the Markdown table of all keys: key, meaning and unit, range, default."""
    lines = ["| key | meaning | range | default |", "|---|---|---|---|"]
    for table, keys in schemas().items():
        for key, schema in keys.items():
            unit = f" ({schema['unit']})" if schema["unit"] else ""
            lines.append(
                f"| `{table}.{key}` | {schema['description']}{unit} | {expectation(schema)} "
                f"| `{toml_value(schema['default'])}` |"
            )
    return "\n".join(lines) + "\n"
