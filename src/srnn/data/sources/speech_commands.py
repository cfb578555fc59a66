# SPDX-License-Identifier: MPL-2.0
"""Speech Commands (Warden 2018, arXiv:1804.03209): its archives, words, and versions.

It is a folder of words like any other (see `folder`); what is official about it stands here.
"""

import re
from pathlib import Path

from srnn.data.fetch.dataroot import corpus_name
from srnn.errors import InputError

_SERVER = "http://download.tensorflow.org/data"

CHECKSUMS = {
    f"{_SERVER}/speech_commands_v0.01.tar.gz": (
        "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d"
    ),
    f"{_SERVER}/speech_commands_v0.02.tar.gz": (
        "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"
    ),
}
"""SHA-256 of the official archives by URL, as torchaudio states them too; none of a test archive is
published."""

URLS = {
    corpus_name(url): url
    for data_set in CHECKSUMS
    for url in (data_set, data_set.replace("commands_v", "commands_test_set_v"))
}
"""URL of each official archive by its name; each data set has a test archive beside it."""

WORDS = (
    *("backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward"),
    *("four", "go", "happy", "house", "learn", "left", "marvin", "nine", "no", "off", "on", "one"),
    *("right", "seven", "sheila", "six", "stop", "three", "tree", "two", "up", "visual", "wow"),
    *("yes", "zero"),
)
"""The 35 words of version 0.02, sorted."""


def version_of(name: str) -> str:
    """Return the version that a name of the data set states; empty: it is not this data set's."""
    found = re.search(r"speech_commands_(v\d+\.\d+)", name)
    return found[1] if found else ""


def stand_ins(name: str, corpora: list[Path]) -> list[Path]:
    """Return the data sets that may take the place of the one called ``name``.

    Those of Speech Commands are often unpacked under another name; no other data set is.
    """
    if not version_of(name):
        return []
    return [
        corpus
        for corpus in corpora
        if not corpus.name.startswith("synthetic-") and "_test_set_" not in corpus.name
    ]


def expect_version(name: str, folder: Path, url_key: str) -> None:
    """Check that a folder does not state another version than the one called ``name``.

    Raises
    ------
    InputError
        If it does; ``url_key`` is the key of the configuration that names the data set.
    """
    if len({version_of(name), version_of(folder.name)} - {""}) == 2:
        raise InputError(
            f"data.dataroot: expected {name} ({url_key}), found {folder}: "
            f'set {url_key} = "{folder.name}" or another data.dataroot'
        )
