# SPDX-License-Identifier: MPL-2.0
"""The version of the package."""

from importlib import metadata

VERSION = metadata.version("efficient-spiking-networks")
