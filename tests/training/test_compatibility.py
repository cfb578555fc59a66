# SPDX-License-Identifier: MPL-2.0
"""What may be carried from run to run: every key of a configuration has been thought of."""

from srnn.config import Config
from srnn.training.compatibility import _SHAPING_KEYS, _SHAPING_KEYS_OF

# Keys under which weights mean the same whatever their values are: they say what is trained on, how
# and on what, or what does not outlast training.
TRAINING_ONLY = {
    "data": "dataroot gsc_url gsc_sha256 test_url test_sha256 words unknown silence silence_clips "
    "held_out sampling synthetic_unknown synthetic_share cache workers max_unreadable "
    "synthetic_clips",
    "srnn": "learning_rate epochs batch_size dropout unknown_readouts seed surrogate backend "
    "encoder_threshold tau_mem tau_adapt tau_readout encoder_learning_rate tau_learning_rate "
    "schedule schedule_epochs schedule_factor warmup_epochs weight_decay label_smoothing averaging "
    "firing_penalty firing_target patience gradient_clip checkpoint_minutes",
    "mel": "",
    "augment": " ".join(Config().augment.model_dump()),
    "logger": "level",
    "cuda": "cuda",
}


def test_every_key_either_shapes_the_weights_or_does_not() -> None:
    shaping = [*_SHAPING_KEYS, *(key for keys in _SHAPING_KEYS_OF.values() for key in keys)]
    others = [f"{table}.{key}" for table, keys in TRAINING_ONLY.items() for key in keys.split()]
    every = [f"{table}.{key}" for table, keys in Config().model_dump().items() for key in keys]
    assert sorted(shaping + others) == sorted(every)
