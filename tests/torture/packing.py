# SPDX-License-Identifier: MPL-2.0
"""Pack a data set with two worker processes that say "ready": python packing.py FOLDER CACHE."""

import sys
from pathlib import Path

import pytest

from srnn.data.pack import decoding
from srnn.data.pack.opening import open_pack
from srnn.data.sources.folder import source as folders


def _take_on(job: decoding._Job) -> None:
    sys.stderr.write("ready\n")
    decoding._take_on(job)


if __name__ == "__main__":
    import packing  # worker processes do not run the main module again

    patch = pytest.MonkeyPatch()
    patch.setattr(decoding, "_RECORDINGS_WORTH_A_POOL", 1)
    patch.setattr(decoding, "_RECORDINGS_A_TASK", 1)
    patch.setattr(decoding, "_take_on", packing._take_on)
    open_pack(folders.read(Path(sys.argv[1])), sys.argv[2], 2)
