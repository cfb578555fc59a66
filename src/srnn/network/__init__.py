# SPDX-License-Identifier: MPL-2.0
"""The network: features of a batch of clips in, log-probabilities of the labels out."""
