# SPDX-License-Identifier: MPL-2.0
"""A scene holds the words of a partition where it says, in noise of the level that it says."""

from pathlib import Path

import numpy as np
import pytest
import torch

from srnn.config import load
from srnn.data import audio
from srnn.data.corpus import Corpus
from srnn.data.preparation import make_training_corpus
from srnn.instruments.listening.scenes import QUIET, lay
from srnn.runs.parts import spec_of, task_of

RATE, SIZE = 8000, 2000


@pytest.fixture
def corpus(tones: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    monkeypatch.chdir(tones)
    return make_training_corpus(task_of(load("tones.toml")))


@pytest.mark.parametrize("snr", [None, 10.0, 0.0])
def test_the_words_are_where_the_scene_says(corpus: Corpus, snr: float | None) -> None:
    scene = lay(corpus, "validation", spec_of(load("tones.toml")), snr=snr)
    stream = torch.cat([*scene])
    assert len(stream) == round(scene.duration * RATE)
    assert torch.equal(torch.cat([*scene]), stream)  # each time the same
    clips = [each for each in corpus.partitions["validation"] if each.word != "_background_noise_"]
    assert sorted(each.word for each in scene.utterances) == sorted(each.word for each in clips)
    waveforms = [audio.read(clip.path, RATE) for clip in clips]
    ends = [0.0, *(each.end for each in scene.utterances)]
    for utterance, before in zip(scene.utterances, ends, strict=False):
        start, end = round(utterance.start * RATE), round(utterance.end * RATE)
        assert end - start == SIZE
        assert 0.5 <= utterance.start - before <= 2.0
        assert utterance.start < utterance.said < utterance.end
        part = stream[start:end].numpy()
        own = max(waveforms, key=lambda each: float(np.corrcoef(each, part)[0, 1]))
        noise = stream[round(before * RATE) : start]
        level = float(noise.square().mean().sqrt())
        if snr is None:
            assert level == pytest.approx(QUIET, rel=0.2)
        else:
            power = float(np.square(own).mean())
            assert 10 * np.log10(power / level**2) == pytest.approx(snr, abs=1)


def test_scenes_of_other_seeds_differ(corpus: Corpus) -> None:
    spec = spec_of(load("tones.toml"))
    one, other = (lay(corpus, "validation", spec, seed=seed) for seed in (0, 1))
    assert one.utterances != other.utterances
