# SPDX-License-Identifier: MPL-2.0
"""The volume of silence: of the recordings, or of any volume, as in the official test archives."""

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from recordings import corpus_of
from srnn.data.corpus import Corpus
from srnn.data.official import with_official_silence, with_silence_of
from srnn.data.silence import AS_RECORDED, peaks_of, with_peaks
from srnn.training.waveforms import Waveforms

RATE, SIZE = 8_000, 2_000
STEP = 2.0**-15


def test_as_recorded_nothing_is_scaled() -> None:
    peaks = peaks_of("recorded", np.random.default_rng(0).random((50, 2)))
    assert (peaks == AS_RECORDED).all()
    waveforms = torch.linspace(-0.7, 0.7, 50)[:, None] * torch.ones(50, 9)
    assert torch.equal(with_peaks(waveforms, torch.from_numpy(peaks)), waveforms)


def test_official_peaks_are_log_uniform_beside_recorded_ones_and_zeros() -> None:
    peaks = peaks_of("official", np.random.default_rng(0).random((20_000, 2)))
    assert (peaks == AS_RECORDED).mean() == pytest.approx(0.25, abs=0.01)
    assert (peaks == 0).mean() == pytest.approx(0.05, abs=0.005)
    drawn = np.log(peaks[peaks > 0]) / np.log(2)  # -15 to 0
    assert drawn.min() >= -15
    assert drawn.max() < 0
    counts, _ = np.histogram(drawn, bins=15, range=(-15, 0))
    assert counts.min() > 0.85 * counts.mean()


@pytest.mark.parametrize("peak", [0.0, STEP, 0.001, 0.3, 1.0])
def test_a_scaled_clip_has_its_peak_in_steps_of_16_bits(peak: float) -> None:
    waveforms = torch.randn(3, 500, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    waveforms[1] = 0  # a clip of zeros stays zeros
    found = with_peaks(waveforms, torch.full((3,), peak, dtype=torch.float64))
    for row in (0, 2):
        assert found[row].abs().max().item() == pytest.approx(peak, abs=STEP)
    assert not found[1].any()
    assert torch.equal(found * 2**15, (found * 2**15).round())
    assert found.max() <= 1 - STEP


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for word in ("go", "_background_noise_"):
        (folder / word).mkdir()
    for speaker in range(200):
        soundfile.write(folder / "go" / f"{speaker:08x}_nohash_0.wav", np.full(100, 0.1), RATE)
    for name in ("one", "two"):
        noise = 0.2 * rng.uniform(-1, 1, 30 * RATE)
        soundfile.write(folder / "_background_noise_" / f"{name}.wav", noise, RATE)
    return corpus_of(
        folder,
        ("go", "_silence_"),
        silence_clips=(100, 20, 20),
        seed=0,
        size=SIZE,
        sample_rate=RATE,
        silence_volume="official",
    )


def peaks(corpus: Corpus, partition: str) -> NDArray[np.float64]:
    """Return the peak of every clip of silence, as it is presented."""
    clips = [clip for clip in corpus.partitions[partition] if clip.label == 1]
    waveforms = Waveforms(corpus.packs_of(partition), clips, SIZE, RATE)
    found = waveforms[torch.arange(len(clips))].numpy().astype(np.float64)
    return np.asarray(np.abs(found).max(axis=1) / 2**15)


def test_clips_of_silence_have_the_peaks_that_were_drawn(corpus: Corpus) -> None:
    clips = [clip for clip in corpus.partitions["training"] if clip.label == 1]
    drawn = np.array([clip.peak for clip in clips])
    found = peaks(corpus, "training")
    assert len(clips) == 100
    recorded = drawn == AS_RECORDED
    np.testing.assert_allclose(found[~recorded], drawn[~recorded], atol=STEP)
    np.testing.assert_allclose(found[recorded], 0.2, atol=0.01)
    assert 10 < recorded.sum() < 40


def test_silence_of_the_official_protocol_depends_on_no_seed(corpus: Corpus) -> None:
    once = with_official_silence(corpus, "validation", SIZE, RATE)
    silence = [clip for clip in once.partitions["validation"] if clip.label == 1]
    words = [clip for clip in corpus.partitions["validation"] if clip.label == 0]
    assert len(silence) == 200  # of two recordings
    assert len(once.partitions["validation"]) == len(words) + 200
    assert once.partitions["training"] == corpus.partitions["training"]
    assert with_official_silence(once, "validation", SIZE, RATE) == once
    begin, end = 24 * RATE, 27 * RATE  # of the validation stretch
    assert all(begin <= clip.start and clip.start + clip.frames <= end for clip in silence)


@pytest.mark.parametrize("peak", [0.0, 0.01, 0.5])
def test_silence_of_one_peak(corpus: Corpus, peak: float) -> None:
    silence = with_silence_of(corpus, "validation", SIZE, RATE, peak)
    assert len(silence.partitions["validation"]) == 200
    np.testing.assert_allclose(peaks(silence, "validation"), peak, atol=STEP)
