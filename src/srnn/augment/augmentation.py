# SPDX-License-Identifier: MPL-2.0
"""Augmentations: parameters drawn for each clip of an epoch, and a function of them.

The draws of an augmentation are a function of its name, the seed, the epoch and the place of a clip
in the epoch. Another augmentation, other batches or an interruption change none of them. They go to
the device once an epoch; nothing waits for the device afterwards.

Legend: B batch, S samples of a clip, C channels, T frames, M mel bands, n draws of a clip.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.randomness import Purpose, generator
from srnn.settings import Keys

DRAWS = 2
"""Version of the draws. Runs that were augmented with another one cannot be resumed.

1: one table of numbers for all augmentations of waveforms. 2: a stream for each augmentation.
"""


Peaks = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Maps draws in [0, 1), shape (B, 2), to the peaks of clips of silence, shape (B,)."""


class Background(Protocol):
    """Background recordings to cut from; there may be none."""

    names: list[str]

    def cuts(self, recordings: Tensor, places: Tensor, peaks: Tensor | None = None) -> Tensor:
        """Return cuts (B, S) of recordings (B,), at places (B,) in [0, 1) within them.

        They have the given peaks (B,), or by default those of the recordings.
        """


@dataclass(frozen=True)
class WaveformContext:
    """Context of waveform augmentations.

    Attributes
    ----------
    size : int
        Samples of a clip, S.
    sample_rate : int
        Samples a second (Hz).
    background : Background
        On ``device``.
    silence : Tensor, shape (clips,), int64
        For each training clip, the background recording that it is cut from; -1: it is a word.
    device : torch.device
        Where the waveforms are.
    silence_peaks : Peaks, optional
        None: all are as recorded.
    labels : Tensor, shape (clips,), int64, optional
        Label of each training clip. None: there is no class `_unknown_`.
    negatives : (Background, Tensor of shape (clips,), int64), optional
        The recordings of negatives, on ``device``, and as in ``silence`` which of them each
        training clip is cut from.
    """

    size: int
    sample_rate: int
    background: Background
    silence: Tensor
    device: torch.device
    silence_peaks: Peaks | None = None
    labels: Tensor | None = None
    negatives: tuple[Background, Tensor] | None = None


@dataclass(frozen=True)
class FeatureContext:
    """Context of feature augmentations.

    Attributes
    ----------
    masked : Tensor, shape (C, M)
        The value of each feature that normalisation turns into 0, on the device of the features.
    """

    masked: Tensor


class Augmentation(ABC):
    """One way to vary training clips.

    Attributes
    ----------
    name : str
        Decides its stream of draws. It must not change, and no two may have the same.
    keys : type
        Its keys, in the table [augment]; the first of them turns it on, if it is not 0 or false.
    mixes : bool
        Whether what becomes of a clip depends on its neighbour, see `neighbours`.
    """

    name: ClassVar[str]
    keys: ClassVar[type[Keys]]
    mixes: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def make(cls, keys: Any, context: Any) -> Self | None:
        """Return the augmentation that the keys describe; None if they turn it off.

        Parameters
        ----------
        keys : an instance of ``cls.keys``
        context : WaveformContext or FeatureContext
        """

    @abstractmethod
    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return the draws of ``count`` clips, shape (count, n), one clip after the other."""

    def draws(self, seed: int, epoch: int, count: int) -> Tensor:
        """Return the draws of the first ``count`` clips of an epoch, shape (count, n), float64."""
        rng = generator(Purpose.AUGMENTATION, seed, epoch, *self.name.encode())
        return torch.from_numpy(self.draw(rng, count))


class WaveformAugmentation(Augmentation):
    """Varies waveforms.

    Attributes
    ----------
    relabels : bool
        Whether some clips count as `_unknown_` afterwards.
    """

    relabels: ClassVar[bool] = False

    def unknown(self, draws: Tensor, clips: Tensor) -> Tensor:
        """Return which clips of a batch count as `_unknown_` afterwards, shape (B,), bool.

        It is asked of augmentations that relabel, on the host.
        """
        return torch.zeros(len(clips), dtype=torch.bool)

    @abstractmethod
    def __call__(self, waveforms: Tensor, draws: Tensor, clips: Tensor) -> Tensor:
        """Return varied waveforms, shape (B, S), float32.

        Parameters
        ----------
        waveforms : Tensor, shape (B, S), float32
            Full scale is [-1, 1).
        draws : Tensor, shape (B, n)
            On their device.
        clips : Tensor, shape (B,), int64
            Which training clips they are.
        """


class FeatureAugmentation(Augmentation):
    """Varies features, before they are normalised."""

    @abstractmethod
    def __call__(self, features: Tensor, draws: Tensor) -> Tensor:
        """Return varied features, shape (B, C, T, M); the given ones may be overwritten.

        Parameters
        ----------
        features : Tensor, shape (B, C, T, M)
            In memory frame by frame: a transposed (B, T, C, M).
        draws : Tensor, shape (B, n)
        """

    def own_weights(self, draws: Tensor) -> Tensor | None:
        """Return the weight of a clip's own label, shape (B,), float32; None: labels stay.

        The rest of the weight is that of the label of its `neighbours`.
        """
        return None


def neighbours(batch: Tensor) -> Tensor:
    """Return the mixing partners of a batch (B, ...): for each clip the one before it.

    The first one is mixed with the last.
    """
    return batch.roll(1, dims=0)


def uniform_integers(low: int, high: int, draws: Tensor) -> Tensor:
    """Return integers from low to high, both included, for draws in [0, 1)."""
    return low + (draws * (high - low + 1)).long()


def windows(waveforms: Tensor, starts: Tensor, width: int, margin: int) -> Tensor:
    """Return the windows of waveforms (B, S) at some start samples (B, w): (B, w, width).

    Beyond the ends of a waveform are zeros; no window may reach further than ``margin`` of them.
    """
    padded = torch.nn.functional.pad(waveforms, (margin, margin))
    clips = torch.arange(len(waveforms), device=waveforms.device)[:, None]
    return padded.unfold(1, width, 1)[clips, starts + margin]
