# SPDX-License-Identifier: MPL-2.0
"""Why a file is no checkpoint."""


class RefusedError(Exception):
    """What was found instead of a checkpoint."""
