# SPDX-License-Identifier: MPL-2.0
"""Training: configuration, data, features and network joined into a run and its results."""
