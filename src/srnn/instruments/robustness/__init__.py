# SPDX-License-Identifier: MPL-2.0
"""Robustness: the accuracy of a network on altered recordings.

`alterations` lists the conditions, `measure` evaluates them, `report` prints and draws the result.
"""

from srnn.instruments.robustness.measure import Measurement, measure
from srnn.instruments.robustness.report import draw, to_json, to_text

__all__ = ["Measurement", "draw", "measure", "to_json", "to_text"]
