# SPDX-License-Identifier: MPL-2.0
"""The report of the benchmark: records of numbers, the machine, and tables of both."""

import json
import os
import platform
import textwrap
import time
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch

from srnn.runs.tables import text_table

Record = dict[str, str | int | float | None]

_WIDTH = 80
_CPU_INFO = Path("/proc/cpuinfo")


class Report(NamedTuple):
    """Results: the machine, and records, each with its ``section`` and ``device``."""

    machine: Record
    records: list[Record]


class _Section(NamedTuple):
    """A table: its heading; for each key of a record, the head of its column and its format."""

    heading: str
    columns: dict[str, tuple[str, str]]
    keys: int  # how many of the first columns identify a record


_SIZES = {"neurons": ("H", ""), "batch": ("B", "")}
_TIMES = {
    "forward_ms": ("forward", ".2f"),
    "step_ms": ("step", ".2f"),
    "clips_per_second": ("clips/s", ".0f"),
}
_RATES = {"rate_1": ("rate 1", ".3f"), "rate_2": ("rate 2", ".3f")}

_SECTIONS = {
    "step": _Section(
        "Forward pass, and how many times faster than that of a loop over time steps; training "
        "step (forward, loss, backward, Adam), and how many times faster than that of the loop "
        "(eager), nn.LSTM and the dense matrix products alone, each at its best number of threads "
        "(ms); peak memory of a step beyond what lasts; spikes per neuron and time step",
        {
            "backend": ("backend", ""),
            **_SIZES,
            "forward_ms": ("forward", ".2f"),
            "eager_forward_ratio": ("eager", ".1f"),
            "step_ms": ("step", ".2f"),
            "clips_per_second": ("clips/s", ".0f"),
            "eager_step_ratio": ("eager", ".1f"),
            "lstm_step_ratio": ("LSTM", ".1f"),
            "dense_step_ratio": ("dense", ".2f"),
            "peak_mib": ("MiB", ".1f"),
            **_RATES,
        },
        keys=3,
    ),
    "batch_norm": _Section(
        "The step of recurrent layers of adaptive-current neurons with batch normalisation, and "
        "how many times faster it is than with backend = reference, a loop over time steps in each "
        "layer",
        {
            **_SIZES,
            **_RATES,
            "step_ms": ("step", ".2f"),
            "clips_per_second": ("clips/s", ".0f"),
            "reference_step_ratio": ("reference", ".1f"),
            "peak_mib": ("MiB", ".1f"),
        },
        keys=2,
    ),
    "firing": _Section(
        "The step by firing rate",
        {**_SIZES, **_RATES, **_TIMES, "dense_ratio": ("dense", ".2f")},
        keys=4,
    ),
    "growth": _Section(
        "Growth with time steps T, neurons H, batch B and layers",
        {
            "growing": ("growing", ""),
            "steps": ("T", ""),
            **_SIZES,
            "layers": ("layers", ""),
            **_RATES,
            **_TIMES,
            "peak_mib": ("MiB", ".1f"),
        },
        keys=5,
    ),
    "features": _Section(
        "Features, in ms a clip",
        {
            "features": ("features", ""),
            "batch": ("B", ""),
            "clip_ms": ("ms", ".3f"),
            "librosa_ratio": ("librosa", ".1f"),
        },
        keys=2,
    ),
    "packing": _Section(
        "Packing a corpus, in ms and KiB a clip",
        {
            "use": ("use", ""),
            "clips": ("clips", ""),
            "clip_ms": ("ms", ".4f"),
            "clip_kib": ("KiB", ".1f"),
        },
        keys=1,
    ),
    "epoch": _Section(
        "The training part of an epoch: a loop over time steps with librosa in two data workers "
        "(eager), and the package's second epoch of packed recordings, features made of each "
        "batch (package) or kept in memory, as training does where they fit (kept)",
        {
            "loop": ("loop", ""),
            **_SIZES,
            "clips": ("clips", ""),
            **_RATES,
            "epoch_s": ("s", ".2f"),
            "clips_per_second": ("clips/s", ".0f"),
            "eager_ratio": ("eager", ".1f"),
        },
        keys=3,
    ),
}


def machine() -> Record:
    """Return what figures depend on: processor, cores, threads, versions, GPU if there is one."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "srnn": metadata.version("efficient-spiking-networks"),
        "time": time.strftime("%Y-%m-%d %H:%M"),
    }


def to_json(report: Report) -> str:
    """Return the machine and the records, with all their numbers, as JSON."""
    return json.dumps(report._asdict(), indent=2, allow_nan=False) + "\n"


def to_text(report: Report) -> str:
    """Return a table for each section and device, at most 80 columns wide."""
    tables = [textwrap.fill(_describe(report.machine), _WIDTH)]
    for name, section in _SECTIONS.items():
        devices = {record["device"]: None for record in report.records if record["section"] == name}
        for device in devices:
            records = [
                each
                for each in report.records
                if (each["section"], each["device"]) == (name, device)
            ]
            heading = textwrap.fill(f"On {device}. {section.heading}:", _WIDTH)
            tables.append(f"{heading}\n{_table(section, records)}")
    return "\n\n".join(tables)


def _describe(taken_on: Record) -> str:
    gpu = f", {taken_on['gpu']}" if taken_on["gpu"] else ""
    return (
        f"srnn {taken_on['srnn']}, torch {taken_on['torch']} with {taken_on['torch_threads']} "
        f"threads, {taken_on['cpu']}, {taken_on['cores']} cores{gpu}; {taken_on['time']}"
    )


def _table(section: _Section, records: list[Record]) -> str:
    columns = section.columns
    cells = [
        [head for head, _ in columns.values()],
        *([_cell(record[key], style) for key, (_, style) in columns.items()] for record in records),
    ]
    return text_table(cells, section.keys)


def _cell(value: str | float | None, style: str) -> str:
    return "-" if value is None else format(value, style)


def _cpu_model() -> str:
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
