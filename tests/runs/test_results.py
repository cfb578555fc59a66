# SPDX-License-Identifier: MPL-2.0
"""Reading the results of a run directory."""

from pathlib import Path

import pytest

from srnn.errors import InputError
from srnn.runs import results
from srnn.runs.directory import RunDirectory


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for path, read in ((run.metrics, results.metrics_of), (run.test, results.testing_of)):
        with pytest.raises(InputError, match=rf"{path.name}: expected a file, found none$"):
            read(run)
        path.write_bytes(b"\xff")
        with pytest.raises(InputError, match=rf"{path.name}: expected text in UTF-8, found "):
            read(run)
        path.unlink()
        path.mkdir()
        with pytest.raises(InputError, match=rf"{path.name}: expected a file, found [A-Z][\w ]+$"):
            read(run)
    run.test.rmdir()
    run.test.write_text("[]")
    with pytest.raises(InputError, match=r"test\.json: expected an object, found \w"):
        results.testing_of(run)
