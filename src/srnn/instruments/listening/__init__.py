# SPDX-License-Identifier: MPL-2.0
"""Listening: keywords in sounds of any length."""
