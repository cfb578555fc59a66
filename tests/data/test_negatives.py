# SPDX-License-Identifier: MPL-2.0
"""Parts of recordings without keywords as training clips of `_unknown_`."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from recordings import corpus_of
from srnn.data import negatives
from srnn.data.corpus import Corpus
from srnn.data.pack.opening import open_pack
from srnn.data.sampling import Pool, epoch_order
from srnn.errors import InputError

RATE, SIZE = 8_000, 4_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("negatives")
    rng = np.random.default_rng(0)
    for name, seconds, rate in (("a/long.flac", 30, RATE), ("b/short.ogg", 10, 16_000)):
        (folder / name).parent.mkdir()
        soundfile.write(folder / name, 0.1 * rng.normal(size=seconds * rate), rate)
    return folder


@pytest.fixture(scope="module")
def corpus(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    words = tmp_path_factory.mktemp("words")
    for word in ("go", "cat"):
        (words / word).mkdir()
        for speaker in range(40):
            name = f"{speaker:08x}_nohash_0.wav"
            soundfile.write(words / word / name, np.full(100, 0.1), RATE)
    plain = corpus_of(words, ("go", "_unknown_"), size=SIZE, sample_rate=RATE)
    pack = open_pack(negatives.read(str(folder)))
    return negatives.with_negatives(plain, [pack], 400, SIZE, RATE, seed=0)


def test_clips_are_parts_of_every_recording_in_proportion_to_its_duration(
    corpus: Corpus, folder: Path
) -> None:
    found = [clip for clip in corpus.partitions["training"] if clip.word == negatives.WORD]
    assert len(found) == 400
    assert {corpus.labels[clip.label] for clip in found} == {"_unknown_"}
    assert all(map(corpus.is_added, found))
    long = [clip for clip in found if clip.name == "a/long.flac"]
    assert len(long) == pytest.approx(300, abs=40)
    assert {clip.folder for clip in found} == {folder}
    for clip in found:
        rate, frames = (RATE, 30 * RATE) if clip in long else (16_000, 160_000)
        assert 0.25 * SIZE / RATE - 1e-3 <= clip.frames / rate <= SIZE / RATE
        assert 0 <= clip.start <= frames - clip.frames
    assert len({clip.start for clip in found}) > 390
    for partition in ("validation", "testing"):
        assert negatives.WORD not in {clip.word for clip in corpus.partitions[partition]}


def test_balanced_sampling_presents_them_beside_the_words(corpus: Corpus) -> None:
    pool = Pool.of(corpus)
    order = epoch_order(pool, "balanced", seed=0, epoch=1, synthetic_share=0.5)
    clips = corpus.partitions["training"]
    words = [clips[index].word for index in order]
    assert words.count("go") == pytest.approx(len(clips) / 2, abs=1)
    parts = [index for index in order if clips[index].word == negatives.WORD]
    assert len(parts) == pytest.approx(len(clips) / 4, abs=1)
    assert len(set(parts)) == len(parts)  # there are more of them


@pytest.mark.parametrize("name", ["nowhere", "nowhere/*.wav", "empty"])
def test_no_recordings_is_an_error_that_names_the_key(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"^data\.negatives: .*expected"):
        negatives.read(str(tmp_path / name))


def test_recordings_of_several_folders_are_in_memory_as_a_whole(
    corpus: Corpus, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "long.flac", np.full(60 * RATE, 0.5), RATE)
    more = open_pack(negatives.read(str(tmp_path)))
    corpus = negatives.with_negatives(corpus, [more], 100, SIZE, RATE, seed=0)
    found = negatives.in_memory(corpus, SIZE, RATE, torch.device("cpu"))
    assert found
    recordings, sources = found
    assert recordings.names == ["a/long.flac", "b/short.ogg", "long.flac"]
    assert len(recordings.samples) == (30 + 10 + 60) * RATE
    clips = corpus.partitions["training"]
    named = [clip.name if clip.word == negatives.WORD else None for clip in clips]
    assert named == [None if each < 0 else recordings.names[each] for each in sources]
    places = torch.linspace(0, 1, 101, dtype=torch.float64)[:-1]
    cuts = recordings.cuts(torch.full((100,), 2), places)
    assert cuts.shape == (100, SIZE)
    assert (cuts == 0.5).all()


def test_a_corpus_without_negatives_has_none_in_memory(folder: Path) -> None:
    plain = corpus_of(folder, ("a", "_unknown_"), size=SIZE, sample_rate=RATE)
    assert negatives.in_memory(plain, SIZE, RATE, torch.device("cpu")) is None
