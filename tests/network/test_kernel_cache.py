# SPDX-License-Identifier: MPL-2.0
import importlib
import os
from pathlib import Path

from srnn.network.ops import kernels


def test_a_change_in_one_file_outdates_what_numba_keeps_of_all() -> None:
    folder = Path(kernels.__file__).parent
    files = list(folder.glob("*.py"))
    before = (folder / "simd.py").stat()
    later = max(path.stat().st_mtime_ns for path in files) + 10**9
    try:
        os.utime(folder / "simd.py", ns=(before.st_atime_ns, later))
        importlib.reload(kernels)
        assert {path.stat().st_mtime_ns for path in files} == {later}
    finally:
        for path in files:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
