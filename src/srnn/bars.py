# SPDX-License-Identifier: MPL-2.0
"""Progress bars on stderr."""

import os
from typing import Any

from tqdm import tqdm


def progress_bar(*arguments: Any, **options: Any) -> tqdm:
    """Return a bar of tqdm, called as it is, that is gone when it is closed.

    Nothing is shown where stderr is no terminal, or where ``TQDM_DISABLE`` is set: several
    processes that share a terminal have one show its bars.
    """
    hidden = True if os.environ.get("TQDM_DISABLE") else None  # None: unless on a terminal
    return tqdm(*arguments, leave=False, disable=hidden, **options)
