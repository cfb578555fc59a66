# SPDX-License-Identifier: MPL-2.0
"""How far the probabilities of an exported network agree with those of the package.

Legend: N clips, K labels.
"""

from typing import NamedTuple, Self

from torch import Tensor

from srnn.export.clips import Chosen, Clips, probabilities
from srnn.runs.recogniser import Recogniser

# Limits of rounding errors. One that moves a spike changes the probabilities of its clip.
_MEDIAN = 1e-3  # at most: median over the clips of the largest difference of a probability
_FRACTION = 0.98  # at least: fraction of the clips with the same label


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
        """Check that the probabilities are equal, up to rounding errors.

        At least 98 % of the labels must be the same, and the median difference at most 1e-3.

        Parameters
        ----------
        name : str
            Of the exported network, for the message.

        Raises
        ------
        RuntimeError
            If they are not.
        """
        fraction = self.same / self.clips
        if not (fraction >= _FRACTION and self.median <= _MEDIAN):  # NaN is wrong, too
            raise RuntimeError(
                f"{name} computes something else than the network with its weights: expected at "
                f"least {_FRACTION:.0%} of the labels and a median difference of at most "
                f"{_MEDIAN:g}, found {fraction:.1%} and {self.median:.2g}"
            )

    def line(self, name: str, other: str = "`srnn predict`") -> str:
        """Return it on a line, for ``name`` against ``other``."""
        return (
            f"{name} against {other}: {self.same:,} of {self.clips:,} labels agree; difference of "
            f"the probabilities of a clip: largest {self.largest:.2g}, median {self.median:.2g}"
        )


class Reference(NamedTuple):
    """The clips that an exported network is compared on.

    Attributes
    ----------
    clips : Clips
    predicted : Tensor, shape (N, K)
        Their probabilities by ``srnn predict``.
    """

    clips: Clips
    predicted: Tensor

    @classmethod
    def of(cls, recogniser: Recogniser, chosen: Chosen) -> Self:
        """Classify the chosen clips; errors are those of `Chosen.clips`."""
        clips = chosen.clips(recogniser)
        return cls(clips, probabilities(recogniser, clips.samples))

    def expect_equal(self, name: str, computed: Tensor) -> list[str]:
        """Check that an exported network computes the same; errors are those of `Agreement.expect`.

        Parameters
        ----------
        name : str
            Of the exported network, for messages.
        computed : Tensor, shape (N, K)

        Returns
        -------
        list of str
            How far they agree, and the accuracy of both, if that is known.
        """
        agreement = Agreement.of(computed, self.predicted)
        agreement.expect(name)
        accuracies = accuracy_lines(name, computed, self.predicted, self.clips)
        return [agreement.line(name), *accuracies]


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
