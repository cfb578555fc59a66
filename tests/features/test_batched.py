# SPDX-License-Identifier: MPL-2.0
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from srnn.features.batched import MelFeatures
from srnn.features.reference import MelSpec, features, fit

GSC = Path(__file__).parents[3] / "shared" / "gsc"

PAPER = MelSpec(
    size=16_000,
    sample_rate=16_000,
    n_fft=480,
    hop=160,
    n_mels=40,
    fmin=20.0,
    fmax=4000.0,
    delta_order=2,
    stack=True,
)
FRAMINGS = [(400, 80), (320, 160), (480, 48), (331, 110)]  # 25/5, 20/10, 30/3 ms; odd ones
LOG_MEL = replace(PAPER, kind="log_mel", fmax=8000.0)
PCEN = replace(LOG_MEL, kind="pcen", floor=1e-5)
SPECS = [
    PAPER,
    replace(PAPER, n_mels=1),
    replace(PAPER, n_mels=13, fmin=300.0, fmax=8000.0),
    replace(PAPER, n_mels=20, fmin=0.0, delta_order=1),
    replace(PAPER, size=480, delta_order=0),  # four frames
    replace(PAPER, size=1_280),  # nine frames
    replace(PAPER, size=1_440, n_fft=1_439, hop=13),
    replace(PAPER, size=12_345, n_fft=511, hop=97),
    replace(PAPER, size=5_000, n_fft=64, hop=100, n_mels=8, fmax=8000.0),  # gaps between windows
    replace(PAPER, size=44_100, sample_rate=44_100, n_fft=1323, hop=441, n_mels=64, fmax=16_000.0),
    *(replace(PAPER, size=4_000, delta_order=order) for order in range(9)),
    *(replace(PAPER, size=4_000, delta_order=order, stack=False) for order in range(9)),
    *(replace(PAPER, n_fft=n_fft, hop=hop) for n_fft, hop in FRAMINGS),
    *(replace(PAPER, kind="log_mel", n_fft=n_fft, hop=hop) for n_fft, hop in FRAMINGS),
    *(replace(PCEN, n_fft=n_fft, hop=hop) for n_fft, hop in FRAMINGS),
    PCEN,
    replace(PCEN, pcen_time=0.02, n_mels=13, size=1_280),
    LOG_MEL,
    replace(LOG_MEL, floor=1e-7, fmax=4000.0),
    replace(LOG_MEL, floor=1.0, n_mels=13, size=1_280, delta_order=8),
]


def sounds(size: int) -> dict[str, NDArray[np.float32] | NDArray[np.int16]]:
    rng = np.random.default_rng(0)
    time = np.arange(size) / 16_000
    noise = rng.uniform(-1, 1, size)
    melody = 0.3 * np.sin(2 * np.pi * 3000 * time**2) * np.sin(40 * time) + 0.01 * noise
    click = np.zeros(size)
    click[size // 3] = -0.7
    waveforms = {
        "melody": melody,
        "noise": noise,
        "extremes": np.sign(noise),
        "click": click,
        "silence": np.zeros(size),
        "quiet": 1e-20 * melody,
        "hardly a number": 1e-42 * melody,
        "offset": np.full(size, 0.3),
        "offset with noise": 0.9 + 1e-2 * noise,
    }
    integers = {"loud": 32_767 * noise, "quiet": 3 * melody, "lowest": np.full(size, -32_768)}
    return {name: waveform.astype(np.float32) for name, waveform in waveforms.items()} | {
        f"{name} integers": waveform.astype(np.int16) for name, waveform in integers.items()
    }


def deviation(
    waveforms: NDArray[np.float32] | NDArray[np.int16], spec: MelSpec
) -> NDArray[np.float32]:
    """The largest deviation from the reference in each clip, relative to its largest feature."""
    heard = MelFeatures(spec)(torch.from_numpy(waveforms)).numpy()
    full_scale = 1 if waveforms.dtype == np.float32 else 2**15
    numbers = waveforms.astype(np.float32) / np.float32(full_scale)
    expected = np.stack([features(waveform, spec) for waveform in numbers])
    assert heard.shape == (len(waveforms), *spec.shape)
    assert heard.dtype == np.float32
    scale = np.abs(expected).max(axis=(1, 2, 3))
    worst = np.abs(heard - expected).max(axis=(1, 2, 3))
    return np.asarray(worst / np.where(scale > 0, scale, 1), np.float32)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_features_are_the_references(spec: MelSpec) -> None:
    deviations = {
        name: deviation(sound[None], spec)[0] for name, sound in sounds(spec.size).items()
    }
    assert {name: each for name, each in deviations.items() if not each < 1e-4} == {}


@pytest.mark.real_speech
@pytest.mark.skipif(not GSC.is_dir(), reason=f"{GSC} is not there")
def test_features_of_real_speech_are_the_references() -> None:
    with tarfile.open(GSC / "testing.tar") as archive:
        files = [archive.extractfile(member) for member in archive.getmembers()[::16]]
        clips = [
            soundfile.read(io.BytesIO(file.read()), dtype="int16")[0]
            for file in files
            if file is not None
        ]
    waveforms = np.stack([np.pad(clip, (0, 16_000 - len(clip))) for clip in clips])
    assert len(waveforms) > 20
    for spec in (
        PAPER,
        replace(PAPER, delta_order=8),
        replace(PAPER, n_mels=64, fmax=8000.0),
        LOG_MEL,
        PCEN,
        replace(LOG_MEL, floor=1e-7, n_mels=64),
    ):
        assert deviation(waveforms, spec).max() < 1e-4


def test_integers_and_numbers_of_any_loudness_sound_alike() -> None:
    integers = torch.from_numpy(sounds(16_000)["loud integers"])[None]
    extract = MelFeatures(PAPER)
    expected = extract(integers)
    for loudness in (1.0, 2**-15, 1e-4):
        torch.testing.assert_close(extract(integers * loudness), expected, rtol=1e-4, atol=1e-4)


def test_log_mel_keeps_the_loudness() -> None:
    integers = torch.from_numpy(sounds(16_000)["loud integers"])[None]
    extract = MelFeatures(LOG_MEL)
    loud, quiet = extract(integers), extract(integers * (0.1 / 2**15))
    difference = (loud - quiet)[0]
    torch.testing.assert_close(
        difference[0], torch.full_like(difference[0], np.log(100)), rtol=0, atol=1e-3
    )
    assert difference[1:].abs().max() < 1e-3


def test_batch_mates_do_not_matter() -> None:
    """Fifty clips are more than one part of a batch."""
    waveforms = torch.randn(50, 16_000, generator=torch.Generator().manual_seed(0))
    waveforms *= torch.logspace(-6, 2, 50)[:, None]
    extract = MelFeatures(PAPER)
    together = extract(waveforms)
    alone = torch.cat([extract(waveform) for waveform in waveforms.split(1)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    assert (together - alone).abs().max() < 1e-6 * together.abs().max()


def test_a_slice_of_a_longer_recording_is_a_waveform() -> None:
    recording = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    clips = recording.unfold(0, 16_000, 1_000)  # overlapping
    extract = MelFeatures(PAPER)
    torch.testing.assert_close(extract(clips), extract(clips.clone()))


def test_what_varies_by_rounding_errors_only_is_not_blown_up() -> None:
    """Over nine frames the second delta is one number, and its deviation a rounding error."""
    waveform = fit(sounds(1_280)["melody"].astype(np.float32), 1_280)
    heard = MelFeatures(replace(PAPER, size=1_280))(torch.from_numpy(waveform)[None])
    assert heard[0, 2].abs().max() < 1


def test_bands_between_two_frequencies_are_zeros() -> None:
    spec = replace(PAPER, fmin=3_999.0, n_mels=1)
    with pytest.warns(
        UserWarning, match="^1 of 1 mel bands stay empty: .* 480 samples, 33 Hz apart"
    ):
        extract = MelFeatures(spec)
    assert not extract(torch.ones(2, 16_000)).any()


def test_nothing_of_it_is_stored_or_learnt() -> None:
    extract = MelFeatures(PAPER)
    assert not extract.state_dict()
    assert not list(extract.parameters())
    waveforms = torch.rand(1, 16_000, requires_grad=True)
    assert not extract(waveforms).requires_grad


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_features_are_the_same_on_a_gpu() -> None:
    waveforms = torch.from_numpy(
        np.stack([sound.astype(np.float32) for sound in sounds(16_000).values()])
    )
    extract = MelFeatures(PAPER)
    expected = extract(waveforms)
    on_gpu = extract.cuda()(waveforms.cuda())
    assert on_gpu.is_cuda
    torch.testing.assert_close(on_gpu.cpu(), expected, rtol=0, atol=1e-4)
