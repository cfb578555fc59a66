# SPDX-License-Identifier: MPL-2.0
"""The constants of the features: window, mel bands, weights of deltas.

They are those of librosa, which is their definition. Here they are computed anew, because importing
librosa's takes as long as all else that a prediction needs.
"""

import math

import numpy as np
from numpy.typing import NDArray

from srnn.features.reference import DELTA_WIDTH

# Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above.
_LINEAR = 200 / 3  # Hz a mel
_KNEE = 1000.0  # Hz
_LOG_STEP = math.log(6.4) / 27  # of the frequency, a mel


def hann(size: int) -> NDArray[np.float64]:
    """Return the periodic Hann window, shape (size,)."""
    return (0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, size + 1)))[:-1]


def mel_weights(
    sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float
) -> NDArray[np.float32]:
    """Return the weight of each frequency in each mel band, shape (n_mels, n_fft // 2 + 1).

    Bands are triangles between the centres of their neighbours, and of equal area.

    Parameters
    ----------
    sample_rate : int (Hz)
    n_fft : int, samples of a window
    n_mels : int, bands
    fmin, fmax : float, ends of the lowest and the highest band (Hz)
    """
    frequencies = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    edges = _hertz(np.linspace(_mel(fmin), _mel(fmax), n_mels + 2))
    widths = np.diff(edges)
    distances = np.subtract.outer(edges, frequencies)
    rising = -distances[:-2] / widths[:-1, None]
    falling = distances[2:] / widths[1:, None]
    triangles: NDArray[np.float32] = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    triangles *= (2 / (edges[2:] - edges[:-2]))[:, None]
    return triangles


def slope(order: int) -> list[float]:
    """Return the weights of the frames around one in its delta, first to last.

    The delta of an order is the derivative of this order of a polynomial, of the same degree, that
    is fitted to `DELTA_WIDTH` frames (Savitzky and Golay 1964); that of order 0 is the frame.
    """
    if order == 0:
        return [1.0]
    frames = np.arange(DELTA_WIDTH) - DELTA_WIDTH // 2
    powers = np.vander(frames.astype(np.float64), order + 1, increasing=True)
    weights: list[float] = (math.factorial(order) * np.linalg.pinv(powers)[order]).tolist()
    return weights


def _mel(hertz: float) -> float:
    if hertz < _KNEE:
        return hertz / _LINEAR
    return _KNEE / _LINEAR + math.log(hertz / _KNEE) / _LOG_STEP


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    knee = _KNEE / _LINEAR
    return np.where(mel < knee, _LINEAR * mel, _KNEE * np.exp(_LOG_STEP * (mel - knee)))
