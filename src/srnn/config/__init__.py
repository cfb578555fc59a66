# SPDX-License-Identifier: MPL-2.0
"""From TOML to one frozen, validated `Config`.

Components declare their keys (see `srnn.settings`); `tables` collects them. `reading` validates a
file and its `overrides` and names everything that is wrong with them in the words of `messages`;
`relations` checks keys of several components; `effects` states which keys shape weights, are fixed
on resume or have no effect; `writing` returns TOML, `key_table` the table of all keys.
"""

from srnn.config.effects import doubtful_keys, fixed_on_resume, idle_keys, shaping, values
from srnn.config.key_table import key_table
from srnn.config.messages import expected_found, key_problems, nearest_key, table_problems
from srnn.config.reading import find, from_tables, is_named, load, parse, with_overrides
from srnn.config.tables import (
    AugmentConfig,
    Config,
    DataConfig,
    SrnnConfig,
    schemas,
)
from srnn.config.writing import changes, to_toml, toml_value

__all__ = [
    "AugmentConfig",
    "Config",
    "DataConfig",
    "SrnnConfig",
    "changes",
    "doubtful_keys",
    "expected_found",
    "find",
    "fixed_on_resume",
    "from_tables",
    "idle_keys",
    "is_named",
    "key_problems",
    "key_table",
    "load",
    "nearest_key",
    "parse",
    "schemas",
    "shaping",
    "table_problems",
    "to_toml",
    "toml_value",
    "values",
    "with_overrides",
]
