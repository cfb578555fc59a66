# SPDX-License-Identifier: MPL-2.0
"""Words spoken by synthetic voices."""
