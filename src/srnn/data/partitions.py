# SPDX-License-Identifier: MPL-2.0
"""The three partitions of a data set, and the partition of a speaker where none is stated."""

import hashlib
import os

PARTITIONS = ("training", "validation", "testing")

SPLITS = {
    **dict.fromkeys(("train", "training"), "training"),
    **dict.fromkeys(("valid", "validation", "val", "dev", "development", "devel"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "testing"),
}
"""The partition of each usual name of a split."""


def partition_of_speaker(speaker: str) -> str:
    """Return the partition of all clips of a speaker: 80 % training, 10 % each of the others.

    The hash by which the official lists of Speech Commands were made (its README, and TensorFlow's
    example `speech_commands`).
    """
    digest = hashlib.sha1(os.fsencode(speaker), usedforsecurity=False).hexdigest()
    percent = int(digest, 16) % 2**27 * (100 / (2**27 - 1))
    if percent < 10:
        return "validation"
    return "testing" if percent < 20 else "training"
