# SPDX-License-Identifier: MPL-2.0
"""Keys and values as TOML."""

from typing import Any

import tomli_w

from srnn.config.tables import Config

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
