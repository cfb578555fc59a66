# SPDX-License-Identifier: MPL-2.0
"""The CPU's kernels, in numba: each works on a part of the batch, so that threads never meet.

All arrays are flat and contiguous, float32. A *row* is one time step of one clip; the rows of a
clip follow each other. Columns of weights are padded to whole vectors, those of spikes, currents
and gradients are not.
"""
