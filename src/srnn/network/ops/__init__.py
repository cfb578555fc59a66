# SPDX-License-Identifier: MPL-2.0
"""The operators: a layer's whole sequence in one call, state in and state out.

`reference` is their definition, `library` chooses fast kernels by device; both have the same
functions.
"""

from types import ModuleType

from srnn.network.ops import library, reference
from srnn.network.ops.threads import own_cores

BACKENDS: dict[str, ModuleType] = {"auto": library, "reference": reference}
"""``auto``: the fast kernels where there are some; ``reference``: the definition."""

__all__ = ["BACKENDS", "library", "own_cores", "reference"]
