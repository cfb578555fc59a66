# SPDX-License-Identifier: MPL-2.0
"""Instruments: measurements of the package."""
