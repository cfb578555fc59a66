# SPDX-License-Identifier: MPL-2.0
"""Manifests: what they list, where each clip belongs, and a line for everything that is wrong."""

import json
import logging
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recordings import encoded, sound
from srnn.config import Config
from srnn.data.corpus import Corpus, read_corpus
from srnn.data.dataset import DataSet
from srnn.data.labels import SILENCE, UNKNOWN, choose_labels
from srnn.data.pack.opening import open_pack
from srnn.data.partitions import PARTITIONS, partition_of_speaker
from srnn.data.preparation import make_evaluation_corpus
from srnn.data.sources import manifest
from srnn.errors import InputError
from srnn.runs.compatibility import clips_digest
from srnn.runs.parts import task_of

RATE = 16_000
HEADER = ("path", "label", "speaker", "split", "start", "end")
NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def tsv(folder: Path, *rows: tuple[str, ...], header: tuple[str, ...] = HEADER) -> Path:
    path = folder / "words.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in (header, *rows)), "utf-8")
    return path


def jsonl(folder: Path, *rows: object) -> Path:
    path = folder / "words.JSONL"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def read(path: Path) -> DataSet:
    return manifest.read(path, "data.gsc_url")


def corpus_of(path: Path, *labels: str, silence_clips: tuple[int, ...] = (9, 9, 9)) -> Corpus:
    data_set = read(path)
    pack = open_pack(data_set, str(path.parent / "cache"), workers=0)
    return read_corpus(
        data_set,
        pack,
        labels,
        silence_clips=silence_clips,
        seed=0,
        size=1600,
        sample_rate=RATE,
    )


def partitions(data_set: DataSet) -> list[str | None]:
    return [entry.partition for entry in data_set.entries]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def refused(path: Path) -> list[str]:
    with pytest.raises(InputError) as error:
        read(path)
    return str(error.value).splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a recording in each of several formats, and a long one."""
    for name, kind in (("a.flac", "FLAC"), ("b.OGG", "OGG"), ("c.mp3", "MP3"), ("d.WAV", "WAV")):
        (tmp_path / name).write_bytes(encoded(0.5, kind=kind))
    soundfile.write(tmp_path / "long.Flac", sound(8), RATE)
    return tmp_path


def test_which_names_are_manifests() -> None:
    assert all(map(manifest.fits, ("a.tsv", "in/a.TSV", "a.jsonl", "/a b.JsonL")))
    assert not any(map(manifest.fits, ("synthetic", "a.tar.gz", "http://a/b.tsv", "a.json", "tsv")))


def test_recordings_of_any_format_and_parts_of_one(folder: Path) -> None:
    rows = [(name, "go", "", "train") for name in ("a.flac", "b.OGG", "./c.mp3", "d.WAV")]
    long = [("long.Flac", "no", "", "train", "1.5", "2"), ("long.Flac", "no", "", "train", "7.5")]
    corpus = corpus_of(tsv(folder, *rows, *long), "go", "no")
    clips = corpus.partitions["training"]
    assert [clip.name for clip in clips[:4]] == ["a.flac", "b.OGG", "c.mp3", "d.WAV"]
    assert [clip[1:6] for clip in clips[4:]] == [
        ("long.Flac", 1, "no", 24_000, 8_000),
        ("long.Flac", 1, "no", 120_000, 8_000),
    ]
    assert [clip.path.exists() for clip in clips] == [True] * 6
    assert list(corpus.packs["training"].recordings) == sorted({clip.name for clip in clips})


def test_the_order_of_rows_does_not_matter(folder: Path) -> None:
    times = [(f"{n}", f"{n + 1}") for n in range(4)]
    rows = [("long.Flac", word, "", "dev", *time) for word, time in zip("abab", times, strict=True)]
    one, other = read(tsv(folder, *rows)), read(tsv(folder, *reversed(rows)))
    assert [entry[:5] for entry in one.entries] == [entry[:5] for entry in other.entries]
    assert choose_labels(one, "all", unknown=True, silence=False) == ("a", "b")


def test_other_columns_their_order_and_blank_lines_do_not_matter(folder: Path) -> None:
    path = folder / "words.tsv"
    lines = [
        "up_votes\tlabel\tpath\tsplit",
        "",
        f"2\t{NFD}\ta.flac\tTest",
        "\t\t",
        "1\tgo\td.WAV\ttest",
    ]
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes("\r\n".join(lines).encode(encoding))
        data_set = read(path)
        assert data_set.words == (NFC, "go")
        assert partitions(data_set) == ["testing", "testing"]


def test_json_lines(folder: Path) -> None:
    path = jsonl(
        folder,
        {"path": "a.flac", "label": "go", "speaker": 7, "split": None, "other": [1]},
        {"path": "long.Flac", "label": "go", "split": "valid", "start": 1, "end": 2.25},
    )
    first, second = read(path).entries
    assert first[:5] == ("a.flac", "go", partition_of_speaker("7"), 0.0, None)
    assert second[:5] == ("long.Flac", "go", "validation", 1.0, 2.25)


@pytest.mark.parametrize(
    ("split", "partition"),
    [
        *(("train", "training"), ("Training", "training"), ("dev", "validation")),
        *(("valid", "validation"), ("validation", "validation"), ("test", "testing")),
    ],
)
def test_usual_names_of_splits(folder: Path, split: str, partition: str) -> None:
    assert partitions(read(tsv(folder, ("a.flac", "go", "ada", split)))) == [partition]


def test_without_a_split_the_speaker_decides(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    speakers = [f"{number:08x}" for number in range(50)]
    times = [(f"{number / 10}", f"{number / 10 + 0.1}") for number in range(50)]
    rows = [
        ("long.Flac", "go", speaker, "", *time)
        for speaker, time in zip(speakers, times, strict=True)
    ]
    data_set = read(tsv(folder, *rows))
    assert partitions(data_set) == [partition_of_speaker(speaker) for speaker in speakers]
    assert set(partitions(data_set)) == set(PARTITIONS)
    assert warnings(caplog) == []


def test_without_a_speaker_the_name_of_the_file_does(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [("long.Flac", "go", "", "", f"{n}", f"{n + 1}") for n in range(3)]
    path = tsv(folder, *rows, ("a.flac", "go"))
    found = dict(zip((e.name for e in read(path).entries), partitions(read(path)), strict=True))
    assert found == {name: partition_of_speaker(name[:-5]) for name in ("a.flac", "long.Flac")}
    assert warnings(caplog)[0] == (
        f"{path}: 4 rows state neither speaker nor split, such as line 2: the same voices may be "
        "in several partitions"
    )


def test_speakers_in_several_partitions_are_warned_of(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [("a.flac", "go", "ada", "train"), ("d.WAV", "go", "ada", "test")]
    path = tsv(folder, *rows, ("b.OGG", "go", "bob", "test"))
    assert len(read(path).entries) == 3
    assert warnings(caplog) == [
        f"{path}: 1 of 2 speakers are in several partitions, such as 'ada' in training (line 2) "
        "and testing (line 3): accuracy is then not that of new voices"
    ]


def test_special_labels(folder: Path) -> None:
    splits = ("train", "dev", "test")
    rows = [("long.Flac", "go", "", split, f"{n}", f"{n + 0.5}") for n, split in enumerate(splits)]
    path = tsv(
        folder,
        *(row for row in rows),
        ("a.flac", SILENCE, "", "train"),
        ("b.OGG", UNKNOWN, "", "train"),
        ("c.mp3", "other", "", "train"),
        ("d.WAV", "_background_noise_"),
        ("long.Flac", "_background_noise_", "", "train", "6", "7"),
    )
    corpus = corpus_of(path, "go", SILENCE, UNKNOWN)
    assert corpus.counts("training") == {"go": 1, SILENCE: 2, UNKNOWN: 2}
    assert (
        corpus.counts("validation") == corpus.counts("testing") == {"go": 1, SILENCE: 1, UNKNOWN: 0}
    )
    ends = {
        p: [(s.name, s.start, s.start + s.frames) for s in corpus.background(p)] for p in PARTITIONS
    }
    assert ends == {
        "training": [("d.WAV", 0, 6400), ("long.Flac", 96_000, 112_000)],
        "validation": [("d.WAV", 6400, 7200)],
        "testing": [("d.WAV", 7200, 8000)],
    }


def test_what_is_wrong_is_named_by_its_line(folder: Path) -> None:
    path = tsv(
        folder,
        ("none.wav", "go"),
        ("", "go"),
        ("a.flac", ""),
        ("a.flac", "_go"),
        ("a.flac", "g/o"),
        ("a.flac", "go", "", "fold1"),
        ("a.flac", "go", "", "", "one"),
        ("a.flac", "go", "", "", "-1"),
        ("a.flac", "go", "", "", "", "nan"),
        ("a.flac", "go", "", "", "0.2", "0.2"),
        ("d.WAV", "go", "", "", "", "", "more"),
        ("b.OGG", "go"),
        ("./b.OGG", "no"),
    )
    expected = [
        "path: expected a recording, found No such file or directory: none.wav",
        "path: expected a recording, found nothing",
        "label: expected a word, found nothing",
        "label: expected a word or _background_noise_, _silence_, _unknown_, found '_go'",
        "label: expected a word or _background_noise_, _silence_, _unknown_, found 'g/o'",
        "split: expected training, validation, testing or a synonym, found 'fold1'",
        "start: expected a number of seconds >= 0, found 'one'",
        "start: expected a number of seconds >= 0, found '-1'",
        "end: expected a number of seconds >= 0, found 'nan'",
        "end: expected more than the start, 0.2 s, found 0.2",
        "expected 6 columns, as in the header, found 7",
    ]
    lines = [f"{path}, line {number}: {text}" for number, text in enumerate(expected, start=2)]
    again = f"{path}, line 14: path: expected each clip once, found that of line 13 again"
    assert refused(path) == [*lines, again]


def test_what_is_wrong_with_json_is_named_by_its_line(folder: Path) -> None:
    path = jsonl(folder, ["a.flac"], {"path": "a.flac"}, {"path": "a\0.flac", "label": "go"})
    with path.open("a") as file:
        file.write('{"path": \n')
    first, second, third, fourth = refused(path)
    assert first == f'{path}, line 1: expected a JSON object, found ["a.flac"]'
    assert second == f"{path}, line 2: label: expected a word, found nothing"
    assert third.startswith(f"{path}, line 3: path: expected a recording, found ")
    assert fourth.startswith(f"{path}, line 4: expected a JSON object, found Expecting value")


def test_of_many_problems_some_are_listed(folder: Path) -> None:
    lines = refused(tsv(folder, *(("none.wav", "go") for _ in range(1000))))
    assert len(lines) == 21
    assert lines[-1] == "and 980 more problems"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", ", line 1: expected a header with the columns path and label, separated by tabs, "),
        ("file\tword\n", "expected a header with the columns path and label, separated by tabs, "),
        ("path,label\n", "expected a header with the columns path and label, separated by tabs, "),
        ("path\tlabel\n", ": expected rows that list recordings, found none"),
    ],
)
def test_a_manifest_without_rows_or_columns(folder: Path, content: str, found: str) -> None:
    path = folder / "words.tsv"
    path.write_text(content)
    (line,) = refused(path)
    assert found in line


def test_a_manifest_that_is_not_there(folder: Path) -> None:
    assert refused(folder / "none.tsv") == [
        f"data.gsc_url: expected a manifest (a .tsv or .jsonl file), found none at "
        f"{folder / 'none.tsv'}"
    ]


@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [
        ("0", "0.52", "end: expected at most the 0.500 s of d.WAV, found 0.52"),
        ("0.6", "", "start: expected less than the end, 0.500 s, found 0.6"),
        ("0.4999999", "", "start: expected less than the end, 0.500 s, found 0.5"),
        ("0.1", "0.505", ""),
    ],
)
def test_parts_beyond_the_recording(folder: Path, start: str, end: str, problem: str) -> None:
    path = tsv(folder, ("d.WAV", "go", "", "train", start, end))
    if not problem:  # the end was rounded
        (clip,) = corpus_of(path, "go").partitions["training"]
        assert (clip.start, clip.frames) == (1600, 6400)
        return
    with pytest.raises(InputError) as error:
        corpus_of(path, "go")
    assert str(error.value) == f"{path}, line 2: {problem}"


def test_unreadable_recordings_are_no_clips(folder: Path) -> None:
    (folder / "bad.wav").write_text("no sound")
    rows = [("bad.wav", "go", "", "train"), ("a.flac", "go", "", "train")]
    corpus = corpus_of(tsv(folder, *rows), "go")
    assert [clip.name for clip in corpus.partitions["training"]] == ["a.flac"]
    assert list(corpus.packs["training"].unreadable) == ["bad.wav"]


def test_a_pack_is_kept_until_a_recording_changes(folder: Path) -> None:
    path = tsv(folder, ("d.WAV", "go", "", "train"))
    first = open_pack(read(path)).path
    assert first.parent == folder / ".cache"
    assert open_pack(read(tsv(folder, ("d.WAV", "no", "", "test")))).path == first
    soundfile.write(folder / "d.WAV", np.ones(100), RATE)
    assert open_pack(read(path)).path != first


def test_a_run_is_resumed_on_the_same_clips_alone(folder: Path) -> None:
    noise = ("d.WAV", "_background_noise_")
    rows = [("a.flac", "go", "", "train"), ("b.OGG", "go", "", "dev")]
    saved = clips_digest(corpus_of(tsv(folder, *rows, noise), "go"))
    (folder / "else").mkdir()
    for name in ("a.flac", "b.OGG", "d.WAV"):
        (folder / name).rename(folder / "else" / name)
    elsewhere = tsv(folder / "else", noise, *rows)
    assert clips_digest(corpus_of(elsewhere, "go")) == saved
    for changed in (
        [rows[0], ("b.OGG", "go", "", "train"), noise],
        [(*rows[0], "0.1"), rows[1], noise],
        [*rows, (*noise, "", "train")],
        [*rows, (*noise, "", "", "0.1")],
    ):
        assert clips_digest(corpus_of(tsv(folder / "else", *changed), "go")) != saved


def test_evaluation_takes_a_manifest_in_place_of_a_data_root(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tsv(folder, ("a.flac", "go", "", "test"), ("b.OGG", "no", "", "test"))
    monkeypatch.chdir(folder)
    task = task_of(Config.model_validate({"data": {"gsc_url": "words.tsv"}}))
    for dataroot in (None, Path("words.tsv")):
        corpus = make_evaluation_corpus(task, ("go", UNKNOWN), dataroot)
        assert corpus.counts("testing") == {"go": 1, UNKNOWN: 1}
        assert corpus.place == Path("words.tsv")
    with pytest.raises(InputError, match=r"^--dataroot: expected a manifest .*none\.jsonl"):
        make_evaluation_corpus(task, ("go",), Path("none.jsonl"))
