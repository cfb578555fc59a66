# SPDX-License-Identifier: MPL-2.0
"""The task that a data set is prepared for: the table [data], and the length of a clip."""

from dataclasses import dataclass

from srnn.data.labels import ClassKeys
from srnn.data.negatives import NegativeKeys
from srnn.data.pack.opening import PackKeys
from srnn.data.sampling import SamplingKeys
from srnn.data.silence import SilenceKeys
from srnn.data.sources.keys import SourceKeys
from srnn.data.sources.synthetic.keys import SyntheticKeys


class DataKeys(
    SamplingKeys,
    PackKeys,
    NegativeKeys,
    SyntheticKeys,
    SilenceKeys,
    ClassKeys,
    SourceKeys,
):
    """Where the recordings come from, which classes they make, and how often each is presented."""


@dataclass(frozen=True)
class Task:
    """The task that a data set is prepared for.

    Attributes
    ----------
    keys : DataKeys
    sample_rate : int > 0
        Of the clips (Hz).
    size : int > 0
        Length of a clip (samples).
    seed : int >= 0
        Decides where silence is cut, and what synthetic voices sound like.
    """

    keys: DataKeys
    sample_rate: int
    size: int
    seed: int

    @property
    def named_words(self) -> tuple[str, ...]:
        """The keywords; empty where all words are."""
        return () if self.keys.words == "all" else self.keys.words
