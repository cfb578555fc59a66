# SPDX-License-Identifier: MPL-2.0
"""A check of the kernels on the device that they are to run on, at their first use there.

Nobody has run the kernels on every GPU, driver and processor. Before the first use of an operator
on a device, its kernels compute small ragged cases forward and back, and the result is compared
with that of the definition on the same device. A failure of any kind (no compiler, a cache that
cannot be written, too little shared memory, a failed launch, other numbers) leads to one warning,
and the definition computes from then on. What has passed is noted in the user's cache directory for
this state of the kernels, device, driver and libraries, and is not checked again.
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

_TOLERANCE = 1e-4  # error of a value, relative to the largest of its tensor or, if that is less, 1

_log = logging.getLogger(__name__)


class _Verdicts:
    """The verdicts of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.passed: set[tuple[torch.device, Case]] = set()
        self.failed: set[torch.device] = set()


_verdicts = _Verdicts()


def passes(device: torch.device, case: Case) -> bool:
    """Return whether the kernels compute a case as the definition does, on a device.

    The first call for a case runs it, unless an earlier process has. A failure is logged as a
    warning, and no further case is tried on that device.
    """
    if (device, case) in _verdicts.passed:
        return True
    if device.type == "meta":
        return True
    if torch.compiler.is_exporting() or _is_capturing(device):
        # Neither can be left for a check: export even replaces builtins that numba compiles.
        return device not in _verdicts.failed
    with _verdicts.lock:
        if (device, case) not in _verdicts.passed and device not in _verdicts.failed:
            _check(device, case)
        return device not in _verdicts.failed


def _is_capturing(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def _check(device: torch.device, case: Case) -> None:
    """Find out whether a case passes, and remember it."""
    noted = _noted(device)
    if str(case) not in _read(noted):
        _log.debug("checking the kernels on %s: %s", device, case)
        if failure := _in_clean_thread(lambda: _failure(device, case)):
            _verdicts.failed.add(device)
            _log.warning(
                "the fast kernels have failed their check on %s and are not used, the slow "
                "definition is: %s",
                device,
                failure,
            )
            return
        _append(noted, str(case))
    _verdicts.passed.add((device, case))


prepare_torch_compiler()  # the next line imports it; the operators would at their first call
torch.compiler.assume_constant_result(passes)  # what is traced is checked while it is traced


def _failure(device: torch.device, case: Case) -> str | None:
    """Return what is wrong with the kernels of a case, or None.

    Raises
    ------
    RuntimeError
        If the device cannot compute anything any more, as after an invalid access to its memory.
    """
    here = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
    try:
        with here, full_precision():
            for neurons in SIZES:
                found = results(registration, device, case, neurons)
                expected = results(reference, device, case, neurons)
                if difference := _difference(found, expected):
                    return f"{difference} ({case}, {neurons} neurons)"
    except Exception as error:  # of any kind: compilers and drivers have their own
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


# --- Where it runs, and what is noted ------------------------------------------------------------


def _in_clean_thread(check: Callable[[], str | None]) -> str | None:
    """Call ``check`` in a thread: none of torch's modes that hold for this one holds there.

    Those are such as inference mode, autocast, the fake tensors of a trace, a default device.
    """
    outcome: list[str | BaseException | None] = []

    def run() -> None:
        try:
            outcome.append(check())
        except BaseException as error:  # raised again where it is waited for
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
    """Return what tells the kernels, the device, its driver and the libraries from others."""
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
    """Return the version of NVIDIA's driver, where the system tells."""
    try:
        return Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        return "unknown"


def _processor() -> Iterator[str]:
    """Return what LLVM makes code for: the name of the processor, and what it can do."""
    import llvmlite.binding

    yield llvmlite.binding.get_host_cpu_name()
    yield llvmlite.binding.get_host_cpu_features().flatten()


def _read(noted: Path) -> list[str]:
    try:
        return noted.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):  # none yet, or damaged: everything is checked again
        return []


def _append(noted: Path, case: str) -> None:
    try:
        noted.parent.mkdir(parents=True, exist_ok=True)
        with noted.open("a", encoding="utf-8") as file:
            file.write(f"{case}\n")
    except OSError as error:
        _log.debug("%s cannot be written (%s): checked again next time", noted, error.strerror)
