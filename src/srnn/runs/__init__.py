# SPDX-License-Identifier: MPL-2.0
"""Runs: the run directory and its files, and what is done with them: train, resume, use."""
