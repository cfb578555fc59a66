# SPDX-License-Identifier: MPL-2.0
"""How clips are varied: each kind by itself, and that seed, epoch and place alone decide it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from recordings import corpus_of
from srnn.augment.augmentation import WaveformContext
from srnn.augment.registry import augmented, waveform_augmentations
from srnn.config import Config
from srnn.data.corpus import Corpus

RATE, SIZE = 8_000, 2_050
CPU = torch.device("cpu")


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


def context(corpus: Corpus, device: torch.device = CPU) -> WaveformContext:
    background = corpus.training_background(SIZE, RATE, device)
    names = [clip.name if clip.label else "" for clip in corpus.partitions["training"]]
    silence = [background.names.index(name) if name else -1 for name in names]
    return WaveformContext(SIZE, RATE, background, torch.tensor(silence, device=device), device)


def keys(**values: Any) -> Any:
    return type(Config().augment)(**values)


def varied(
    corpus: Corpus,
    settings: Any,
    waveforms: Tensor,
    epoch: int = 1,
    clips: Tensor | None = None,
    device: torch.device = CPU,
) -> NDArray[np.float32]:
    count = len(waveforms)
    clips = torch.zeros(count, dtype=torch.int64) if clips is None else clips  # all of them words
    waveforms = waveforms.to(device)
    for augment in waveform_augmentations(settings, context(corpus, device)):
        draws = augment.draws(0, epoch, count).to(device)
        waveforms = augment(waveforms, draws, clips.to(device))
    return waveforms.cpu().numpy()


EVERYTHING = keys(
    shift=37.5, speed=0.15, volume=6.0, noise=0.8, noise_level=0.1, fresh_silence=True
)


def tone(frequency: float, count: int) -> torch.Tensor:
    """Return a burst in the middle of a clip, some times."""
    time = (torch.arange(SIZE, dtype=torch.float64) - SIZE / 2) / RATE
    burst = torch.cos(2 * torch.pi * frequency * time) * torch.exp(-((time / 0.03) ** 2))
    return burst.float().repeat(count, 1)


def test_a_clip_is_shifted_either_way(corpus: Corpus) -> None:
    click = torch.zeros(500, SIZE)
    click[:, 1000] = 1
    heard = varied(corpus, keys(shift=3.75), click)
    assert (heard.sum(axis=1) == 1).all()
    assert set(heard.argmax(axis=1)) == set(range(970, 1031))


def test_what_is_shifted_out_is_gone_and_what_comes_in_is_zeros(corpus: Corpus) -> None:
    heard = varied(corpus, keys(shift=37.5), torch.ones(50, SIZE))
    zeros = (heard == 0).sum(axis=1)
    assert zeros.max() > 200
    assert ((heard[:, 0] == 0) | (heard[:, -1] == 0) | (zeros == 0)).all()


def test_speed_moves_the_pitch_and_keeps_the_middle(corpus: Corpus) -> None:
    heard = varied(corpus, keys(speed=0.15), tone(1000, 200))
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
    heard = varied(corpus, keys(speed=0.5), tone(3900, 100))
    loudness = np.abs(heard).max(axis=1)
    assert loudness.max() > 0.9  # slower ones
    assert loudness.min() < 1e-3  # beyond 4000 Hz after 3900 Hz * 1.1


def test_volume_is_uniform_in_decibels(corpus: Corpus) -> None:
    heard = varied(corpus, keys(volume=6.0), torch.full((1000, SIZE), 0.1))
    decibels = 20 * np.log10(heard[:, 0] / 0.1)
    assert decibels.min() == pytest.approx(-6, abs=0.1)
    assert decibels.max() == pytest.approx(6, abs=0.1)
    assert decibels.mean() == pytest.approx(0, abs=0.4)


def test_noise_comes_from_every_recording_up_to_its_level(corpus: Corpus) -> None:
    heard = varied(corpus, keys(noise=0.8, noise_level=0.1), torch.zeros(1000, SIZE))
    peaks = np.abs(heard).max(axis=1)
    assert (peaks > 0).mean() == pytest.approx(0.8, abs=0.04)
    assert 0.099 < peaks.max() <= 0.1
    assert peaks[peaks > 0].mean() == pytest.approx(0.05, abs=0.004)
    assert (heard.sum(axis=1) > 0).mean() == pytest.approx(0.4, abs=0.05)


def test_noise_has_the_ratio_to_the_clip_that_is_drawn(corpus: Corpus) -> None:
    clean = torch.full((1000, SIZE), 0.01) * torch.linspace(0.5, 1.5, 1000)[:, None]
    found = varied(corpus, keys(noise=0.8, noise_measure="snr", noise_snr=(-5.0, 25.0)), clean)
    powers = np.square(found - clean.numpy()).mean(axis=1)
    noisy = powers > 0
    assert noisy.mean() == pytest.approx(0.8, abs=0.04)
    ratios = 10 * np.log10(np.square(clean.numpy()).mean(axis=1)[noisy] / powers[noisy])
    assert ratios.min() == pytest.approx(-5, abs=0.2)
    assert ratios.max() == pytest.approx(25, abs=0.2)
    assert ratios.mean() == pytest.approx(10, abs=1)


def test_digital_silence_has_no_ratio_to_noise(corpus: Corpus) -> None:
    snr = keys(noise=1.0, noise_measure="snr")
    assert not varied(corpus, snr, torch.zeros(20, SIZE)).any()


def test_a_louder_clip_stops_at_full_scale(corpus: Corpus) -> None:
    heard = varied(corpus, keys(volume=20.0), torch.full((500, SIZE), -0.5))
    assert heard.min() == -1
    assert heard.max() == pytest.approx(-0.05, abs=0.002)


def test_fresh_silence_has_the_peaks_that_are_drawn(corpus: Corpus) -> None:
    clips = corpus.partitions["training"]
    silent = [index for index, clip in enumerate(clips) if clip.label == 1]
    order = torch.tensor(silent * 100)
    peaks = np.array([0.0, 0.25, -1.0])

    def drawn(draws: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(peaks[(draws[:, 0] * 3).astype(int)])

    fresh = replace(context(corpus), silence_peaks=drawn)
    (augment,) = waveform_augmentations(keys(fresh_silence=True), fresh)
    draws = augment.draws(0, 1, len(order))
    heard = augment(torch.full((len(order), SIZE), 0.5), draws, order).numpy()
    found = np.abs(heard).max(axis=1)
    for peak in (0.0, 0.25):
        np.testing.assert_allclose(found[draws[:, 1].numpy() == peak], peak, atol=2**-15)
    recorded = found[draws[:, 1].numpy() == -1]
    assert len(np.unique(recorded)) > 100  # as recorded: the ramp where it was cut


def test_fresh_silence_is_cut_from_the_training_stretch_of_its_own_recording(
    corpus: Corpus,
) -> None:
    clips = corpus.partitions["training"]
    silent = [index for index, clip in enumerate(clips) if clip.label == 1]
    order = torch.tensor([*silent, 0] * 50)
    loud = torch.full((len(order), SIZE), 0.5)
    heard = varied(corpus, keys(fresh_silence=True), loud, clips=order)
    for index, waveform in zip(order.tolist(), heard, strict=True):
        if clips[index].label == 0:
            assert (waveform == 0.5).all()
        else:
            assert np.sign(waveform[-1]) == (1 if clips[index].path.name == "up.wav" else -1)
            assert np.abs(waveform).max() < 0.4001  # eight tenths of the ramp
    starts = {abs(waveform[0]) for waveform in heard}
    assert len(starts) > 50


def test_fresh_negatives_replace_negatives_alone(corpus: Corpus) -> None:
    plain = context(corpus)
    assert waveform_augmentations(keys(fresh_negatives=True), plain) == []
    fresh = replace(plain, negatives=(plain.background, plain.silence))
    (augment,) = waveform_augmentations(keys(fresh_negatives=True), fresh)
    order = torch.arange(len(plain.silence)).repeat(20)
    draws = augment.draws(0, 1, len(order))
    loud = torch.full((len(order), SIZE), 0.5)
    found = augment(loud, draws, order)
    sources = plain.silence[order]
    assert torch.equal(found[sources < 0], loud[sources < 0])
    cuts = plain.background.cuts(sources.clamp(min=0), draws[:, 0])
    assert torch.equal(found[sources >= 0], cuts[sources >= 0])
    assert len(found[sources >= 0][:, 0].unique()) > 100


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


def test_what_is_off_is_not_made(corpus: Corpus) -> None:
    assert waveform_augmentations(keys(), context(corpus)) == []
    assert not augmented(keys(noise_level=0.5, time_mask=3))
    assert augmented(keys(volume=1.0))
    assert augmented(keys(fresh_silence=True))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_varies_clips_alike(corpus: Corpus) -> None:
    waveforms = torch.randn(20, SIZE, generator=torch.Generator().manual_seed(0))
    found = varied(corpus, EVERYTHING, waveforms, device=torch.device("cuda"))
    np.testing.assert_allclose(found, varied(corpus, EVERYTHING, waveforms), atol=1e-3)
