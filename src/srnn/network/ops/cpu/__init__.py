# SPDX-License-Identifier: MPL-2.0
"""The operators on a CPU: `operators` takes and returns tensors, the other modules are its kernels.

The kernels are written in numba. Each works on a part of the batch, so that threads never meet. All
arrays are flat and contiguous, float32. A *row* is one time step of one clip; the rows of a clip
follow each other. Columns of weights are padded to whole vectors, those of spikes, currents and
gradients are not.
"""
