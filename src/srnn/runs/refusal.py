# SPDX-License-Identifier: MPL-2.0
"""Why a file is no checkpoint."""


class RefusedError(Exception):
    """Error: a file is no valid checkpoint."""
