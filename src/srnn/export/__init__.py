# SPDX-License-Identifier: MPL-2.0
"""Export: a trained network as a program or a file for others than this package."""
