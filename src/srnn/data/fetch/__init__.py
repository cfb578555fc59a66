# SPDX-License-Identifier: MPL-2.0
"""Download, unpack and publish what comes from elsewhere: whole, once, or not at all."""
