# SPDX-License-Identifier: MPL-2.0
from dataclasses import replace

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

from srnn.features.reference import ClipKeys, MelKeys, MelSpec, features, fit

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


def chirp(samples: int = 16_000) -> NDArray[np.float32]:
    time = np.arange(samples) / 16_000
    noise = np.random.default_rng(0).normal(size=samples)
    return (0.3 * np.sin(2 * np.pi * 900 * time**2) + 0.01 * noise).astype(np.float32)


def plainly(
    waveform: NDArray[np.float32], window: int = 480, hop: int = 160
) -> NDArray[np.float32]:
    """The paper's features of a one-second waveform, written out in librosa calls."""
    mel = librosa.feature.melspectrogram(
        y=waveform / np.abs(waveform).max(),
        sr=16_000,
        n_fft=window,
        hop_length=hop,
        n_mels=40,
        fmin=20,
        fmax=4000,
    )
    mel = np.log1p(mel / mel.max())
    maps = [mel, librosa.feature.delta(mel), librosa.feature.delta(mel, order=2)]
    return np.stack([(each / each.std(axis=1, keepdims=True)).T for each in maps])


def test_features_are_librosas() -> None:
    waveform = chirp()
    np.testing.assert_allclose(features(waveform, PAPER), plainly(waveform), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("window", "hop"), [(25, 5), (20, 10), (30, 3)])
def test_other_framings_are_librosas(window: int, hop: int) -> None:
    waveform = chirp()
    spec = MelSpec.from_keys(MelKeys(window=window, hop=hop), ClipKeys())
    np.testing.assert_allclose(
        features(waveform, spec), plainly(waveform, 16 * window, 16 * hop), rtol=1e-4, atol=1e-5
    )


def test_the_usual_features_are_the_papers() -> None:
    assert MelSpec.from_keys(MelKeys(), ClipKeys()) == PAPER


def test_loudness_does_not_matter() -> None:
    waveform = chirp()
    np.testing.assert_allclose(
        features(waveform, PAPER), features(0.01 * waveform, PAPER), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("order", range(9))
@pytest.mark.parametrize("stack", [True, False])
def test_every_order_of_deltas(order: int, stack: bool) -> None:
    spec = replace(PAPER, delta_order=order, stack=stack)
    heard = features(chirp(), spec)
    assert heard.shape == spec.shape == (order + 1 if stack else 1, 101, 40)
    assert heard.dtype == np.float32
    deepest = features(chirp(), replace(PAPER, delta_order=8))
    np.testing.assert_array_equal(heard[-1], deepest[order])


@pytest.mark.parametrize(
    "spec",
    [
        replace(PAPER, n_mels=1),
        replace(PAPER, n_mels=13, fmin=300.0, fmax=8000.0),
        replace(PAPER, size=8_000),
        replace(PAPER, size=12_345),
        replace(PAPER, size=1_280),  # nine frames: the fewest that deltas can be taken of
        replace(PAPER, size=480, delta_order=0),
        replace(PAPER, size=44_100, sample_rate=44_100, n_fft=1323, hop=441),
    ],
)
def test_any_legal_size(spec: MelSpec) -> None:
    heard = features(chirp(), spec)
    assert heard.shape == spec.shape
    assert np.isfinite(heard).all()
    deviations = heard.std(axis=1)
    assert np.all(np.isclose(deviations, 1, atol=1e-3) | (deviations < 1e-5))


def test_what_varies_by_rounding_errors_only_is_not_blown_up() -> None:
    """Over nine frames the second delta is one number, and its deviation a rounding error."""
    heard = features(chirp(), replace(PAPER, size=1_280))
    assert np.abs(heard[2]).max() < 1


def test_log_mel_is_librosas_without_any_division() -> None:
    waveform = chirp()
    mel = librosa.feature.melspectrogram(
        y=waveform, sr=16_000, n_fft=480, hop_length=160, n_mels=40, fmin=20, fmax=8000
    )
    mel = np.log(1e-6 + mel)
    maps = [mel, librosa.feature.delta(mel), librosa.feature.delta(mel, order=2)]
    expected = np.stack([each.T for each in maps])
    heard = features(waveform, replace(PAPER, kind="log_mel", fmax=8000.0))
    assert heard.dtype == np.float32
    np.testing.assert_allclose(heard, expected, rtol=1e-5, atol=1e-5)


def test_log_mel_of_silence_is_the_floor() -> None:
    heard = features(np.zeros(9_000, np.float32), replace(PAPER, kind="log_mel", floor=1e-3))
    np.testing.assert_allclose(heard[0], np.log(1e-3), rtol=1e-6)
    assert np.abs(heard[1:]).max() < 1e-12


PCEN = replace(PAPER, kind="pcen", fmax=8000.0)


def test_pcen_divides_the_power_by_its_average_over_the_past() -> None:
    """Wang et al. 2017 (https://arxiv.org/abs/1607.05666), equations 1 and 2, in a loop."""
    waveform = chirp()
    power = librosa.feature.melspectrogram(
        y=waveform, sr=16_000, n_fft=480, hop_length=160, n_mels=40, fmin=20, fmax=8000
    ).astype(np.float64)
    steps = 40.0  # 400 ms in steps of 10 ms
    b = (np.sqrt(1 + 4 * steps**2) - 1) / (2 * steps**2)  # as librosa has it
    average, expected = power[:, 0], []
    for now in power.T:
        average = (1 - b) * average + b * now
        expected.append(np.log1p(now / (1e-6 + average) ** 0.98))
    heard = features(waveform, replace(PCEN, delta_order=0))
    np.testing.assert_allclose(heard[0], expected, rtol=1e-4, atol=1e-5)


def test_pcen_of_a_steady_sound_and_of_silence() -> None:
    assert not features(np.zeros(16_000, np.float32), PCEN).any()
    noise = np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    heard = features(0.1 * noise, replace(PCEN, delta_order=0))[0]
    assert heard[30:].mean() == pytest.approx(np.log(2), abs=0.15)


def test_pcen_hardly_depends_on_the_loudness() -> None:
    noise = np.random.default_rng(0).normal(size=16_000) * np.linspace(0.2, 1, 16_000)
    quiet, loud = (features((gain * noise).astype(np.float32), PCEN) for gain in (0.03, 0.3))
    assert np.abs(quiet - loud).max() < 0.1 * np.abs(loud).max()


def test_silence_is_zeros() -> None:
    assert not features(np.zeros(16_000, np.float32), PAPER).any()


def test_a_click_is_finite() -> None:
    click = np.zeros(16_000, np.float32)
    click[8_000] = 1
    assert np.isfinite(features(click, PAPER)).all()


def test_short_waveforms_are_centred() -> None:
    assert fit(np.array([0.0, 2.0, -4.0], np.float32), 6).tolist() == [0, 0, 0.5, -1, 0, 0]
    assert fit(np.array([0.0, 2.0, -4.0], np.float32), 3).tolist() == [0, 0.5, -1]


def test_the_loudest_window_of_long_waveforms_is_kept() -> None:
    waveform = np.array([1, 1, 0, 0, 4, 3, 0, 0, 3, 4], np.float32)
    assert fit(waveform, 2).tolist() == [1, 0.75]
    assert fit(waveform, 4).tolist() == [0, 0, 1, 0.75]
