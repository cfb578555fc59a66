# SPDX-License-Identifier: MPL-2.0
"""What may be carried from one run to another: its state on resuming, its weights on starting."""

import hashlib
import json
import logging
from collections.abc import Iterable
from typing import Any

from srnn.config import Config, toml_value
from srnn.data.corpus import Corpus
from srnn.errors import InputError
from srnn.training.checkpoint import Checkpoint
from srnn.training.recogniser import restore_spotter
from srnn.training.spotter import Spotter

_log = logging.getLogger(__name__)

# Keys that may change between interruption and resumption: they change no number. (The data set
# may move: its clips are compared.)
_FREE_KEYS = {
    "logger.level",
    "data.workers",
    "data.dataroot",
    "data.cache",
    "data.max_unreadable",
    "srnn.checkpoint_minutes",
}

# Keys that decide the shape of the features, or of the weights, or what they mean.
_SHAPING_KEYS = (
    "srnn.network_size",
    "srnn.size",
    "srnn.sample_rate",
    "srnn.bias",
    "srnn.threshold",
    "srnn.adaptation",
    "mel.delta_order",
    "mel.features",
    "mel.floor",
    "mel.fmax",
    "mel.fmin",
    "mel.n_mels",
    "mel.stack",
    "data.normalisation",
)


def expect_same_configuration(config: Config, saved: Config, epochs_done: int, source: str) -> None:
    """Check that a run may be resumed with ``config``.

    Raises
    ------
    InputError
        Naming the keys whose change would make it another run.
    """
    free = _FREE_KEYS | (set() if saved.srnn.schedule == "cosine" else {"srnn.epochs"})
    if config.srnn.epochs < epochs_done:
        raise InputError(
            f"{source}: srnn.epochs: expected at least the {epochs_done} that are done, "
            f"found {config.srnn.epochs}"
        )
    _expect_equal(config, saved, [key for key in _flat(saved) if key not in free], source)


def clips_digest(corpus: Corpus) -> str:
    """Return a digest of what is trained and chosen on: labels, clips and their order."""
    clips = [
        [name, clip.label, clip.word, clip.path.name, clip.start, clip.frames]
        for name in ("training", "validation")
        for clip in corpus.partitions[name]
    ]
    return hashlib.sha256(json.dumps([corpus.labels, clips]).encode()).hexdigest()


def expect_same_clips(corpus: Corpus, saved: str, source: str) -> None:
    """Check that a run may be resumed on ``corpus``; ``saved`` is the `clips_digest` of its own.

    Raises
    ------
    InputError
        If folders or recordings came or went.
    """
    if clips_digest(corpus) != saved:
        raise InputError(
            f"{source}: expected the clips that the run began with, "
            f"found others in {corpus.folder}: restore them, or start a new run"
        )


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
    for name, weights in restore_spotter(source, "--init").state_dict().items():
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
        f"{source}: {key}: expected {toml_value(wanted[key])} as configured, "
        f"found {toml_value(found[key])}"
        for key in keys
        if wanted[key] != found[key]
    ]
    if differences:
        raise InputError(*differences)


def _flat(config: Config) -> dict[str, Any]:
    """Return the values by ``table.key``; layer sizes in their one resolved form."""
    values = {
        f"{table}.{key}": value
        for table, keys in config.model_dump().items()
        for key, value in keys.items()
    }
    return values | {"srnn.network_size": config.srnn.layer_sizes}
