# SPDX-License-Identifier: MPL-2.0
"""Training: batches, loss, optimizer and the loop over epochs; validation and evaluation."""
