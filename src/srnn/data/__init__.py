# SPDX-License-Identifier: MPL-2.0
"""Data: from a data root, or from nothing, to labelled clips in three partitions."""
