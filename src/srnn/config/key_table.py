# SPDX-License-Identifier: MPL-2.0
"""The key reference: a Markdown table of all keys."""

from collections.abc import Iterator
from typing import Any

from srnn.config.messages import alternatives, expectation
from srnn.config.tables import schemas
from srnn.config.writing import toml_value


def key_table() -> str:
    """Return the Markdown table of all keys: meaning, unit and conditions, range, default."""
    lines = ["| key | meaning | range | default |", "|---|---|---|---|"]
    for table, keys in schemas().items():
        for key, schema in keys.items():
            unit = f" ({schema['unit']})" if schema["unit"] else ""
            conditions = "".join(f"; {condition}" for condition in _conditions(schema))
            lines.append(
                f"| `{table}.{key}` | {schema['description']}{unit}{conditions} "
                f"| {expectation(schema)} | `{toml_value(schema['default'])}` |"
            )
    return "\n".join(lines) + "\n"


def _conditions(schema: dict[str, Any]) -> Iterator[str]:
    for other, wanted in schema["idle_unless"].items():
        values = wanted if isinstance(wanted, (list, tuple)) else [wanted]
        yield f"read only with `{other}` = {alternatives([f'`{toml_value(v)}`' for v in values])}"
    for other, value in schema["idle_if"].items():
        yield f"not read with `{other}` = `{toml_value(value)}`"
