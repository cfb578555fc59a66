# SPDX-License-Identifier: MPL-2.0
"""Runs: the run directory and its files; training, resuming, evaluation and prediction."""
