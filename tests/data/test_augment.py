# SPDX-License-Identifier: MPL-2.0
"""How clips are varied: each kind by itself, and that seed, epoch and place alone decide it."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from recordings import corpus_of
from srnn.data.augment import Augmentation, Augmenter
from srnn.data.corpus import Corpus

RATE, SIZE = 8_000, 2_050
CPU = torch.device("cpu")
EVERYTHING = Augmentation(300, 15, 6.0, 0.8, 0.1, fresh_silence=True)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Return words and two background recordings, a rising ramp and a falling one."""
    folder = tmp_path_factory.mktemp("corpus")
    for word in ("go", "_background_noise_"):
        (folder / word).mkdir()
    for speaker in range(30):
        soundfile.write(folder / "go" / f"{speaker:08x}_nohash_0.wav", np.zeros(100), RATE)
    ramp = np.linspace(0, 0.5, 10 * RATE)
    soundfile.write(folder / "_background_noise_" / "down.wav", -ramp, RATE)
    soundfile.write(folder / "_background_noise_" / "up.wav", ramp, RATE)
    return corpus_of(
        folder,
        ("go", "_silence_"),
        silence_clips=(10, 1, 1),
        seed=0,
        size=SIZE,
        sample_rate=RATE,
    )


def varied(
    corpus: Corpus, augmentation: Augmentation, waveforms: torch.Tensor, epoch: int = 1
) -> NDArray[np.float32]:
    augmenter = Augmenter(
        augmentation,
        corpus.training_background(SIZE, RATE, CPU),
        corpus.partitions["training"],
        seed=0,
    )
    count = len(waveforms)
    clips = torch.zeros(count, dtype=torch.int64)  # all of them words
    return augmenter(waveforms, clips, augmenter.draw(epoch, count)).numpy()


def tone(frequency: float, count: int) -> torch.Tensor:
    """Return a burst in the middle of a clip, some times."""
    time = (torch.arange(SIZE, dtype=torch.float64) - SIZE / 2) / RATE
    burst = torch.cos(2 * torch.pi * frequency * time) * torch.exp(-((time / 0.03) ** 2))
    return burst.float().repeat(count, 1)


def test_a_clip_is_shifted_either_way(corpus: Corpus) -> None:
    click = torch.zeros(500, SIZE)
    click[:, 1000] = 1
    heard = varied(corpus, Augmentation(shift=30), click)
    assert (heard.sum(axis=1) == 1).all()
    assert set(heard.argmax(axis=1)) == set(range(970, 1031))


def test_what_is_shifted_out_is_gone_and_what_comes_in_is_zeros(corpus: Corpus) -> None:
    heard = varied(corpus, Augmentation(shift=300), torch.ones(50, SIZE))
    zeros = (heard == 0).sum(axis=1)
    assert zeros.max() > 200
    assert ((heard[:, 0] == 0) | (heard[:, -1] == 0) | (zeros == 0)).all()


def test_speed_moves_the_pitch_and_keeps_the_middle(corpus: Corpus) -> None:
    heard = varied(corpus, Augmentation(speed=15), tone(1000, 200))
    speeds = set()
    for waveform in heard:
        pitch = np.abs(np.fft.rfft(waveform, 2**16)).argmax() * RATE / 2**16
        percent = round(pitch / 10)
        speeds.add(percent)
        start = np.rint(SIZE / 2 - SIZE / 2 * percent / 100)  # to the nearest sample
        time = (start + np.arange(SIZE) * percent / 100 - SIZE / 2) / RATE
        expected = np.cos(2 * np.pi * 1000 * time) * np.exp(-((time / 0.03) ** 2))
        np.testing.assert_allclose(waveform, expected, atol=1e-3)
    assert speeds == set(range(85, 116))


def test_a_faster_clip_holds_nothing_above_half_its_rate(corpus: Corpus) -> None:
    heard = varied(corpus, Augmentation(speed=50), tone(3900, 100))
    loudness = np.abs(heard).max(axis=1)
    assert loudness.max() > 0.9  # slower ones
    assert loudness.min() < 1e-3  # beyond 4000 Hz after 3900 Hz * 1.1


def test_integers_become_shares_of_full_scale(corpus: Corpus) -> None:
    half = torch.full((3, SIZE), 2**14, dtype=torch.int16)
    heard = varied(corpus, replace(EVERYTHING, volume=0, noise=0, speed=0, shift=0), half)
    assert heard.dtype == np.float32
    assert (heard == 0.5).all()


def test_volume_is_uniform_in_decibels(corpus: Corpus) -> None:
    heard = varied(corpus, Augmentation(volume=6), torch.ones(1000, SIZE))
    decibels = 20 * np.log10(heard[:, 0])
    assert decibels.min() == pytest.approx(-6, abs=0.1)
    assert decibels.max() == pytest.approx(6, abs=0.1)
    assert decibels.mean() == pytest.approx(0, abs=0.4)


def test_noise_comes_from_every_recording_up_to_its_level(corpus: Corpus) -> None:
    heard = varied(corpus, Augmentation(noise=0.8, noise_level=0.1), torch.zeros(1000, SIZE))
    peaks = np.abs(heard).max(axis=1)
    assert (peaks > 0).mean() == pytest.approx(0.8, abs=0.04)
    assert 0.099 < peaks.max() <= 0.1
    assert peaks[peaks > 0].mean() == pytest.approx(0.05, abs=0.004)
    assert (heard.sum(axis=1) > 0).mean() == pytest.approx(0.4, abs=0.05)


def test_fresh_silence_is_cut_from_the_training_stretch_of_its_own_recording(
    corpus: Corpus,
) -> None:
    background = corpus.training_background(SIZE, RATE, CPU)
    clips = corpus.partitions["training"]
    augmenter = Augmenter(Augmentation(fresh_silence=True), background, clips, seed=0)
    silent = [index for index, clip in enumerate(clips) if clip.label == 1]
    order = torch.tensor([*silent, 0] * 50)
    loud = torch.full((len(order), SIZE), 2**14, dtype=torch.int16)
    heard = augmenter(loud, order, augmenter.draw(1, len(order))).numpy()
    for index, waveform in zip(order.tolist(), heard, strict=True):
        if clips[index].label == 0:
            assert (waveform == 0.5).all()
        else:
            assert np.sign(waveform[-1]) == (1 if clips[index].path.name == "up.wav" else -1)
            assert np.abs(waveform).max() < 0.4001  # eight tenths of the ramp
    starts = {abs(waveform[0]) for waveform in heard}
    assert len(starts) > 50


def test_a_background_shorter_than_a_clip_is_padded(corpus: Corpus) -> None:
    background = corpus.training_background(9 * RATE, RATE, CPU)
    (cut,) = background.cuts(torch.tensor([1]), torch.tensor([0.99], dtype=torch.float64)).numpy()
    heard = np.flatnonzero(cut)
    assert heard.min() == pytest.approx(RATE / 2, abs=5)  # a ramp is 0 at first
    assert heard.max() == 8.5 * RATE - 1


def test_seed_epoch_and_place_decide(corpus: Corpus) -> None:
    waveforms = torch.randn(20, SIZE, generator=torch.Generator().manual_seed(0))
    once = varied(corpus, EVERYTHING, waveforms)
    np.testing.assert_array_equal(once, varied(corpus, EVERYTHING, waveforms))
    np.testing.assert_allclose(once[:7], varied(corpus, EVERYTHING, waveforms[:7]), atol=1e-6)
    assert (once != varied(corpus, EVERYTHING, waveforms, epoch=2)).any(axis=1).all()


def test_nothing_is_drawn_where_nothing_is_asked_for() -> None:
    assert Augmentation().changes_nothing
    assert not Augmentation(volume=1).changes_nothing


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_varies_clips_alike(corpus: Corpus) -> None:
    waveforms = torch.randn(20, SIZE, generator=torch.Generator().manual_seed(0))
    clips, device = corpus.partitions["training"], torch.device("cuda")
    augmenter = Augmenter(EVERYTHING, corpus.training_background(SIZE, RATE, device), clips, seed=0)
    heard = augmenter(
        waveforms.cuda(), torch.zeros(20, dtype=torch.int64, device=device), augmenter.draw(1, 20)
    ).cpu()
    np.testing.assert_allclose(heard, varied(corpus, EVERYTHING, waveforms), atol=1e-3)
