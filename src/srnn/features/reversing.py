# SPDX-License-Identifier: MPL-2.0
"""Features of clips heard backwards: words that nobody says, by real voices.

They stand for all the words that training does not hear. There is a random number for each clip
that an epoch presents: a function of seed, epoch and place in the epoch.

Legend: B batch, C channels, T frames, M mel bands.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from srnn.randomness import Purpose, generator


class Reverser:
    """Turns time around in some training clips.

    Parameters
    ----------
    share : float, 0 to 1
        How probably a clip is chosen.
    orders : sequence of int, one a channel
        Orders of the time differences that the channels hold: odd ones change their sign.
    seed : int >= 0
    """

    def __init__(self, share: float, orders: Sequence[int], seed: int) -> None:
        self.share = share
        self._signs = [(-1.0) ** order for order in orders]
        self._seed = seed

    def draw(self, epoch: int, count: int) -> Tensor:
        """Return which of the first ``count`` clips of an epoch are chosen: (count,), bool."""
        uniform = generator(Purpose.REVERSALS, self._seed, epoch).random(count)
        return torch.from_numpy(uniform < self.share)

    def __call__(self, features: Tensor, chosen: Tensor) -> Tensor:
        """Return features (B, C, T, M), those of ``chosen`` clips (B,) as if heard backwards."""
        by_time = features.transpose(1, 2)  # as they lie in memory
        signs = features.new_tensor(self._signs)
        turned = by_time.flip(1) * signs[:, None]
        return torch.where(chosen[:, None, None, None], turned, by_time).transpose(1, 2)
