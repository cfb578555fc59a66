# SPDX-License-Identifier: MPL-2.0
"""The bench: all that is measured, section by section."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from srnn.instruments.bench.epoch import epoch_records, write_recordings
from srnn.instruments.bench.plan import Plan
from srnn.instruments.bench.report import Record, Report, machine
from srnn.instruments.bench.sound import feature_records, pack_records
from srnn.instruments.bench.training import (
    firing_records,
    growth_records,
    normalised_records,
    step_records,
)
from srnn.runs.resources import keep_freed_memory

_log = logging.getLogger(__name__)


def bench(plan: Plan, dataroot: Path | None = None) -> Report:
    """Measure everything, on the CPU and on the GPU if there is one.

    Parameters
    ----------
    plan : Plan
    dataroot : Path, optional
        Data set to pack and to train an epoch on; noise without it.

    Raises
    ------
    InputError
        If ``dataroot`` holds no data set.
    """
    keep_freed_memory()  # as in training
    devices = [torch.device("cpu")]
    if torch.cuda.is_available():
        devices.append(torch.device("cuda"))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "recordings"
        folder.mkdir()
        recordings = write_recordings(folder, plan.clips, dataroot)
        measures: dict[str, Callable[[torch.device], list[Record]]] = {
            "step": lambda device: step_records(device, plan),
            "batch_norm": lambda device: normalised_records(device, plan),
            "firing": lambda device: firing_records(device, plan),
            "growth": lambda device: growth_records(device, plan),
            "features": lambda device: feature_records(device, plan),
            "packing": lambda _: pack_records(recordings.folder),
            "epoch": lambda device: epoch_records(recordings, device, plan),
        }
        records: list[Record] = []
        for section, measure in measures.items():
            for device in devices[:1] if section == "packing" else devices:
                _log.info("measuring on %s: %s", device.type, section)
                common: Record = {"section": section, "device": device.type}
                with _quiet():
                    records += [common | record for record in measure(device)]
    return Report(machine(), records)


@contextmanager
def _quiet() -> Iterator[None]:
    """Log only warnings of the package while it is measured."""
    log = logging.getLogger("srnn")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(before)
