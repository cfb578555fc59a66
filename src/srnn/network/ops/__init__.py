# SPDX-License-Identifier: MPL-2.0
"""The operators: a layer's whole sequence in one call, state in and state out."""

from srnn.network.ops.reference import alif

__all__ = ["alif"]
