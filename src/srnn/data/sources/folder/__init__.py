# SPDX-License-Identifier: MPL-2.0
"""Folders of words, `WORD/FILE` or `WORD/SPEAKER/FILE`, as Speech Commands is one."""
