# SPDX-License-Identifier: MPL-2.0
"""Memory of a training step beyond weights, gradients and Adam's moments."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from srnn.instruments.bench.subjects import Case, fresh_network, make_batch, make_subjects
from srnn.instruments.bench.timing import finish, in_fresh_process
from srnn.network.model import SpikingNetwork

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_MEBIBYTE = 2**20


def step_memory(subject: str, case: Case, network: SpikingNetwork) -> float | None:
    """Return the peak memory of a training step (MiB), less what was held before it.

    On CUDA what torch has allocated on the device. On the CPU the resident memory of a fresh
    process that has done a step on a single clip before, as Linux records it; None elsewhere.

    Parameters
    ----------
    subject : str
        A name that `make_subjects` gives.
    case : Case
    network : SpikingNetwork
        That of the case.
    """
    weights = {name: value.cpu().numpy() for name, value in network.state_dict().items()}
    arguments = (subject, case, weights, torch.get_num_threads())
    if case.device.type == "cuda":
        return _measure(*arguments)
    return in_fresh_process(_measure, *arguments) if _RESET.exists() else None


def _measure(
    subject: str, case: Case, weights: dict[str, NDArray[np.float32]], threads: int
) -> float:
    torch.set_num_threads(threads)
    network = fresh_network(case)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    trained = make_subjects(network, case)[subject]
    features, labels = make_batch(case)
    peak = _cuda_peak if case.device.type == "cuda" else _resident_peak
    with trained.regimes[-1]():
        trained.step(features[:1], labels[:1])
        return peak(lambda: trained.step(features, labels), case.device) / _MEBIBYTE


def _cuda_peak(work: Callable[[], object], device: torch.device) -> int:
    finish(device)
    torch.cuda.reset_peak_memory_stats(device)
    held = torch.cuda.memory_allocated(device)
    work()
    finish(device)
    return torch.cuda.max_memory_allocated(device) - held


def _resident_peak(work: Callable[[], object], _device: torch.device) -> int:
    _RESET.write_text("5")  # the recorded peak becomes what is resident now
    held = _status("VmRSS")
    work()
    return _status("VmHWM") - held


def _status(key: str) -> int:
    """Return an entry of the process's status (bytes)."""
    lines = _STATUS.read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024
