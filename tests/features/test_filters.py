# SPDX-License-Identifier: MPL-2.0
"""The constants of the features are librosa's."""

import warnings

import librosa
import numpy as np
import pytest

from srnn.features.filters import hann, mel_weights, slope
from srnn.features.reference import DELTA_WIDTH


@pytest.mark.parametrize("size", [2, 31, 240, 480, 661, 2048])
def test_window(size: int) -> None:
    assert np.array_equal(hann(size), librosa.filters.get_window("hann", size))


@pytest.mark.parametrize(
    ("rate", "n_fft", "n_mels", "fmin", "fmax"),
    [
        (16_000, 480, 40, 20.0, 4000.0),
        (16_000, 480, 40, 0.0, 8000.0),
        (8_000, 240, 128, 1000.0, 4000.0),  # some bands are empty
        (44_100, 1323, 7, 1500.0, 20_000.0),
        (22_050, 101, 1, 0.0, 500.0),
    ],
)
def test_mel_bands(rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
    found = mel_weights(rate, n_fft, n_mels, fmin, fmax)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("order", range(1, 9))
def test_slopes(order: int) -> None:
    impulses = np.eye(DELTA_WIDTH)
    deltas = librosa.feature.delta(impulses, width=DELTA_WIDTH, order=order, mode="nearest")
    expected = deltas[:, DELTA_WIDTH // 2]
    np.testing.assert_allclose(slope(order), expected, atol=1e-11 * np.abs(expected).max(), rtol=0)


def test_a_delta_of_order_zero_is_the_frame() -> None:
    assert slope(0) == [1.0]
