# SPDX-License-Identifier: MPL-2.0
"""The encoder: real-valued features in, ternary events out."""

from typing import Literal

import torch
from torch import Tensor, nn

from srnn.network.learnable import Learnable
from srnn.network.ops import BACKENDS
from srnn.network.surrogate import MULTI_GAUSSIAN, Surrogate
from srnn.settings import Keys, key


class EncoderKeys(Keys):
    """The encoding of the features."""

    encoder: Literal["ternary", "none"] = key(
        "ternary",
        "input encoding: `ternary`, events of -1, 0 and 1 from a learnable threshold on the "
        "features; `none`, the features themselves as an input current",
        shapes_weights=True,
    )
    encoder_threshold: float = key(
        0.05,
        "initial threshold of the ternary encoder, on the normalised features",
        ge=0,
        le=1000,
        idle_if={"srnn.encoder": "none"},
    )


class TernaryEncoder(nn.Module):
    """Turns each feature into an event: +1 above a threshold, -1 below its negative, else 0.

    The threshold is one learnable scalar (Yin, Corradi and Bohté 2021, as implemented by them).

    Parameters
    ----------
    threshold : float >= 0
        Where the threshold starts, in units of the normalised features.
    surrogate : Surrogate
        Stands in for the derivative of both steps.
    backend : "auto" or "reference"
        See `srnn.network.ops.BACKENDS`.
    """

    def __init__(
        self,
        threshold: float = 0.05,
        surrogate: Surrogate = MULTI_GAUSSIAN,
        *,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.backend = backend
        self.threshold = nn.Parameter(torch.tensor(threshold))
        self.surrogate = surrogate

    def learnables(self) -> dict[str, Learnable]:
        """Return the optimizer group of the threshold."""
        return {"threshold": Learnable("encoder")}

    def forward(self, features: Tensor) -> Tensor:
        """Map features of any shape to events of the same shape and type."""
        events: Tensor = BACKENDS[self.backend].ternary(features, self.threshold, self.surrogate)
        return events
