# SPDX-License-Identifier: MPL-2.0
"""Efficient Spiking Networks: adaptive spiking recurrent networks that recognise keywords.

``load(RUN)`` loads what ``srnn`` has trained; `AdaptiveLIF` is the layer for networks of one's own,
`own_cores` what to train them in on a CPU.
"""

from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srnn.network.layers import AdaptiveLIF
    from srnn.network.ops import own_cores
    from srnn.training.recogniser import load

__all__ = ["AdaptiveLIF", "load", "own_cores"]
__version__ = metadata.version("efficient-spiking-networks")


def __getattr__(name: str) -> Any:
    """Import on first use what needs torch: ``srnn --help`` should not wait for it."""
    match name:
        case "AdaptiveLIF":
            from srnn.network.layers import AdaptiveLIF

            return AdaptiveLIF
        case "own_cores":
            from srnn.network.ops import own_cores

            return own_cores
        case "load":
            from srnn.training.recogniser import load

            return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
