# SPDX-License-Identifier: MPL-2.0
"""Sources of data sets: a file or folder each, listed in `registry`."""
