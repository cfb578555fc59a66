# SPDX-License-Identifier: MPL-2.0
"""The CPU's kernels, in numba: each works on a part of the batch, so that threads never meet.

All arrays are flat and contiguous, float32. A *row* is one time step of one clip; the rows of a
clip follow each other. Columns of weights are padded to whole vectors, those of spikes, currents
and gradients are not.
"""

import os
from contextlib import suppress
from pathlib import Path


def _share_time_of_change() -> None:
    """Give all files of this folder the time of change of the newest.

    Numba keeps on disk what it has compiled and looks for changes in the file that a kernel is
    written in, but not in those whose functions it has taken in: it would use outdated kernels.
    """
    files = {path: path.stat() for path in Path(__file__).parent.glob("*.py")}
    newest = max(status.st_mtime_ns for status in files.values())
    with suppress(OSError):  # what cannot be written has not been changed either
        for path, status in files.items():
            if status.st_mtime_ns != newest:
                os.utime(path, ns=(status.st_atime_ns, newest))


_share_time_of_change()
