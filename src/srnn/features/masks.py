# SPDX-License-Identifier: MPL-2.0
"""Masks over features: stretches of time and ranges of bands that a network must do without.

Park et al. 2019 (SpecAugment, https://arxiv.org/abs/1904.08779), without its warping of time. The
random numbers are a table with a row for each clip that an epoch presents: a function of seed,
epoch and place in the epoch.

Legend: B batch, C channels, T frames, M mel bands, n masks.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from srnn.randomness import Purpose, generator


@dataclass(frozen=True)
class Masking:
    """How many masks a clip gets, and how wide they may be.

    Attributes
    ----------
    time_masks, band_masks : int >= 0
        How many over time, over all bands, and over bands, at all times.
    time_mask, band_mask : int >= 0
        Most frames, and most bands, that one covers; the least is none.
    """

    time_masks: int = 0
    time_mask: int = 0
    band_masks: int = 0
    band_mask: int = 0

    @property
    def count(self) -> int:
        """Masks on a clip."""
        return self.time_masks + self.band_masks


class Masker:
    """Covers parts of the features of training clips.

    Parameters
    ----------
    masking : Masking
    fill : Tensor, shape (C, M)
        What stands where a mask is, on the device of the features.
    seed : int >= 0
    """

    def __init__(self, masking: Masking, fill: Tensor, seed: int) -> None:
        self.masking = masking
        self._fill = fill[:, None]
        self._seed = seed

    def draw(self, epoch: int, count: int) -> Tensor:
        """Return the random numbers of the first ``count`` clips of an epoch, a row each."""
        rng = generator(Purpose.MASKS, self._seed, epoch)
        return torch.from_numpy(rng.random((count, 2 * self.masking.count)))

    def __call__(self, features: Tensor, rows: Tensor) -> Tensor:
        """Cover parts of the features of some clips, in place; return them.

        Parameters
        ----------
        features : Tensor, shape (B, C, T, M)
        rows : Tensor, shape (B, ...)
            The clips' rows of `draw`.
        """
        masking, (_, _, frames, bands) = self.masking, features.shape
        over_time, over_bands = rows.tensor_split([2 * masking.time_masks], dim=1)
        times = _covered(over_time, masking.time_mask, frames)  # (B, T)
        ranges = _covered(over_bands, masking.band_mask, bands)  # (B, M)
        covered = times[:, :, None] | ranges[:, None, :]
        return torch.where(covered[:, None], self._fill, features, out=features)


def _covered(rows: Tensor, most: int, length: int) -> Tensor:
    """Return which of ``length`` places masks cover, shape (B, length).

    A row holds two numbers in [0, 1) for each mask: how wide it is, and where.
    """
    widths = (rows[:, 0::2, None] * (min(most, length) + 1)).floor()  # (B, n, 1)
    starts = (rows[:, 1::2, None] * (length - widths + 1)).floor()
    places = torch.arange(length, device=rows.device)
    return ((places >= starts) & (places < starts + widths)).any(dim=1)
