# SPDX-License-Identifier: MPL-2.0
"""The operators on a CUDA device: `operators` launches the kernels beside, written in Triton."""
