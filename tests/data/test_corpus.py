# SPDX-License-Identifier: MPL-2.0
"""Labels, partitions, silence and counts of a folder of recordings, and what training refuses."""

import hashlib
import logging
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recordings import BAD, bad_recordings, corpus_of, encoded
from srnn.data.checks import (
    expect_words,
    require_trainable,
    warn_of_few_for_validation,
    warn_of_many_unknown,
)
from srnn.data.corpus import Clip, Corpus, describe, targets_of
from srnn.data.labels import SILENCE, UNKNOWN, choose_labels, keywords, label_names
from srnn.data.partitions import PARTITIONS
from srnn.data.sources.folder import source as folders
from srnn.errors import InputError

# Speakers of Speech Commands and where its official lists have them.
OFFICIAL = {"01648c51": "training", "026290a7": "validation", "0c40e715": "testing"}
TRAINING, VALIDATION, TESTING = OFFICIAL

GSC = Path(__file__).parents[3] / "shared" / "gsc"


SHORT = encoded(0.001)


def touch(folder: Path, *names: str) -> None:
    """Make recordings of which only the name matters, and empty files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(SHORT if name.lower().endswith(".wav") else b"")


def word(folder: Path, name: str, training: int, validation: int = 0, testing: int = 0) -> None:
    """Make a word folder with so many recordings of the official partitions."""
    for speaker, count in zip(OFFICIAL, (training, validation, testing), strict=True):
        touch(folder, *(f"{name}/{speaker}_nohash_{i}.wav" for i in range(count)))


def background(folder: Path, name: str, seconds: float, rate: int = 16000) -> None:
    """Make a background recording whose samples rise from 0 to 1."""
    path = folder / "_background_noise_" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.linspace(0, 1, round(seconds * rate)), rate, subtype="FLOAT")


def read(
    folder: Path,
    labels: Sequence[str],
    silence_clips: Sequence[int] = (2300, 260, 260),
    seed: int = 0,
) -> Corpus:
    return corpus_of(
        folder,
        labels,
        silence_clips=silence_clips,
        seed=seed,
        size=16000,
        sample_rate=16000,
    )


def names(corpus: Corpus, partition: str) -> list[str]:
    return [clip.path.relative_to(corpus.place).as_posix() for clip in corpus.partitions[partition]]


def silence(corpus: Corpus, partition: str) -> list[Clip]:
    label = corpus.labels.index(SILENCE)
    return [clip for clip in corpus.partitions[partition] if clip.label == label]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


# Labels


def test_labels_are_the_words_as_written_then_silence_then_unknown() -> None:
    assert label_names(["up", "go"], unknown=True, silence=True) == ("up", "go", SILENCE, UNKNOWN)
    assert label_names(["up", "go"], unknown=False, silence=True) == ("up", "go", SILENCE)
    assert label_names(["up", "go"], unknown=True, silence=False) == ("up", "go", UNKNOWN)
    assert label_names(["up", "go"], unknown=False, silence=False) == ("up", "go")


def test_all_words_are_the_word_folders_sorted_without_unknown(tmp_path: Path) -> None:
    touch(tmp_path, "up/1.wav", "go/1.wav", "Zoe/1.wav", ".git/1.wav", "notes/todo.txt")
    touch(tmp_path, "_background_noise_/hum.wav", "__MACOSX/._1.wav", "_unknown_/1.wav")
    labels = choose_labels(folders.read(tmp_path), "all", unknown=True, silence=True)
    assert labels == ("Zoe", "go", "up", SILENCE)


def test_given_words_are_taken_without_a_look_at_the_folder(tmp_path: Path) -> None:
    labels = choose_labels(folders.read(tmp_path), ["up"], unknown=True, silence=False)
    assert labels == ("up", UNKNOWN)


def test_all_words_of_a_folder_without_any(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        choose_labels(folders.read(tmp_path), "all", unknown=True, silence=True)
    expected = f"data.words: expected words with recordings in {tmp_path}, found none"
    assert str(error.value) == expected


def test_other_words_are_unknown(tmp_path: Path) -> None:
    touch(tmp_path, "go/a_nohash_0.wav", "bed/a_nohash_0.wav", "cat/a_nohash_1.wav")
    corpus = read(tmp_path, ("go", UNKNOWN))
    clips = [clip for partition in PARTITIONS for clip in corpus.partitions[partition]]
    assert {(clip.word, clip.label) for clip in clips} == {("go", 0), ("bed", 1), ("cat", 1)}
    assert corpus.skipped == {}


def test_other_words_are_skipped_and_counted_where_there_is_no_unknown(tmp_path: Path) -> None:
    touch(tmp_path, "go/1.wav", "bed/1.wav", "bed/2.wav", "cat/1.wav")
    corpus = read(tmp_path, ("go",))
    assert {clip.word for p in PARTITIONS for clip in corpus.partitions[p]} == {"go"}
    assert corpus.skipped == {"bed": 2, "cat": 1}


# Recordings


def test_a_recording_is_a_visible_wav_file_in_any_letter_case(tmp_path: Path) -> None:
    touch(tmp_path, "go/b.WAV", "go/a.wav", "go/B.Wav", "go/._a.wav", "go/.c.wav", "go/d.flac")
    touch(tmp_path, "validation_list.txt", "stray.wav")
    (tmp_path / "testing_list.txt").write_text("go/a.wav\ngo/b.WAV\ngo/B.Wav\ngo/._a.wav\n")
    assert names(read(tmp_path, ("go",)), "testing") == ["go/B.Wav", "go/a.wav", "go/b.WAV"]


def test_unknown_words_with_most_clips_have_targets_of_their_own(tmp_path: Path) -> None:
    counts = {"go": 2, "bed": 1, "cat": 3, "dog": 3, "zoo": 1}
    touch(
        tmp_path, *(f"{w}/{TRAINING}_nohash_{i}.wav" for w, n in counts.items() for i in range(n))
    )
    corpus = read(tmp_path, ("go", UNKNOWN))
    words = [clip.word for clip in corpus.partitions["training"]]
    expected = {"go": 0, "bed": 1, "cat": 2, "dog": 3, "zoo": 1}
    assert targets_of(corpus, 3) == [expected[word] for word in words]
    assert targets_of(corpus, 1) == [clip.label for clip in corpus.partitions["training"]]
    assert set(targets_of(corpus, 100)) == {0, 2, 3, 4, 5}
    other = read(tmp_path, ("bed", "cat", "dog", "go", "zoo"))  # no `_unknown_`
    assert targets_of(other, 3) == [clip.label for clip in other.partitions["training"]]


def test_clips_are_sorted_by_folder_and_name(tmp_path: Path) -> None:
    files = [f"{w}/{TRAINING}_nohash_{i}.wav" for w in ("up", "bed", "go") for i in (2, 0, 1)]
    touch(tmp_path, *files)
    assert names(read(tmp_path, ("up", "go", UNKNOWN)), "training") == sorted(files)


def test_unreadable_recordings_are_no_clips(noisy: Path) -> None:
    without = read(noisy, KEYWORDS)
    bad_recordings(noisy / "up")
    bad_recordings(noisy / "_background_noise_")
    corpus = read(noisy, KEYWORDS)
    assert corpus.partitions == without.partitions
    assert len(corpus.packs["training"].unreadable) == 2 * len(BAD)


def test_a_name_that_is_no_utf8(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, f"go/\udcff{TRAINING}.wav", "go/\udcfe.wav", "\udcff/1.wav")
    (tmp_path / "testing_list.txt").write_bytes(b"go/\xfe.wav\n")
    corpus = read(tmp_path, ("go",))
    assert names(corpus, "testing") == ["go/\udcfe.wav"]
    assert "skipped (words without a label): \\udcff 1" in describe(corpus)
    assert "such as go/\\udcfe.wav" in warnings(caplog)[0]


# Partitions


def test_the_speaker_hash_is_the_official_one(tmp_path: Path) -> None:
    word(tmp_path, "go", 2, 2, 2)
    corpus = read(tmp_path, ("go",))
    for speaker, partition in OFFICIAL.items():
        assert names(corpus, partition) == [f"go/{speaker}_nohash_{i}.wav" for i in (0, 1)]


def test_the_hash_splits_many_speakers_80_10_10(tmp_path: Path) -> None:
    speakers = [f"{i:08x}" for i in range(1000)]
    touch(tmp_path, *(f"go/{speaker}_nohash_0.wav" for speaker in speakers))
    corpus = read(tmp_path, ("go",))

    def percent(speaker: str) -> float:
        digest = int(hashlib.sha1(speaker.encode()).hexdigest(), 16)
        return (digest % 134217728) * 100.0 / 134217727

    for partition, low, high in (("validation", 0, 10), ("testing", 10, 20), ("training", 20, 101)):
        expected = [f"go/{s}_nohash_0.wav" for s in speakers if low <= percent(s) < high]
        assert names(corpus, partition) == expected


def test_a_name_without_speaker_is_hashed_whole_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, f"go/{VALIDATION}.wav", f"go/{TESTING}.wav", f"go/{TRAINING}_nohash_0.wav")
    corpus = read(tmp_path, ("go",))
    assert names(corpus, "validation") == [f"go/{VALIDATION}.wav"]
    assert names(corpus, "testing") == [f"go/{TESTING}.wav"]
    assert warnings(caplog) == [
        f"{tmp_path}: 2 recordings do not name their speaker (SPEAKER_nohash_N.wav), such as "
        f"go/{VALIDATION}.wav: the same voices may be in several partitions"
    ]


def test_lists_overrule_the_hash_and_need_no_speakers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    word(tmp_path, "go", 1, 1, 1)
    touch(tmp_path, "go/x.wav")
    (tmp_path / "validation_list.txt").write_bytes(f"go/{TRAINING}_nohash_0.wav\r\n".encode())
    (tmp_path / "testing_list.txt").write_text(f"go/{VALIDATION}_nohash_0.wav")
    corpus = read(tmp_path, ("go",))
    assert names(corpus, "validation") == [f"go/{TRAINING}_nohash_0.wav"]
    assert names(corpus, "testing") == [f"go/{VALIDATION}_nohash_0.wav"]
    assert names(corpus, "training") == [f"go/{TESTING}_nohash_0.wav", "go/x.wav"]
    assert warnings(caplog) == []


def test_the_hash_stands_in_for_a_missing_list_only(tmp_path: Path) -> None:
    word(tmp_path, "go", 1, 1, 2)
    (tmp_path / "validation_list.txt").write_text(f"go/{TESTING}_nohash_1.wav\n")
    corpus = read(tmp_path, ("go",))
    assert names(corpus, "validation") == [f"go/{TESTING}_nohash_1.wav"]
    assert names(corpus, "testing") == [f"go/{TESTING}_nohash_0.wav"]
    assert names(corpus, "training") == [
        f"go/{TRAINING}_nohash_0.wav",
        f"go/{VALIDATION}_nohash_0.wav",
    ]


@pytest.mark.real_speech
@pytest.mark.skipif(not GSC.is_dir(), reason=f"{GSC} is not there")
def test_hash_and_lists_agree_with_the_partitions_of_real_speech(tmp_path: Path) -> None:
    expected: dict[str, list[str]] = {}
    for partition, pattern in zip(PARTITIONS, ("train*", "validation*", "testing*"), strict=True):
        members: list[str] = []
        for path in GSC.glob(f"{pattern}.tar"):
            with tarfile.open(path) as archive:
                members += archive.getnames()
        expected[partition] = sorted(m.replace(".flac", ".wav") for m in members)[::5]
        touch(tmp_path, *expected[partition])
    labels = choose_labels(folders.read(tmp_path), "all", unknown=False, silence=False)
    by_hash = read(tmp_path, labels)
    assert {partition: names(by_hash, partition) for partition in PARTITIONS} == expected
    for partition in ("validation", "testing"):
        (tmp_path / f"{partition}_list.txt").write_text("\n".join(expected[partition]))
    assert read(tmp_path, labels).partitions == by_hash.partitions


# Test archives


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    word(tmp_path, "go", 1, 1, 1)
    touch(tmp_path, "bed/a_nohash_0.wav", f"{SILENCE}/1254.wav", f"{SILENCE}/7.wav")
    touch(tmp_path, f"{UNKNOWN}/backward_0c540988_nohash_0.wav.wav")
    background(tmp_path, "hum.wav", 20)
    return tmp_path


def test_all_of_a_test_archive_is_testing_and_its_silence_is_what_lies_there(
    archive: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corpus = read(archive, ("up", "go", SILENCE, UNKNOWN))
    assert corpus.partitions["training"] == corpus.partitions["validation"] == ()
    assert corpus.counts("testing") == {"up": 0, "go": 3, SILENCE: 2, UNKNOWN: 2}
    silence = Clip(archive, f"{SILENCE}/1254.wav", 2, SILENCE, speaker="1254")
    assert silence in corpus.partitions["testing"]
    assert names(corpus, "testing")[:3] == [
        f"{SILENCE}/1254.wav",
        f"{SILENCE}/7.wav",
        f"{UNKNOWN}/backward_0c540988_nohash_0.wav.wav",
    ]
    assert warnings(caplog) == []


def test_a_model_without_silence_and_unknown_skips_those_of_a_test_archive(archive: Path) -> None:
    corpus = read(archive, ("go",))
    assert corpus.counts("testing") == {"go": 3}
    assert corpus.skipped == {SILENCE: 2, UNKNOWN: 1, "bed": 1}


def test_the_silence_of_a_test_archive_is_not_an_unknown_word(archive: Path) -> None:
    corpus = read(archive, ("go", UNKNOWN))
    assert corpus.counts("testing") == {"go": 3, UNKNOWN: 2}
    assert corpus.skipped == {SILENCE: 2}


def test_with_lists_it_is_no_test_archive(archive: Path) -> None:
    touch(archive, "validation_list.txt", "testing_list.txt")
    assert read(archive, ("go", UNKNOWN)).counts("training") == {"go": 3, UNKNOWN: 2}


# Silence


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """A corpus with a mean keyword of 15, 6 and 2.5 clips and two background noises."""
    word(tmp_path, "go", 20, 8, 4)
    word(tmp_path, "up", 10, 4, 1)
    word(tmp_path, "bed", 90)
    background(tmp_path, "hum.wav", 60)
    background(tmp_path, "wind.WAV", 30, rate=44100)
    touch(tmp_path, "_background_noise_/README.md", "_background_noise_/._hum.wav")
    return tmp_path


KEYWORDS = ("go", "up", SILENCE, UNKNOWN)


def test_silence_is_scaled_down_to_the_mean_keyword(noisy: Path) -> None:
    corpus = read(noisy, KEYWORDS)
    assert corpus.counts("training") == {"go": 20, "up": 10, SILENCE: 15, UNKNOWN: 90}
    assert corpus.counts("validation") == {"go": 8, "up": 4, SILENCE: 6, UNKNOWN: 0}
    assert corpus.counts("testing") == {"go": 4, "up": 1, SILENCE: 2, UNKNOWN: 0}


def test_without_keywords_there_is_no_silence(noisy: Path) -> None:
    assert read(noisy, [SILENCE, UNKNOWN]).counts("training")[SILENCE] == 0


def test_silence_clips_bounds_the_number_in_each_partition(noisy: Path) -> None:
    corpus = read(noisy, KEYWORDS, silence_clips=(7, 3, 0))
    assert [len(silence(corpus, partition)) for partition in PARTITIONS] == [7, 3, 0]


def test_silence_is_spread_evenly_over_all_recordings(noisy: Path) -> None:
    cuts = silence(read(noisy, KEYWORDS), "training")
    assert [clip.path.name for clip in cuts] == ["hum.wav"] * 8 + ["wind.WAV"] * 7
    assert {clip.word for clip in cuts} == {"_background_noise_"}


def test_silence_is_as_long_as_a_clip_at_any_rate(noisy: Path) -> None:
    for clip in silence(read(noisy, KEYWORDS), "training"):
        assert clip.frames == {"hum.wav": 16000, "wind.WAV": 44100}[clip.path.name]


def test_the_partitions_of_silence_are_disjoint_in_time(noisy: Path) -> None:
    word(noisy, "go", 200, 200, 200)
    corpus = read(noisy, KEYWORDS)
    bounds = {"training": (0, 0.8), "validation": (0.8, 0.9), "testing": (0.9, 1)}
    for partition, (first, last) in bounds.items():
        cuts = silence(corpus, partition)
        assert len(cuts) > 90
        for name, length in (("hum.wav", 60 * 16000), ("wind.WAV", 30 * 44100)):
            clips = [clip for clip in cuts if clip.path.name == name]
            starts = [clip.start for clip in clips]
            ends = [clip.start + clip.frames for clip in clips]
            assert first * length <= min(starts) < (first + 0.04) * length
            assert (last - 0.04) * length < max(ends) <= last * length


def test_silence_is_reproducible_from_the_seed(noisy: Path) -> None:
    corpus = read(noisy, KEYWORDS)
    assert corpus.partitions == read(noisy, KEYWORDS).partitions
    other = read(noisy, KEYWORDS, seed=1)
    for partition in PARTITIONS:
        assert silence(corpus, partition) != silence(other, partition)


def test_a_stretch_shorter_than_a_clip_is_taken_whole(tmp_path: Path) -> None:
    word(tmp_path, "go", 2, 2, 2)
    background(tmp_path, "hum.wav", 3)
    background(tmp_path, "click.wav", 9 / 16000)
    corpus = read(tmp_path, ("go", SILENCE))
    cuts = {p: {(c.start, c.frames) for c in silence(corpus, p)} for p in PARTITIONS[1:]}
    assert cuts == {"validation": {(38400, 4800)}, "testing": {(43200, 4800)}}
    assert all(clip.frames == 16000 for clip in silence(corpus, "training"))


def test_evaluation_does_without_background_recordings_and_keywords(tmp_path: Path) -> None:
    word(tmp_path, "go", 1, 1, 1)
    corpus = read(tmp_path, ("up", "go", SILENCE, UNKNOWN))
    assert corpus.counts("testing") == {"up": 0, "go": 1, SILENCE: 0, UNKNOWN: 0}


# What training refuses


def expect_trainable(folder: Path, labels: Sequence[str]) -> None:
    expect_words(folders.read(folder), keywords(labels), silence=SILENCE in labels)
    require_trainable(read(folder, labels))


def refused(folder: Path, labels: Sequence[str]) -> list[str]:
    with pytest.raises(InputError) as error:
        expect_trainable(folder, labels)
    return str(error.value).splitlines()


def test_a_trainable_corpus(noisy: Path, caplog: pytest.LogCaptureFixture) -> None:
    require_trainable(read(noisy, KEYWORDS))
    assert warnings(caplog) == []


def test_keywords_without_a_folder_in_one_line_with_near_names(noisy: Path) -> None:
    touch(noisy, "Stop/1.wav", "empty/notes.txt")
    labels = ("go", "stop", "beds", "empty", UNKNOWN)
    assert refused(noisy, labels) == [
        f"data.words: expected recordings of each word in {noisy}, found none for "
        "'stop' (did you mean 'Stop'?), 'beds' (did you mean 'bed'?), 'empty'; the words there are "
        "Stop, bed, go, up"
    ]


def test_of_many_words_some_are_listed(tmp_path: Path) -> None:
    for number in range(43):
        word(tmp_path, f"w{number:02}", 1, 1)
    (line,) = refused(tmp_path, ("nope",))
    assert line.endswith(
        "for 'nope'; the words there are w00"
        + "".join(f", w{number:02}" for number in range(1, 40))
        + " and 3 more"
    )


@pytest.mark.parametrize("missing", [True, False])
def test_folders_that_are_missing_are_noticed_unopened(tmp_path: Path, missing: bool) -> None:
    touch(tmp_path, "go/1.wav", "up/ada/1.wav", "_background_noise_/notes.txt")
    if not missing:
        touch(tmp_path, "_background_noise_/room/hum.wav", "nope/1.wav")
        expect_words(folders.read(tmp_path), ("go", "nope"), silence=True)
        return
    with pytest.raises(InputError) as error:
        expect_words(folders.read(tmp_path), ("go", "nope"), silence=True)
    words, silence = str(error.value).splitlines()
    assert words.endswith(f"in {tmp_path}, found none for 'nope'; the words there are go, up")
    assert silence == (
        f"data.silence: expected recordings to cut silence from in {tmp_path}/_background_noise_, "
        "found none; add some or set data.silence = false"
    )
    expect_words(folders.read(tmp_path), ("go",), silence=False)


def test_few_clips_for_validation_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    word(tmp_path, "go", 20, 10)
    word(tmp_path, "up", 20, 9)
    word(tmp_path, "bed", 20, 1)
    warn_of_few_for_validation(read(tmp_path, ("go", "up", UNKNOWN)))
    (line,) = warnings(caplog)
    assert line.startswith("fewer than 10 validation clips of up 9, _unknown_ 1: ")
    caplog.clear()
    warn_of_few_for_validation(read(tmp_path, ("go",)))
    assert warnings(caplog) == []


@pytest.mark.parametrize(("others", "warned"), [(69, False), (71, True)])
def test_unknown_that_is_nearly_everything_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, others: int, warned: bool
) -> None:
    word(tmp_path, "go", 100 - others, 1)
    word(tmp_path, "bed", others, 1)
    warn_of_many_unknown(read(tmp_path, ("go", UNKNOWN)))
    expected = (
        f"_unknown_ has {others} of 100 training clips, and a constant prediction of it is "
        "right as often: "
        'data.sampling = "balanced" presents every class equally often'
    )
    assert warnings(caplog) == [expected] * warned


def test_keywords_without_training_clips(noisy: Path) -> None:
    word(noisy, "no", 0, 3, 1)
    word(noisy, "on", 0, 0, 2)
    assert refused(noisy, ("go", "no", "on")) == [
        f"data.words: expected training clips of each word in {noisy}, found none for 'no', 'on'"
    ]


def test_silence_without_background_recordings(tmp_path: Path) -> None:
    word(tmp_path, "go", 3, 1)
    (tmp_path / "_background_noise_" / "unreadable.wav").mkdir(parents=True)
    assert refused(tmp_path, ("go", SILENCE)) == [
        "data.silence: expected readable recordings to cut silence from in "
        f"{tmp_path}/_background_noise_, found none; add some or set data.silence = false"
    ]


def test_all_problems_at_once(tmp_path: Path) -> None:
    word(tmp_path, "go", 0, 1)
    lines = refused(tmp_path, ("go", "up", SILENCE))
    assert [line.partition(" in ")[0] for line in lines] == [
        "data.words: expected recordings of each word",
        "data.silence: expected recordings to cut silence from",
    ]


def test_nothing_to_validate_on(tmp_path: Path) -> None:
    word(tmp_path, "go", 3, 0, 1)
    assert refused(tmp_path, ("go",)) == [
        f"{tmp_path}: expected clips for validation, found none; add recordings, or put some of "
        "them into this partition (validation_list.txt, or the column split of a manifest)"
    ]


def test_unknown_without_other_words_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    word(tmp_path, "go", 3, 1)
    require_trainable(read(tmp_path, ("go", UNKNOWN)))
    assert warnings(caplog) == [
        f"data.unknown: no training clips in {tmp_path} are left for _unknown_, "
        "which cannot be learnt"
    ]


# Counts


def test_description_is_a_table_of_counts(noisy: Path) -> None:
    word(noisy, "cat", 1234)
    assert describe(read(noisy, ("go", SILENCE, "cat"))) == (
        "             training  validation     testing\n"
        "go                 20           8           4\n"
        "_silence_         627           4           2\n"
        "cat             1,234           0           0\n"
        "total           1,881          12           6\n"
        "skipped (words without a label): bed 90, up 15"
    )
