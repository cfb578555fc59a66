# SPDX-License-Identifier: MPL-2.0
"""Files are written whole, and a disk that does not take them is told what may help."""

import errno
import os
from pathlib import Path

import pytest

from srnn import files
from srnn.errors import InputError
from srnn.files import remedy, write_text


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space there, or go elsewhere"),
        ((errno.EROFS, errno.EACCES, errno.EPERM), "allow it, or go elsewhere"),
        ((errno.EIO, errno.ENOTDIR, None), "go elsewhere"),
    ],
)
def test_what_to_do_about_a_disk(numbers: tuple[int | None, ...], expected: str) -> None:
    for number in numbers:
        assert remedy(OSError(number, "error"), "go elsewhere") == expected


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "name"
    write_text(path, "old")
    (tmp_path / ".name.part").mkdir()
    with pytest.raises(InputError) as error:
        write_text(path, "new")
    assert str(error.value) == (
        f"{path}: expected a disk that takes 3 bytes, found Is a directory: choose another place"
    )
    assert path.read_text() == "old"


def test_if_only_the_last_step_fails_the_content_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(directory: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), directory)

    monkeypatch.setattr(files, "sync_directory", fail)
    path = tmp_path / "name"
    with pytest.raises(InputError) as error:
        write_text(path, "new")
    assert str(error.value) == (
        f"{path}: expected a disk that takes 3 bytes, found No space left on device: "
        "free some space there, or choose another place"
    )
    assert path.read_text() == "new"
