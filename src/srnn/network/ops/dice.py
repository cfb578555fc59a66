# SPDX-License-Identifier: MPL-2.0
"""What decides which values dropout sets to zero: a hash of their place and of a key.

Nothing has to be kept for the backward pass, and nothing depends on the order of the work. A value
at place i (clip by clip: of a transposed (B, T, H)) is kept where

    z = i + key[0];  z = (z ^ z >> 16) m;  z = z + key[1];  z = (z ^ z >> 15) n;  z = z ^ z >> 16

is not below a limit, all modulo 2^32; m and n are the multipliers of Chris Wellons' lowbias32.
"""

MULTIPLIERS = 0x7FEB352D, 0x846CA68B
"""m and n."""


def limit(share: float) -> int:
    """Return the limit below which a ``share`` of all z lies."""
    return min(round(share * 2**32), 2**32 - 1)


def scale(share: float) -> float:
    """Return what kept values are multiplied by, so that their mean is that of all."""
    return 1 / (1 - share)
