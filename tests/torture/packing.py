# SPDX-License-Identifier: MPL-2.0
"""Pack a data set with two worker processes that say "ready": python packing.py FOLDER CACHE."""

import sys
from pathlib import Path

import pytest

from srnn.data import pack


def _take_on(job: pack._Job) -> None:
    sys.stderr.write("ready\n")
    pack._take_on(job)


if __name__ == "__main__":
    import packing  # worker processes do not run the main module again

    patch = pytest.MonkeyPatch()
    patch.setattr(pack, "_RECORDINGS_WORTH_A_POOL", 1)
    patch.setattr(pack, "_RECORDINGS_A_TASK", 1)
    patch.setattr(pack, "_take_on", packing._take_on)
    pack.open_pack(Path(sys.argv[1]), sys.argv[2], 2)
