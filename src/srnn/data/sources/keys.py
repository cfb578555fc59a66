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
        "google", "folder of the data set; created if missing", free_on_resume=True
    )
    gsc_url: TextLine = key(
        "speech_commands_v0.01",
        "data set: `speech_commands_v0.01` or `speech_commands_v0.02` (downloaded if missing); "
        "`synthetic` (spoken by the speech synthesiser eSpeak NG); a manifest, `FILE.tsv` or "
        "`FILE.jsonl`; the http, https or file URL of an archive; or the name of a folder in "
        "`dataroot`/SpeechCommands (any name if the folders of words lie in `dataroot` itself)",
    )
    gsc_sha256: Literal[""] | Sha256 = key(
        "", 'SHA-256 checksum of the archive, if `gsc_url` is a URL; `""`: no check'
    )
    test_url: Literal[""] | TextLine = key(
        "",
        "test archive: `speech_commands_test_set_v0.01`, `speech_commands_test_set_v0.02` or a "
        'URL; `""`: the testing partition of the data set',
    )
    test_sha256: Literal[""] | Sha256 = key(
        "", 'SHA-256 checksum of the archive at `test_url`; `""`: no check'
    )
