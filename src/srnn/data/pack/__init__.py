# SPDX-License-Identifier: MPL-2.0
"""Packs: the recordings of a data set, decoded once into one memory-mapped file."""
