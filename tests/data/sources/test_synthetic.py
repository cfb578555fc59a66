# SPDX-License-Identifier: MPL-2.0
import errno
import hashlib
import importlib.metadata
import logging
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from srnn.config import Config
from srnn.data.checks import require_trainable
from srnn.data.corpus import read_corpus
from srnn.data.labels import UNKNOWN, choose_labels
from srnn.data.pack.opening import open_pack
from srnn.data.preparation import make_evaluation_corpus
from srnn.data.sources import speech_commands
from srnn.data.sources.folder import source as folders
from srnn.data.sources.folder.source import locate
from srnn.data.sources.synthetic import clips, espeak, pronunciation, sentences, speakers
from srnn.data.sources.synthetic import corpus as corpora
from srnn.data.sources.synthetic.installation import find_espeak
from srnn.data.sources.synthetic.words import COMMON_WORDS
from srnn.errors import InputError
from srnn.runs.parts import task_of

pytest.importorskip("espeakng_loader", reason="needs espeakng-loader, group `synthetic`")

WORDS = ["yes", "no", "hey_computer"]
RATE, SIZE = 16_000, 16_000


def make(dataroot: Path, words: list[str] = WORDS, seed: int = 0) -> Path:
    return corpora.SpokenCorpus(words, 30, RATE, SIZE, seed).make(dataroot)


def digests(corpus: Path) -> dict[str, str]:
    return {
        str(path.relative_to(corpus)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(corpus.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("voices"))


def test_layout_is_that_of_speech_commands(corpus: Path) -> None:
    assert corpus.parent.name == "SpeechCommands"
    assert corpus.name.startswith("synthetic-")
    names = {path.name for path in corpus.iterdir()}
    lists = {"validation_list.txt", "testing_list.txt", "README.txt"}
    assert names == {*WORDS, "_background_noise_", *lists}
    assert len(list((corpus / "_background_noise_").glob("*.wav"))) == 6
    assert all(len(list((corpus / word).glob("*_nohash_*.wav"))) == 30 for word in WORDS)


def test_it_is_a_corpus_with_all_words_in_all_partitions(corpus: Path, tmp_path: Path) -> None:
    data_set = folders.read(corpus)
    labels = choose_labels(data_set, ["yes", "no"], unknown=True, silence=True)
    pack = open_pack(data_set, str(tmp_path), workers=0)
    read = read_corpus(
        data_set, pack, labels, silence_clips=(9, 3, 3), seed=0, size=SIZE, sample_rate=RATE
    )
    require_trainable(read)
    for partition, least in (("training", 24), ("validation", 3), ("testing", 3)):
        counts = read.counts(partition)
        assert min(counts["yes"], counts["no"], counts[UNKNOWN]) >= least


def test_lists_agree_with_the_speaker_rule(corpus: Path) -> None:
    listed = {
        line: partition
        for partition in ("validation", "testing")
        for line in (corpus / f"{partition}_list.txt").read_text().splitlines()
    }
    for word in WORDS:
        for path in (corpus / word).iterdir():
            speaker = path.name.partition("_nohash_")[0]
            assert len(speaker) == 8
            number = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 2**27
            share = 100 * number / (2**27 - 1)
            rule = "validation" if share < 10 else "testing" if share < 20 else "training"
            assert listed.get(f"{word}/{path.name}", "training") == rule


def test_no_voice_is_in_two_partitions() -> None:
    variants = [variant for names in speakers.VOICES.values() for variant in names]
    assert len(variants) == len(set(variants))


def test_clips_are_sound_of_the_length_asked_for(corpus: Path) -> None:
    for path in corpus.glob("*/*_nohash_*.wav"):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.frames) == (RATE, 1, SIZE)
        assert info.subtype == "PCM_16"
        peak = np.abs(soundfile.read(path, dtype="int16")[0].astype(int)).max()
        assert 1_000 < peak < 32_767


def test_same_definition_same_bytes_whatever_was_made_before(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    make(tmp_path / "first", ["zero", "yes"], seed=5)
    again = make(tmp_path / "second", list(reversed(WORDS)))
    assert again.name == corpus.name
    assert digests(again) == digests(corpus)


def test_other_seed_or_words_other_corpus(corpus: Path, tmp_path: Path) -> None:
    other = make(tmp_path, WORDS, seed=1)
    assert other.name != corpus.name
    one = digests(corpus)
    assert not [
        name
        for name, digest in digests(other).items()
        if one.get(name) == digest and name.endswith(".wav")
    ]
    assert make(tmp_path, ["yes", "no"]).name not in (corpus.name, other.name)


def test_a_finished_corpus_is_not_made_again(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "speak", None)
    assert make(corpus.parents[1]) == corpus


def test_interrupted_making_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(clips, "recorded", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path)
    assert list((tmp_path / "SpeechCommands").iterdir()) == []


def test_what_a_killed_process_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "_record", lambda folder, *_: (folder / "new").mkdir())
    made = make(tmp_path)
    (made / "new").rmdir()
    made.rename(tmp_path / "SpeechCommands" / f".{made.name}.part")
    assert make(tmp_path) == made
    assert (made / "new").exists()
    assert list(made.parent.iterdir()) == [made]


def test_two_at_once_make_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first begins once the second waits."""
    caplog.set_level(logging.INFO, "srnn")
    begun, waits = threading.Event(), threading.Event()

    def record(*_: object) -> None:
        begun.set()
        waits.wait(20)

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            waits.set()

    monkeypatch.setattr(corpora, "_record", record)
    watch = Watch()
    logger = logging.getLogger("srnn.data.fetch.locks")
    logger.addHandler(watch)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(make, tmp_path)
        assert begun.wait(20)
        second = pool.submit(make, tmp_path)
        made = first.result()
        assert second.result() == made
    logger.removeHandler(watch)
    assert (made / "README.txt").exists()
    waiting = f"waiting for another process that prepares {made.name} in {tmp_path}"
    assert caplog.messages.count(waiting) == 1
    assert len([text for text in caplog.messages if text.startswith("making")]) == 1


def test_a_full_disk_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(clips, "write_recording", write)
    place = f"^data.dataroot: {tmp_path}: No space left on device: free some space there"
    with pytest.raises(InputError, match=place):
        make(tmp_path)
    assert list((tmp_path / "SpeechCommands").iterdir()) == []


def test_a_word_without_sound_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^data\.words: expected words that can be spoken.*'-'"):
        make(tmp_path, ["yes", "-"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            ["はい", "いいえ", "水", "yes"],
            ["voices can read, found 'はい', 'いいえ', '水', whose letters"],
        ),
        (
            ["да", "yes", "hello مرحبا"],
            ["can read, found 'да', 'hello مرحبا', whose letters they "],
        ),
        (
            ["write", "no", "right", "know"],
            ["'write' and 'right', which", "'no' and 'know', which"],
        ),
        (["for", "four", "Four"], ["expected words that the voices pronounce differently, found "]),
        (["...", "yes", "-"], ["expected words that can be spoken, found '...', '-'"]),
    ],
)
def test_words_that_the_voices_do_not_tell_apart_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], lines: list[str]
) -> None:
    monkeypatch.setattr(espeak, "speak", None)  # nothing is synthesised
    with pytest.raises(InputError) as error:
        make(tmp_path, words)
    found = str(error.value).splitlines()
    assert all(line.startswith("data.words: expected words that ") for line in found)
    assert len(found) == len(lines)
    for line, part in zip(found, lines, strict=True):
        assert part in line
    assert list(tmp_path.iterdir()) == []


def test_words_that_the_voices_tell_apart() -> None:
    """Accents, digits, names in Latin letters; scripts that eSpeak NG reads as their language."""
    words = ["naïve", "Łódź", "cafe\u0301", "two", "3", "hey_computer", "don't", "아니요", "नमस्ते"]
    pronunciation.expect_distinct_sounds(words)


def test_other_words_that_sound_like_a_keyword_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    spoken = corpora.SpokenCorpus(
        ["write", "no"], 20, RATE, SIZE, 0, others=("right", "yes", "no", "know")
    )
    folders = {path.name for path in spoken.make(tmp_path).iterdir() if path.is_dir()}
    assert folders == {"write", "no", "yes", "_background_noise_"}
    assert "words left out because they sound like a keyword: right, know" in caplog.messages


def test_another_synthesiser_makes_another_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken = corpora.SpokenCorpus(WORDS, 30, RATE, SIZE, 0)
    before = spoken.folder(tmp_path)
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "99.0")
    assert spoken.folder(tmp_path) != before
    monkeypatch.setattr(corpora, "make_once", lambda *_: None)
    unknown = corpora.UnknownWords(["no"], 8, RATE, SIZE, 0).make(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(corpora, "make_once", lambda *_: None)
    assert corpora.UnknownWords(["no"], 8, RATE, SIZE, 0).make(tmp_path) != unknown


def test_keywords_that_synthetic_words_cannot_be_compared_with_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They were recorded, so the voices need not say them."""
    monkeypatch.setattr(corpora, "make_once", lambda *_: None)
    corpora.UnknownWords(["水", "no"], 8, RATE, SIZE, 0).make(tmp_path)
    assert caplog.messages == [
        "data.synthetic_unknown: the voices cannot read '水': words that sound alike are not left "
        "out"
    ]


def test_a_word_that_does_not_fit_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, ["the quick brown fox jumps over the lazy dog", "yes"])
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert line.startswith(
        "data.words: 'the quick brown fox jumps over the lazy dog' takes up to 1"
    )
    assert line.endswith("srnn.size holds 1.0 s: its end is cut off")


def test_unknown_voices_are_refused() -> None:
    utterance = espeak.Utterance("yes", "en-us+nobody", 150, 50, 50)
    with pytest.raises(RuntimeError, match="nobody"):
        espeak.speak([utterance], *find_espeak())


def test_missing_synthesiser_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(InputError, match="pip install espeakng-loader"):
        make(tmp_path)
    assert not (tmp_path / "SpeechCommands").exists()


def test_sounds_leave_out_stress_and_length() -> None:
    texts = ["know", "no", "four", "for", "hey computer"]
    know, no, four, sounds_of_for, hey = espeak.pronounce(texts, "en-us", *find_espeak())
    assert know == no == ["n", "oʊ"]
    assert four == sounds_of_for
    assert hey[:2] == ["h", "eɪ"]
    assert len(hey) > 8


def test_common_words_are_distinct_and_not_those_of_speech_commands() -> None:
    assert len(set(COMMON_WORDS)) == len(COMMON_WORDS) > 600
    assert not set(COMMON_WORDS) & set(speech_commands.WORDS)
    assert all(word.isascii() and word.isalpha() and word.islower() for word in COMMON_WORDS)


def test_words_that_sound_like_a_keyword_are_left_out() -> None:
    assert {"knee", "mouth", "rain"} <= set(COMMON_WORDS)
    left = set(pronunciation.unlike(["three", "Mouse", "reign", "table"]))
    assert not left & {"mouth", "rain", "table"}
    assert {"knee", "water"} <= left  # "knee" is two sounds from "three"
    assert len(left) > 600


def test_unknown_words_are_for_training_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (corpora, pronunciation):
        monkeypatch.setattr(module, "COMMON_WORDS", ("know", "water", "seven", "apple"))
    made = corpora.UnknownWords(["no"], 8, RATE, SIZE, 0).make(tmp_path)
    assert made.parent == tmp_path / "SyntheticWords"
    assert {path.name for path in made.iterdir()} == {"water", "seven", "apple", "README.txt"}
    counts = sorted(len(list((made / word).iterdir())) for word in ("water", "seven", "apple"))
    assert counts == [2, 3, 3]
    crew = {speaker.name for speaker in speakers.speakers_of("training", 0)}
    assert {path.name[:8] for path in made.glob("*/*.wav")} <= crew
    assert locate(tmp_path, "speech_commands_v0.02") is None  # no data set to train on
    monkeypatch.setattr(espeak, "speak", None)
    assert corpora.UnknownWords(["no", "no"], 8, RATE, SIZE, 0).make(tmp_path) == made


def test_evaluation_finds_a_synthetic_data_set_where_no_synthesiser_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name holds the synthesiser's version, which is then unknown; the only data set is taken."""
    corpus = tmp_path / "SpeechCommands" / "synthetic-0123456789ab"
    for word in ("yes", "no"):
        (corpus / word).mkdir(parents=True)
        soundfile.write(corpus / word / "0c40e715_nohash_0.wav", np.ones(100), RATE)
    data = {"dataroot": str(tmp_path), "gsc_url": "synthetic", "words": ["yes", "no"]}
    config = Config.model_validate({"data": data})
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    assert make_evaluation_corpus(task_of(config), ("yes", "no")).place == corpus


def test_sentences_hold_no_keyword_and_are_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentences, "_SENTENCES", 5)
    said = []

    def utterance(text: str, *others: Any) -> Any:
        said.append(text.split())
        return clips.utterance(text, *others)

    monkeypatch.setattr(sentences, "utterance", utterance)
    folder = sentences.Sentences(["go", "no"], RATE, 0).make(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [f"{n:04}.wav" for n in range(5)]
    assert [len(words) for words in said] == [14] * 5
    assert not {"no", "know", "go", "ago"} & {word for words in said for word in words}
    for path in folder.iterdir():
        samples, rate = soundfile.read(path)
        assert rate == RATE
        assert 2 < len(samples) / rate < 15
        loud = np.abs(samples).reshape(-1)[: len(samples) // 800 * 800].reshape(-1, 800).max(axis=1)
        assert (loud > 0.05 * loud.max()).mean() > 0.6  # speech nearly all of the time
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert sentences.Sentences(["no", "go", "no"], RATE, 0).make(tmp_path) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert sentences.Sentences(["go"], RATE, 0).make(tmp_path) != folder
