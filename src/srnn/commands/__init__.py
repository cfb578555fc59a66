# SPDX-License-Identifier: MPL-2.0
"""The commands of ``srnn``, a module for each, or for several that share what they do."""
