# SPDX-License-Identifier: MPL-2.0
"""Check of the kernels on a device, before their first use there.

The kernels are not tested on every GPU, driver and processor. Before the first use of an operator
on a device, its kernels compute small ragged cases, forward and backward; the results are compared
with those of the definition on this device. After any failure (no compiler, an unwritable cache,
too little shared memory, a failed launch, wrong results) one warning is logged and the definition
is used. Passed cases are stored in the user's cache directory for this version of kernels, device,
driver and libraries, and are not checked again.
"""

import functools
import hashlib
import logging
import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor

from srnn.caches import prepare_torch_compiler, user_cache
from srnn.network.ops import reference, registration
from srnn.network.ops.cases import SIZES, Case, results
from srnn.network.ops.precision import full_precision

_TOLERANCE = 1e-4  # error of a value, relative to the maximum of its tensor, at least 1

_log = logging.getLogger(__name__)


class _Results:
    """Results of the checks in this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.passed: set[tuple[torch.device, Case]] = set()
        self.failed: set[torch.device] = set()


_results = _Results()


def passes(device: torch.device, case: Case) -> bool:
    """Return whether the kernels compute a case as the definition does, on a device.

    The first call for a case runs it, unless an earlier process has. A failure is logged as a
    warning, and no further case is tried on that device.
    """
    if (device, case) in _results.passed:
        return True
    if device.type == "meta":
        return True
    if torch.compiler.is_exporting() or _is_capturing(device):
        # No check can run meanwhile: export even replaces builtins that numba compiles.
        return device not in _results.failed
    with _results.lock:
        if (device, case) not in _results.passed and device not in _results.failed:
            _check(device, case)
        return device not in _results.failed


def _is_capturing(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def _check(device: torch.device, case: Case) -> None:
    """Check a case and store the result."""
    noted = _noted(device)
    if str(case) not in _read(noted):
        _log.debug("checking the kernels on %s: %s", device, case)
        if failure := _in_clean_thread(lambda: _failure(device, case)):
            _results.failed.add(device)
            _log.warning(
                "the kernels failed their check on %s; the slow reference implementation is used: "
                "%s",
                device,
                failure,
            )
            return
        _append(noted, str(case))
    _results.passed.add((device, case))


prepare_torch_compiler()  # for whoever imports it
# Traced code is checked during the trace. `torch.compiler.assume_constant_result` sets this, but
# imports torch._dynamo, which takes a second.
passes._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _failure(device: torch.device, case: Case) -> str | None:
    """Return the failure of the kernels in a case, or None.

    Raises
    ------
    RuntimeError
        If the device has become unusable, as after an invalid memory access.
    """
    here = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
    try:
        with here, full_precision():
            for neurons in SIZES:
                found = results(registration, device, case, neurons)
                expected = results(reference, device, case, neurons)
                if difference := _difference(found, expected):
                    return f"{difference} ({case}, {neurons} neurons)"
    except Exception as error:  # compilers and drivers raise various types
        reason = f"{type(error).__name__}: {str(error).strip() or 'no message'}".splitlines()[0]
        try:
            torch.ones(1, device=device).sum().item()
        except Exception as second:
            raise RuntimeError(
                f"srnn: {device} has become unusable after a kernel failed ({reason}): start "
                "again with backend = 'reference'"
            ) from second
        return reason
    return None


def _difference(found: dict[str, Tensor], expected: dict[str, Tensor]) -> str | None:
    """Return which result differs, and by how much, or None."""
    for name, right in expected.items():
        largest = right.abs().max().item()
        error = (found[name] - right).abs().max().item()
        if not error <= _TOLERANCE * max(1.0, largest):  # NaN is not
            return f"{name} differs by {error:.2g}, where the largest value is {largest:.2g}"
    return None


# --- The thread of the check, and the stored results ---------------------------------------------


def _in_clean_thread(check: Callable[[], str | None]) -> str | None:
    """Call ``check`` in a new thread, which has none of the modes of torch of this thread.

    Such modes are inference mode, autocast, fake tensors of a trace and a default device.
    """
    outcome: list[str | BaseException | None] = []

    def run() -> None:
        try:
            outcome.append(check())
        except BaseException as error:  # raised again in the calling thread
            outcome.append(error)

    thread = threading.Thread(target=run, name="srnn-selfcheck", daemon=True)
    thread.start()
    thread.join()
    (result,) = outcome
    if isinstance(result, BaseException):
        raise result
    return result


@functools.cache
def _noted(device: torch.device) -> Path:
    """Return the file that lists the cases that passed on a device, with these versions."""
    return user_cache() / f"checked-{_digest(device)}.txt"


def _digest(device: torch.device) -> str:
    """Return a digest of the versions of kernels, device, driver and libraries."""
    sources = sorted(Path(__file__).parents[1].rglob("*.py"))
    facts = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sources]
    facts += [torch.__version__, str(torch.version.cuda), *map(_version, ("triton", "numba"))]
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts += [properties.name, f"{properties.major}.{properties.minor}", _driver()]
    else:
        facts += [platform.machine(), *_processor()]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _driver() -> str:
    """Return the version of NVIDIA's driver, or "unknown"."""
    try:
        return Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        return "unknown"


def _processor() -> Iterator[str]:
    """Yield name and features of the processor that LLVM compiles for."""
    import llvmlite.binding

    yield llvmlite.binding.get_host_cpu_name()
    yield llvmlite.binding.get_host_cpu_features().flatten()


def _read(noted: Path) -> list[str]:
    try:
        return noted.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):  # missing or damaged: all cases are checked again
        return []


def _append(noted: Path, case: str) -> None:
    try:
        noted.parent.mkdir(parents=True, exist_ok=True)
        with noted.open("a", encoding="utf-8") as file:
            file.write(f"{case}\n")
    except OSError as error:
        _log.debug("%s cannot be written (%s): checked again next time", noted, error.strerror)
