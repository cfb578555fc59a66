# SPDX-License-Identifier: MPL-2.0
"""Benchmark of the package on this machine against alternatives, measured in turns.

`plan` states how much is measured; `training`, `sound` and `epoch` measure; `report` prints.
`subjects` makes the networks, `baselines` the alternatives, `firing` sets firing rates;
`timing` and `memory` measure.
"""

from srnn.instruments.bench.bench import bench
from srnn.instruments.bench.plan import FULL, QUICK, Plan
from srnn.instruments.bench.report import Report, to_json, to_text

__all__ = ["FULL", "QUICK", "Plan", "Report", "bench", "to_json", "to_text"]
