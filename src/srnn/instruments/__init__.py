# SPDX-License-Identifier: MPL-2.0
"""Instruments: what looks at the package and at its results, and changes neither."""
