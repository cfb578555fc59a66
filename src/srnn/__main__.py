# SPDX-License-Identifier: MPL-2.0
"""``python -m srnn``: the same as the command ``srnn``."""

from srnn.cli import main

main()
