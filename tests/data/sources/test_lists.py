# SPDX-License-Identifier: MPL-2.0
"""Lists of partitions: lines that were written elsewhere, and lines that name nothing."""

import logging
import unicodedata
from pathlib import Path

import pytest

from recordings import corpus_of, encoded
from srnn.data.partitions import PARTITIONS
from srnn.data.sources.folder.lists import read_lists
from srnn.errors import InputError

NAMES = ("go/a.wav", "go/b.WAV", "go/c.flac", "go/ada/d.wav", "no/a.wav", "café/e.wav")
LINES = "\n".join(NAMES[:5]) + "\n"


def named(folder: Path, content: str | bytes) -> set[str]:
    """Return what a list of such content names."""
    content = content.encode() if isinstance(content, str) else content
    (folder / "testing_list.txt").write_bytes(content)
    return set(read_lists(folder, NAMES)["testing"])


def levels(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [record.levelno for record in caplog.records]


@pytest.mark.parametrize(
    "content",
    [
        LINES,
        LINES.replace("/", "\\"),
        LINES.replace("go/", "./go/"),
        LINES.replace("go/", ".\\go\\"),
        LINES.replace("\n", "\r\n"),
        LINES.replace("\n", " \t\n\n  "),
        "\ufeff" + LINES,
        LINES.encode("utf-16"),
        LINES.replace("go/", "/data/speech/go/").replace("no/", "C:\\data\\no\\"),
        LINES.replace("go/", "set//go/"),
        LINES.replace("b.WAV", "b.wav").replace("c.flac", "c.wav"),
        LINES.replace(".wav", ""),
    ],
)
def test_lines_that_were_written_elsewhere_are_understood(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | bytes
) -> None:
    assert named(tmp_path, content) == set(NAMES[:5])
    assert levels(caplog) == []


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_lines_are_understood_in_either_unicode_form(tmp_path: Path, form: str) -> None:
    assert named(tmp_path, unicodedata.normalize("NFC", "café/e.wav")) == {"café/e.wav"}
    line = unicodedata.normalize(form, "café/é.wav")  # type: ignore[arg-type]
    (tmp_path / "testing_list.txt").write_text(line, encoding="utf-8")
    decomposed = unicodedata.normalize("NFD", "café/é.wav")
    assert set(read_lists(tmp_path, [decomposed])["testing"]) == {decomposed}


def test_clips_named_with_backslashes_are_not_trained_on(tmp_path: Path) -> None:
    """The whole way: from a list that Windows wrote to the partitions."""
    (tmp_path / "go").mkdir()
    for name in "abcd":
        (tmp_path / "go" / f"{name}.wav").write_bytes(encoded(0.01))
    (tmp_path / "testing_list.txt").write_bytes(b"go\\a.wav\r\ngo\\b.wav\r\n")
    (tmp_path / "validation_list.txt").write_bytes(b"./go/c.wav\n")
    corpus = corpus_of(
        tmp_path,
        ("go",),
        silence_clips=(0, 0, 0),
        seed=0,
        size=160,
        sample_rate=16_000,
    )
    found = {p: [clip.name for clip in corpus.partitions[p]] for p in PARTITIONS}
    assert found == {
        "training": ["go/d.wav"],
        "validation": ["go/c.wav"],
        "testing": ["go/a.wav", "go/b.wav"],
    }


def test_the_same_sound_in_two_formats_is_in_one_partition(tmp_path: Path) -> None:
    (tmp_path / "testing_list.txt").write_text("go/a.wav\n")
    names = ["go/a.wav", "go/a.flac", "go/b.wav"]
    assert read_lists(tmp_path, names)["testing"] == {"go/a.wav", "go/a.flac"}


def test_lines_that_name_nothing_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert named(tmp_path, LINES + "go/x.wav\nGo/a.wav\n") == set(NAMES[:5])
    place = tmp_path / "testing_list.txt"
    assert caplog.messages == [f"{place}: 2 of 7 lines name no recording, such as go/x.wav"]
    assert levels(caplog) == [logging.WARNING]


def test_official_lists_beside_a_part_of_the_data_are_no_matter(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert named(tmp_path, LINES + "bed/0c40e715_nohash_0.wav\n") == set(NAMES[:5])
    assert levels(caplog) == [logging.INFO]
    assert "1 of 6 lines name no recording, such as bed/0c40e715_nohash_0.wav" in caplog.text


@pytest.mark.parametrize("content", ["go/x.wav\n", "x\n" * 3, "yes/1_nohash_0.wav", "\0g\0o"])
def test_a_list_that_names_nothing_is_an_error(tmp_path: Path, content: str) -> None:
    place = tmp_path / "testing_list.txt"
    with pytest.raises(InputError) as error:
        named(tmp_path, content)
    assert str(error.value).startswith(f"{place}: expected lines that name recordings")
    assert str(error.value).endswith(": correct or delete it")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", " \r\n\n"])
def test_an_empty_list_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    assert named(tmp_path, content) == set()
    place = tmp_path / "testing_list.txt"
    assert caplog.messages == [f"{place} is empty: no recording is in its partition"]


def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "testing_list.txt").symlink_to("none")
    with pytest.raises(
        InputError, match=r"testing_list\.txt: expected a list of recordings, found"
    ):
        read_lists(tmp_path, NAMES)
    (tmp_path / "testing_list.txt").unlink()
    (tmp_path / "testing_list.txt").mkdir()
    with pytest.raises(InputError, match="found Is a directory"):
        read_lists(tmp_path, NAMES)


def test_a_recording_in_both_lists(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "validation_list.txt").write_text("go/a.wav\nno/a.wav\n")
    named(tmp_path, "go/a.wav\n")
    place = tmp_path / "testing_list.txt"
    expected = f"{place}: 1 recordings are in validation_list.txt, too, such as go/a.wav: they are "
    assert caplog.messages == [expected + "not tested on"]


def test_lists_of_other_names_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("test_list.txt", "Validation_List.txt", "README.txt"):
        (tmp_path / name).write_text(LINES)
    assert read_lists(tmp_path, NAMES) == {}
    assert caplog.messages == [
        f"{tmp_path}: partitions are read from validation_list.txt and testing_list.txt alone, not "
        "from Validation_List.txt, test_list.txt"
    ]
