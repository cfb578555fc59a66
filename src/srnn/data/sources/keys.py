# SPDX-License-Identifier: MPL-2.0
"""The keys that name a data set."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from srnn.settings import Keys, TextLine, key, noun

Sha256 = Annotated[
    str,
    StringConstraints(pattern="^[0-9a-fA-F]{64}$", to_lower=True),
    noun("string of 64 hexadecimal digits"),
]


class SourceKeys(Keys):
    """Where the recordings come from."""

    dataroot: TextLine = key(
        "google", "folder that holds the data set, created where missing", free_on_resume=True
    )
    gsc_url: TextLine = key(
        "speech_commands_v0.01",
        "data set: `speech_commands_v0.01` or `speech_commands_v0.02`, downloaded where missing; "
        "`synthetic`, synthesised; the http, https or file URL of a tar archive; the name of a "
        "folder in `dataroot`/SpeechCommands (any name, where the words lie in `dataroot` "
        "itself); or a manifest, a `.tsv` or `.jsonl` file that lists recordings",
    )
    gsc_sha256: Literal[""] | Sha256 = key(
        "", 'SHA-256 of the archive at a `gsc_url` of one\'s own; `""`: not verified'
    )
    test_url: Literal[""] | TextLine = key(
        "",
        "test archive: `speech_commands_test_set_v0.01`, `speech_commands_test_set_v0.02` or a "
        'URL; `""`: the testing partition of the data set itself',
    )
    test_sha256: Literal[""] | Sha256 = key(
        "", 'SHA-256 of the archive at `test_url`; `""`: not verified'
    )
