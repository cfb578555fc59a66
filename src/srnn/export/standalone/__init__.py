# SPDX-License-Identifier: MPL-2.0
"""Scripts that run without this package: Python finds no other module of it beside them."""
