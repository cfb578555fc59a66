# SPDX-License-Identifier: MPL-2.0
"""Features: the waveform of a clip in, its normalised mel feature map out."""
