# SPDX-License-Identifier: MPL-2.0
"""The picture of what a network does with one clip, given the network."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from srnn import plot
from srnn.runs.recogniser import Recogniser

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture(recogniser: Recogniser, samples: NDArray[np.float32], title: str = "") -> "Figure":
    """Draw waveform, features, spikes, potentials and decision for samples (n,) of a clip.

    See `srnn.plot.clip`. It is created under the settings of matplotlib at this moment.
    """
    return plot.clip(
        samples,
        recogniser.config.srnn.sample_rate,
        recogniser.record(samples),
        recogniser.labels,
        recogniser.step,
        title=title,
    )
