# SPDX-License-Identifier: MPL-2.0
"""From TOML to one frozen, validated `Config`.

`tables` declares every key once, `relations` what keys must satisfy together; `reading` turns a
file and its overrides into a `Config` and names everything that is wrong with them; `writing` says
the keys and values back as text.
"""

from srnn.config.reading import find, from_tables, is_named, load
from srnn.config.relations import doubtful_keys, idle_keys
from srnn.config.tables import (
    AugmentConfig,
    Config,
    CudaConfig,
    DataConfig,
    LoggerConfig,
    MelConfig,
    SrnnConfig,
)
from srnn.config.writing import changes, key_table, to_toml, toml_value

__all__ = [
    "AugmentConfig",
    "Config",
    "CudaConfig",
    "DataConfig",
    "LoggerConfig",
    "MelConfig",
    "SrnnConfig",
    "changes",
    "doubtful_keys",
    "find",
    "from_tables",
    "idle_keys",
    "is_named",
    "key_table",
    "load",
    "to_toml",
    "toml_value",
]
