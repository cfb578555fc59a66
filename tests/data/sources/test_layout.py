# SPDX-License-Identifier: MPL-2.0
"""Folders of speakers, other formats, and trees that are laid out otherwise."""

import logging
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from recordings import corpus_of, encoded
from srnn.data.checks import require_trainable
from srnn.data.corpus import Corpus
from srnn.data.labels import SILENCE, UNKNOWN, choose_labels
from srnn.data.names import OTHER_SUFFIXES, SUFFIXES, speaker_of, suffix_of
from srnn.data.pack import decoding
from srnn.data.pack.opening import expect_readable, open_pack
from srnn.data.partitions import PARTITIONS, partition_of_speaker
from srnn.data.sources import speech_commands as acquisition
from srnn.data.sources.folder import scanning
from srnn.data.sources.folder import source as folders
from srnn.data.sources.folder.archives import Origin
from srnn.data.sources.folder.source import acquire, locate
from srnn.errors import InputError
from srnn.features.reference import MelSpec
from srnn.training.examples import make_examples

_CPU = torch.device("cpu")

TRAINING = "01648c51"  # a speaker of that partition
V1 = "speech_commands_v0.01"
SHORT = encoded(0.01)
SPEC = MelSpec(1600, 16_000, 480, 160, 8, 20.0, 4000.0, 1, stack=True)
NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def make(folder: Path, *names: str) -> Path:
    """Make files, of which those with a suffix of soundfile's are recordings."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(SHORT if suffix_of(name) in SUFFIXES else b"x")
    return folder


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def read(folder: Path, *labels: str, held_out: tuple[str, ...] = ()) -> Corpus:
    return corpus_of(
        folder,
        labels,
        silence_clips=(9, 9, 9),
        seed=0,
        size=160,
        sample_rate=16_000,
        held_out=held_out,
    )


def partitions(corpus: Corpus) -> dict[str, str]:
    return {clip.name: p for p in PARTITIONS for clip in corpus.partitions[p]}


# Formats


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("a.WAV", "WAV"), ("a.flac", "FLAC"), ("a.ogg", "OGG"), ("a.opus", "OGG")),
        *(("a.mp3", "MP3"), ("a.Aiff", "AIFF"), ("a.aif", "AIFF"), ("a.au", "AU")),
        *(("a.w64", "W64"), ("a.caf", "CAF"), ("a.rf64", "RF64"), ("a.sph", "NIST")),
    ],
)
def test_what_soundfile_reads_is_a_recording(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, kind: str
) -> None:
    for folder in ("go", "_background_noise_"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(encoded(0.3, kind=kind))
    data_set = folders.read(tmp_path)
    caplog.clear()  # the speaker of `a` is not stated
    opened = open_pack(data_set)
    assert list(opened.recordings) == [f"_background_noise_/{name}", f"go/{name}"]
    assert opened[f"go/{name}"].any()
    assert acquire(tmp_path, Origin("mine")) == tmp_path
    assert warnings(caplog) == []


def test_every_format_of_soundfile_has_a_suffix() -> None:
    kinds = {kind.lower() for kind in soundfile.available_formats()} - {"raw"}
    assert kinds <= SUFFIXES
    assert not SUFFIXES & OTHER_SUFFIXES


def test_sound_that_is_not_used_is_counted_on_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, "go/a.wav", "go/b.m4a", "go/ada/c.M4A", "no/d.aac", "no/.e.m4a", "stray.flac")
    make(tmp_path, "go/a.txt", "go/README", "LICENSE")
    assert list(open_pack(folders.read(tmp_path)).recordings) == ["go/a.wav"]
    assert warnings(caplog)[:1] == [
        f"{tmp_path}: 4 files of sound are not used: 1 .aac that soundfile does not read, 2 .m4a "
        "that soundfile does not read, 1 outside the folders of words"
    ]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("go/a.m4a", "no/b.wma"), " holds .m4a, .wma files, which soundfile does not read: conve"),
        (("a.wav",), " holds recordings, expected a folder of them for each word"),
        (("in/go/a.wav",), "/in holds folders of recordings: set data.dataroot to it"),
        (("train/in/go/a.wav",), "/train/in holds folders of recordings: set data.dataroot to it"),
    ],
)
def test_what_is_no_data_set_is_told_why(
    tmp_path: Path, names: tuple[str, ...], found: str
) -> None:
    make(tmp_path, *names)
    with pytest.raises(InputError) as error:
        acquire(tmp_path, Origin("mine"))
    expected = f"data.dataroot: expected a data set, found none: {tmp_path}{found}"
    assert str(error.value).startswith(expected)


# Folders of speakers


def test_a_folder_in_a_word_is_a_speaker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    speakers = [f"speaker{number}" for number in range(40)]
    for speaker in speakers:
        make(tmp_path, f"yes/{speaker}/a.wav", f"yes/{speaker}/more/b.flac", f"no/{speaker}/a.wav")
    corpus = read(tmp_path, "yes", "no")
    found = partitions(corpus)
    assert len(found) == 120
    assert set(found.values()) == set(PARTITIONS)
    for name, partition in found.items():
        assert partition == partition_of_speaker(name.split("/")[1])
    assert warnings(caplog) == []
    require_trainable(corpus)


def test_lists_name_recordings_in_folders_of_speakers(tmp_path: Path) -> None:
    make(tmp_path, "yes/ada/a.wav", "yes/ada/b.wav", "yes/bob/a.wav")
    (tmp_path / "testing_list.txt").write_text("yes/ada/b.wav\n")
    (tmp_path / "validation_list.txt").write_text("yes\\bob\\a.wav\n")
    assert partitions(read(tmp_path, "yes")) == {
        "yes/ada/a.wav": "training",
        "yes/ada/b.wav": "testing",
        "yes/bob/a.wav": "validation",
    }


@pytest.mark.parametrize(
    ("name", "speaker"),
    [
        ("0c40e715_nohash_1.wav", "0c40e715"),
        ("ada.wav", "ada"),
        ("ada.wav.wav", "ada.wav"),
        ("ada/1.flac", "ada"),
        ("ada/monday/1.flac", "ada"),
        ("part1/0c40e715_nohash_1.wav", "0c40e715"),
        (f"{NFD}/1.wav", NFC),
    ],
)
def test_speakers(name: str, speaker: str) -> None:
    assert speaker_of(name) == speaker


def test_background_recordings_in_folders(tmp_path: Path) -> None:
    make(tmp_path, *(f"yes/{TRAINING}/{name}.wav" for name in "abcd"))
    make(tmp_path, "_background_noise_/kitchen/hum.wav")
    make(tmp_path, "_background_noise_/hall/hum.flac", "_background_noise_/tap.wav")
    corpus = read(tmp_path, "yes", SILENCE, UNKNOWN, held_out=("tap",))
    cut = {clip.name for clip in corpus.partitions["training"] if clip.word != "yes"}
    assert cut == {"_background_noise_/kitchen/hum.wav", "_background_noise_/hall/hum.flac"}
    assert len(corpus.training_background(100, 16_000, _CPU).names) == 2


def test_clips_of_speakers_become_examples(tmp_path: Path) -> None:
    make(tmp_path, "yes/ada/a.wav", "no/ada/a.flac")
    corpus = read(tmp_path, "yes", "no")
    partition = partition_of_speaker("ada")
    examples = make_examples(corpus, [partition], SPEC, _CPU, 2**20)[partition]
    assert examples.labels.tolist() == [1, 0]
    assert [path.read_bytes() for path in (clip.path for clip in corpus.partitions[partition])]


def test_folders_that_link_to_each_other_are_read_once(tmp_path: Path) -> None:
    make(tmp_path, "yes/ada/a.wav", "no/bob/a.wav")
    (tmp_path / "yes" / "ada" / "loop").symlink_to(tmp_path / "yes")
    (tmp_path / "yes" / "self").symlink_to("self")
    (tmp_path / "no" / "carol").symlink_to(tmp_path / "yes" / "ada")
    assert list(open_pack(folders.read(tmp_path)).recordings) == [
        "no/bob/a.wav",
        "no/carol/a.wav",
        "no/carol/loop/ada/a.wav",
        "yes/ada/a.wav",
    ]


def test_data_sets_in_a_data_root_are_no_words_of_it(tmp_path: Path) -> None:
    make(tmp_path, "yes/a.wav", f"SpeechCommands/{V1}/no/a.wav", "SyntheticWords/unknown-0/x/a.wav")
    assert list(open_pack(folders.read(tmp_path)).recordings) == ["yes/a.wav"]


def test_flat_data_sets_are_listed_without_a_look_at_what_a_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call of the system for each of a hundred thousand recordings, and one for each folder."""
    make(tmp_path, *(f"yes/{number}.wav" for number in range(50)))
    scanned: list[Path] = []
    stated: list[str] = []
    looked: list[str] = []
    scandir, state = os.scandir, scanning.state

    def count_scans(path: Path) -> Iterator[os.DirEntry[str]]:
        scanned.append(path)
        return scandir(path)

    def count_states(entry: os.DirEntry[str]) -> tuple[int, int, int]:
        stated.append(entry.name)
        return state(entry)

    def look(entry: os.DirEntry[str]) -> bool:
        looked.append(entry.name)
        return entry.is_dir()

    monkeypatch.setattr(os, "scandir", count_scans)
    monkeypatch.setattr(scanning, "state", count_states)
    monkeypatch.setattr(scanning, "_is_folder", look)
    opened = open_pack(folders.read(tmp_path), str(tmp_path / "elsewhere"))
    assert len(opened.recordings) == len(stated) == 50
    assert looked == ["yes"]
    assert scanned == [tmp_path, tmp_path / "yes"]


# Where the data set is


def test_folders_of_speakers_are_found(tmp_path: Path) -> None:
    mine = make(tmp_path / "SpeechCommands" / "mine", "yes/ada/a.wav", "no/ada/a.wav")
    assert acquire(tmp_path, Origin("mine"), ("yes",)) == locate(tmp_path, "mine") == mine
    assert acquire(mine, Origin("other"), ("yes",)) == locate(mine, "other") == mine
    assert acquire(mine, Origin(V1), ("yes",)) == mine


def test_something_else_in_the_data_root_is_not_taken_for_an_official_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(acquisition.URLS, V1, f"http://127.0.0.1:9/{V1}.tar.gz")
    make(tmp_path, "musan/noise/a.wav", "birds/robin/a.wav")
    with pytest.raises(InputError, match="cannot download"):
        acquire(tmp_path, Origin(V1), ("yes", "no"))


# Partitions as folders


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("train/yes/a.wav", "test/yes/b.wav"), "test/yes, train/yes"),
        (("Training/yes/a.wav", "Testing/no/b.wav", "val/no/c.wav"), "Testing/no, Training/yes"),
        (("train/yes/a.wav", "test/yes/b.wav", "_background_noise_/a.wav"), "test/yes, train/yes"),
        (("train/yes/a.wav", "train/no/a.wav"), "train/no"),
        (("yes/train/a.wav", "no/test/b.wav"), "no/test, yes/train"),
    ],
)
def test_partitions_as_folders_are_refused(
    tmp_path: Path, names: tuple[str, ...], found: str
) -> None:
    make(tmp_path, *names)
    with pytest.raises(InputError) as error:
        open_pack(folders.read(tmp_path))
    assert str(error.value).startswith(
        f"{tmp_path}: expected a folder for each word, WORD/FILE or WORD/SPEAKER/FILE, and "
        "partitions in validation_list.txt and testing_list.txt, found folders of partitions, "
        f"{found}"
    )
    assert not (tmp_path / ".cache").exists()


def test_a_tree_of_partitions_is_refused_rather_than_an_official_data_set_downloaded(
    tmp_path: Path,
) -> None:
    make(tmp_path, "train/yes/a.wav", "test/yes/b.wav")
    assert acquire(tmp_path, Origin(V1), ("yes",)) == tmp_path
    with pytest.raises(InputError, match="found folders of partitions"):
        folders.read(acquire(tmp_path, Origin("mine"), ("yes",)))


@pytest.mark.parametrize(
    "names",
    [
        ("train/a.wav", "test/b.wav"),
        ("train/ada/a.wav", "bus/ada/b.wav"),
        ("yes/train/a.wav", "yes/ada/a.wav", "no/a.wav"),
    ],
)
def test_words_and_speakers_may_be_called_like_partitions(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    assert set(open_pack(folders.read(make(tmp_path, *names))).recordings) == set(names)


# Unicode


@pytest.mark.parametrize(("written", "on_disk"), [(NFC, NFD), (NFD, NFC)])
def test_a_word_is_the_same_in_either_unicode_form(
    tmp_path: Path, written: str, on_disk: str
) -> None:
    make(tmp_path, f"{on_disk}/01648c51_nohash_0.wav", f"{on_disk}/026290a7_nohash_0.wav")
    make(tmp_path, "bed/01648c51_nohash_0.wav", f"_background_noise_/{on_disk}.wav")
    make(tmp_path, "bed/026290a7_nohash_0.wav", "_background_noise_/hum.wav")
    corpus = read(tmp_path, written, UNKNOWN)
    assert corpus.counts("training") == {written: 1, UNKNOWN: 1}
    require_trainable(corpus)
    every = choose_labels(folders.read(tmp_path), "all", unknown=False, silence=False)
    assert every == ("bed", NFC)
    unheard = read(tmp_path, "bed", UNKNOWN, held_out=(written,))
    assert unheard.counts("training")[UNKNOWN] == 0
    assert [s.name for s in unheard.background("training")] == ["_background_noise_/hum.wav"]
    require_trainable(read(tmp_path, "bed", UNKNOWN, held_out=(written,)))


def test_folders_in_both_unicode_forms_are_one_word(tmp_path: Path) -> None:
    make(tmp_path, f"{NFC}/01648c51_nohash_0.wav", f"{NFD}/01648c51_nohash_1.wav")
    corpus = read(tmp_path, NFC, UNKNOWN)
    assert corpus.counts("training") == {NFC: 2, UNKNOWN: 0}
    assert {clip.word for clip in corpus.partitions["training"]} == {NFC}


# What sounds wrong


@pytest.mark.parametrize("workers", [0, 2])
def test_recordings_that_sound_wrong_are_named_on_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    workers: int,
) -> None:
    monkeypatch.setattr(decoding, "_RECORDINGS_WORTH_A_POOL", 1)
    monkeypatch.setattr(decoding, "_RECORDINGS_A_TASK", 2)
    make(tmp_path, "go/a.wav")
    loud = 20_000 * np.sin(np.arange(800))
    for number in range(5):
        soundfile.write(tmp_path / "go" / f"loud{number}.wav", loud, 16_000, subtype="FLOAT")
    for _ in range(2):  # it is kept in the pack
        opened = open_pack(folders.read(tmp_path), workers=workers)
        caplog.clear()
        expect_readable(opened, 0)
        (line,) = warnings(caplog)
        start = f"{tmp_path}: 5 of 6 recordings do not sound as recorded (go/loud0.wav: samples of "
        assert line.startswith(start + "up to 20,000, where full scale is 1, are clipped")
        assert line.count("clipped") == 3
        assert line.endswith("; ...)")
