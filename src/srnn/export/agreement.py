# SPDX-License-Identifier: MPL-2.0
"""How far the probabilities of an exported network agree with those of the package.

Legend: N clips, K labels.
"""

from typing import NamedTuple, Self

from torch import Tensor

from srnn.export.clips import Clips

# What rounding errors may do: a spike that one of them moves changes a few clips a little.
_MEDIAN = 1e-3  # of the largest difference of a probability in each clip
_FRACTION = 0.98  # of the clips with the same label


class Agreement(NamedTuple):
    """How two probabilities of the same clips agree.

    Attributes
    ----------
    clips, same : int
        Clips, and those of them with the same most probable label.
    largest, median : float
        Over the clips, of the largest difference of a probability in each.
    """

    clips: int
    same: int
    largest: float
    median: float

    @classmethod
    def of(cls, computed: Tensor, expected: Tensor) -> Self:
        """Compare probabilities, both of shape (N, K)."""
        differences = (computed - expected).abs().amax(dim=1)
        same = int((computed.argmax(dim=1) == expected.argmax(dim=1)).sum())
        return cls(len(computed), same, float(differences.max()), float(differences.median()))

    def expect(self, name: str) -> None:
        """Raise a RuntimeError unless only rounding errors tell the two apart.

        At least 98 % of the labels must be the same, and the median difference at most 1e-3.
        ``name`` is that of what was computed, for the message.
        """
        fraction = self.same / self.clips
        if not (fraction >= _FRACTION and self.median <= _MEDIAN):  # NaN is wrong, too
            raise RuntimeError(
                f"{name} computes something else than the network with its weights: expected "
                f"{_FRACTION:.0%} of the labels and a median difference of {_MEDIAN:g}, found "
                f"{fraction:.1%} and {self.median:.2g}"
            )

    def line(self, name: str, other: str = "`srnn predict`") -> str:
        """Return it on a line, for ``name`` against ``other``."""
        return (
            f"{name} against {other}: {self.same:,} of {self.clips:,} labels agree; difference of "
            f"the probabilities of a clip: largest {self.largest:.2g}, median {self.median:.2g}"
        )


def accuracy_lines(name: str, computed: Tensor, predicted: Tensor, clips: Clips) -> list[str]:
    """Return the accuracy of ``name`` and of ``srnn predict`` on a line, if it is known."""
    if clips.labels is None:
        return []
    computed_accuracy, accuracy = (
        float((each.argmax(dim=1) == clips.labels).float().mean()) for each in (computed, predicted)
    )
    return [f"accuracy: {name} {computed_accuracy:.2%}, `srnn predict` {accuracy:.2%}"]


def time_line(seconds: float, clips: Clips, sample_rate: int) -> str:
    """Return the time of a clip, and the real-time factor, given that of all clips (s)."""
    count, samples = clips.samples.shape
    each, length = seconds / count, samples / sample_rate
    return (
        f"time: {1000 * each:.2f} ms a clip of {length:g} s on this machine, real-time factor "
        f"{each / length:.4f}"
    )
