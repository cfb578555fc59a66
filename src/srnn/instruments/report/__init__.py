# SPDX-License-Identifier: MPL-2.0
"""Reports about runs: one HTML file and its figures."""

from srnn.instruments.report.report import write_report

__all__ = ["write_report"]
