# SPDX-License-Identifier: MPL-2.0
"""How fast the package is on this machine, beside what else one could use, measured in turns.

`plan` states how much is measured; `training`, `sound` and `epoch` measure; `report` prints.
`subjects` makes what trains, `baselines` what it is compared with, `firing` has networks fire;
`timing` and `memory` measure.
"""

from srnn.instruments.bench.bench import bench
from srnn.instruments.bench.plan import FULL, QUICK, Plan
from srnn.instruments.bench.report import Report, to_json, to_text

__all__ = ["FULL", "QUICK", "Plan", "Report", "bench", "to_json", "to_text"]
