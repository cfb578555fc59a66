# SPDX-License-Identifier: MPL-2.0
"""What may be carried from one run to another: its state on resuming, its weights on starting."""

import logging
from collections.abc import Iterable
from typing import Any

from srnn.config import Config
from srnn.errors import InputError
from srnn.training.checkpoint import Checkpoint
from srnn.training.spotter import Spotter

_log = logging.getLogger(__name__)

# Keys that may change between interruption and resumption: they change no number.
_FREE_KEYS = {"logger.level", "data.workers", "srnn.checkpoint_minutes"}

# Keys that decide the shape of the features, or of the weights, or what they mean.
_SHAPING_KEYS = (
    "srnn.network_size",
    "srnn.size",
    "srnn.sample_rate",
    "srnn.bias",
    "srnn.threshold",
    "srnn.adaptation",
    "mel.delta_order",
    "mel.fmax",
    "mel.fmin",
    "mel.n_mels",
    "mel.stack",
    "data.normalisation",
)


def expect_same_configuration(config: Config, saved: Config, source: str) -> None:
    """Check that a run may be resumed with ``config``.

    Raises
    ------
    InputError
        Naming the keys whose change would make it another run.
    """
    free = _FREE_KEYS | (set() if saved.srnn.schedule == "cosine" else {"srnn.epochs"})
    _expect_equal(config, saved, [key for key in _flat(saved) if key not in free], source)


def transfer(source: Checkpoint, spotter: Spotter, config: Config, labels: tuple[str, ...]) -> None:
    """Give ``spotter`` the weights of another run, and the scale of features they were made for.

    A label that both runs have keeps its readout; the readout of every other one stays fresh.

    Raises
    ------
    InputError
        If the networks or their features differ, naming the keys.
    """
    _expect_equal(config, source.parsed_config(), _SHAPING_KEYS, "--init")
    kept = [label for label in labels if label in source.labels]
    new = [labels.index(label) for label in kept]
    old = [source.labels.index(label) for label in kept]
    state = spotter.state_dict()
    for name, weights in source.weights.items():
        if name.startswith("network.readout."):
            state[name][new] = weights[old]
        else:
            state[name] = weights
    spotter.load_state_dict(state)
    fresh = [label for label in labels if label not in source.labels]
    _log.info(
        "weights of epoch %d; fresh readout for: %s", source.epoch, ", ".join(fresh) or "none"
    )


def _expect_equal(config: Config, saved: Config, keys: Iterable[str], source: str) -> None:
    wanted, found = _flat(config), _flat(saved)
    differences = [
        f"{source}: {key}: expected {wanted[key]!r} as configured, found {found[key]!r}"
        for key in keys
        if wanted[key] != found[key]
    ]
    if differences:
        raise InputError("\n".join(differences))


def _flat(config: Config) -> dict[str, Any]:
    """Return the values by ``table.key``; layer sizes in their one resolved form."""
    values = {
        f"{table}.{key}": value
        for table, keys in config.model_dump().items()
        for key, value in keys.items()
    }
    return values | {"srnn.network_size": config.srnn.layer_sizes}
