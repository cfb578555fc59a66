# SPDX-License-Identifier: MPL-2.0
"""Effects of keys, from their declarations (see `srnn.settings.key`)."""

from collections.abc import Iterator, Mapping
from typing import Any

from srnn.config.tables import Config, schemas
from srnn.config.writing import toml_value

_NARROW = 4000.0  # Hz: the reference's highest frequency; consonants differ above it

Values = dict[str, Any]
"""Values by ``table.key``."""


def values(config: Config) -> Values:
    """Return all values; of keys that may be given in two forms, the resolved one."""
    every = {
        f"{table}.{key}": value
        for table, keys in config.model_dump().items()
        for key, value in keys.items()
    }
    return every | {
        "srnn.network_size": config.srnn.layer_sizes,
        "srnn.recurrent": config.srnn.recurrent_layers,
    }


def shaping(config: Config) -> Values:
    """Return the values that decide which weights and features a network has, or what they mean."""
    every = values(config)
    return {
        name: value
        for name, value in every.items()
        if _declared(name)["shapes_weights"] and not any(idle_beside(name, every))
    }


def fixed_on_resume(config: Config) -> Values:
    """Return the values that may not change when a run with this configuration is resumed."""
    every = values(config)
    return {
        name: value
        for name, value in every.items()
        if not _declared(name)["free_on_resume"]
        or any(_holding(_declared(name)["fixed_if"], every))
    }


def idle_keys(config: Config) -> Iterator[str]:
    """Yield a sentence for each key that was changed from its default to no effect.

    They are no error: a configuration may be made for several neurons, or hold what a sweep turns
    off.
    """
    every, defaults = values(config), values(Config())
    for name, value in every.items():
        if value != defaults[name]:
            for other in idle_beside(name, every):
                yield (
                    f"{name} = {toml_value(value)} has no effect beside "
                    f"{other} = {toml_value(every[other])}"
                )


def doubtful_keys(config: Config) -> Iterator[str]:
    """Yield a sentence for each valid but probably unintended combination."""
    features = config.mel.features
    if features == "reference":
        return
    if config.data.normalisation != "standardise":
        yield (
            f'mel.features = "{features}" needs data.normalisation = "standardise" (found '
            f"{toml_value(config.data.normalisation)}): its values are far from 0"
        )
    if config.mel.fmax <= _NARROW < config.srnn.sample_rate / 2:
        widest = min(8000.0, config.srnn.sample_rate / 2)
        yield (
            f'mel.features = "{features}" needs mel.fmax = {widest} (found {config.mel.fmax}): '
            "higher frequencies are not used"
        )


def _declared(name: str) -> dict[str, Any]:
    table, key = name.split(".")
    return schemas()[table][key]


def idle_beside(name: str, every: Values) -> Iterator[str]:
    """Yield the keys beside whose values one has no effect."""
    declared = _declared(name)
    needed = declared["idle_unless"]
    yield from (other for other in needed if other not in _holding(needed, every))
    yield from _holding(declared["idle_if"], every)


def _holding(conditions: Mapping[str, Any], every: Values) -> list[str]:
    """Return the keys that have the value, or one of the values, that is named."""
    return [
        name
        for name, wanted in conditions.items()
        if every[name] in (wanted if isinstance(wanted, (list, tuple)) else (wanted,))
    ]
