# SPDX-License-Identifier: MPL-2.0
"""Augmentation of training clips: one file each, with its keys and its own random numbers."""
