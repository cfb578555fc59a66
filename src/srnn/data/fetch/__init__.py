# SPDX-License-Identifier: MPL-2.0
"""Download, unpack and publish data sets atomically, by one process at a time."""
