# SPDX-License-Identifier: MPL-2.0
"""Features as of speakers with longer and shorter vocal tracts: mel bands are stretched.

Jaitly and Hinton 2013 (vocal tract length perturbation), here as a linear interpolation between
bands. Unlike a change of speed it leaves time alone. There is a random number for each clip that an
epoch presents: a function of seed, epoch and place in the epoch.

Legend: B batch, C channels, T frames, M mel bands.
"""

import torch
from torch import Tensor

from srnn.randomness import Purpose, generator


class Warper:
    """Stretches the mel bands of training clips.

    Parameters
    ----------
    most : float, 0 to 0.5
        Largest stretch, either way.
    seed : int >= 0
    """

    def __init__(self, most: float, seed: int) -> None:
        self.most = most
        self._seed = seed

    def draw(self, epoch: int, count: int) -> Tensor:
        """Return the stretches of the first ``count`` clips of an epoch, shape (count,)."""
        uniform = generator(Purpose.WARPS, self._seed, epoch).random(count)
        return torch.from_numpy(1 + self.most * (2 * uniform - 1)).float()

    def __call__(self, features: Tensor, stretches: Tensor) -> Tensor:
        """Return features (B, C, T, M) whose band m is what was at m times a clip's stretch.

        The highest band stands for all above it.
        """
        batch, channels, frames, bands = features.shape
        places = torch.arange(bands, device=features.device)
        sources = (places * stretches[:, None]).clamp(max=bands - 1)  # (B, M)
        # How much of each band (rows) is in each new one (columns): (B, M, M).
        shares = (1 - (sources[:, None, :] - places[:, None]).abs()).clamp(min=0)
        by_time = features.transpose(1, 2)  # as they lie in memory
        warped = torch.bmm(by_time.reshape(batch, frames * channels, bands), shares)
        return warped.view(batch, frames, channels, bands).transpose(1, 2)
