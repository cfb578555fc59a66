# SPDX-License-Identifier: MPL-2.0
"""The whole picture of what a network does with one clip."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from srnn.network.activity import Activity

_WIDTH = 9.0  # inches
_SHOWN = (1.0, 0.75, 0.5)  # quantiles of the spikes of the neurons that are shown


def clip(
    samples: ArrayLike,
    sample_rate: float,
    activity: "Activity",
    labels: Sequence[str],
    step: float,
    *,
    title: str = "",
    layer: int = -1,
    neurons: Sequence[int] | None = None,
) -> Figure:
    """Draw a clip: waveform, features, events, spikes of each layer, a few neurons, the decision.

    The axes share the time. Features that are not encoded as events are drawn once.

    Parameters
    ----------
    samples : array, shape (n,)
        The waveform of the clip, as of `srnn.Recogniser.waveform`.
    sample_rate : float > 0
        Samples a second (Hz).
    activity : Activity
        What the network does, as of `srnn.Recogniser.record`.
    labels : sequence of str
        Of the classes, in their order.
    step : float > 0
        A time step (ms).
    title : str
    layer : int
        The layer whose neurons are shown, from 0; the last one by default.
    neurons : sequence of int, optional
        Which ones; by default the one with the most spikes, and two with fewer.

    Returns
    -------
    Figure
        Created under the settings of matplotlib at this moment, see `theme`.

    Raises
    ------
    InputError
        If the arrays do not fit together, or there is no such neuron.
    """
    raise NotImplementedError
