# SPDX-License-Identifier: MPL-2.0
"""A check of the kernels on the device that they are to run on, at their first use there.

Nobody has run the kernels on every GPU, driver and processor. Before the first use of an operator
on a device, its kernels compute small ragged cases forward and back, and the result is compared
with that of the definition on the same device. A failure of any kind (no compiler, a cache that
cannot be written, too little shared memory, a failed launch, other numbers) leads to one warning,
and the definition computes from then on. What has passed is noted in the user's cache directory for
this state of the kernels, device, driver and libraries, and is not checked again.

Legend: T time steps, B batch, I inputs, H neurons.
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
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from srnn.caches import prepare_torch_compiler, user_cache
from srnn.network.neuron import NEURONS, AdaptiveThreshold, Neuron, State
from srnn.network.ops import reference, registration
from srnn.network.ops.precision import full_precision
from srnn.network.surrogate import SURROGATES

_STEPS, _CLIPS, _INPUTS = 6, 17, 21
_NEURONS = (200, 33, 1)

_TOLERANCE = 1e-4  # error of a value, relative to the largest of its tensor or, if that is less, 1

_log = logging.getLogger(__name__)


class Case(NamedTuple):
    """What is checked at once: a way to use an operator.

    Attributes
    ----------
    operator : "layer", "spike_linear", "moments" or "ternary"
    neuron, surrogate : str
        Their names; empty where the operator has none.
    weighted, recurrent : bool
        Of a layer: whether it has an input weight, and a recurrent weight.
    gradients : bool
        Whether there is a backward pass.
    """

    operator: str
    neuron: str = ""
    surrogate: str = ""
    weighted: bool = False
    recurrent: bool = False
    gradients: bool = False

    def __str__(self) -> str:
        return " ".join(str(each) for each in self)


class _Verdicts:
    """What has been found in this process."""

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
            for neurons in _NEURONS:
                found, expected = (_results(each, device, case, neurons) for each in _BOTH)
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


_BOTH: tuple[ModuleType, ModuleType] = (registration, reference)


def _results(
    backend: ModuleType, device: torch.device, case: Case, neurons: int
) -> dict[str, Tensor]:
    """Compute a case; return its outputs and gradients by name, on the CPU."""
    random = torch.Generator().manual_seed(neurons)
    leaves = {
        name: tensor.to(device).requires_grad_(case.gradients)
        for name, tensor in _DRAWS[case.operator](case, neurons, random).items()
    }
    outputs = _RUNS[case.operator](backend, case, leaves)
    results = {f"output {name}": output.detach() for name, output in outputs.items()}
    if case.gradients:
        loss = sum(
            (output * _integers(random, output.shape, 1 / 8).to(device)).sum()
            for output in outputs.values()
            if output.requires_grad
        )
        assert isinstance(loss, Tensor)
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        named = zip(leaves, gradients, strict=True)
        results |= {f"gradient of {name}": gradient for name, gradient in named}
    return {name: result.cpu() for name, result in results.items()}


def _difference(found: dict[str, Tensor], expected: dict[str, Tensor]) -> str | None:
    """Return which result differs, and by how much, or None."""
    for name, right in expected.items():
        largest = right.abs().max().item()
        error = (found[name] - right).abs().max().item()
        if not error <= _TOLERANCE * max(1.0, largest):  # NaN is not
            return f"{name} differs by {error:.2g}, where the largest value is {largest:.2g}"
    return None


# --- The cases -----------------------------------------------------------------------------------
#
# All numbers are small multiples of powers of two: currents are exact in whatever order they are
# added up, so that the kernels must fire exactly where the definition does.


def _integers(random: torch.Generator, shape: tuple[int, ...], unit: float) -> Tensor:
    return torch.randint(-16, 17, shape, generator=random) * unit


def _events(random: torch.Generator, inputs: int) -> Tensor:
    """Return ternary events (T, B, I), two thirds of them 0."""
    return torch.randint(-1, 2, (_CLIPS, _STEPS, inputs), generator=random).transpose(0, 1) * (
        torch.randint(2, (_STEPS, _CLIPS, inputs), generator=random) * 1.0
    )


def _draw_layer(case: Case, neurons: int, random: torch.Generator) -> dict[str, Tensor]:
    drawn = {"inputs": _events(random, _INPUTS)}
    if case.weighted:
        drawn["weight"] = _integers(random, (neurons, _INPUTS), 1 / 4)
        drawn["bias"] = _integers(random, (neurons,), 1 / 4)
    else:
        drawn["inputs"] = _integers(random, (_STEPS, _CLIPS, neurons), 1.0)
    if case.recurrent:
        drawn["recurrent_weight"] = _integers(random, (neurons, neurons), 1 / 32)
    learnable = len(NEURONS[case.neuron].learnable)
    drawn["rows"] = 0.2 + 0.7 * torch.rand(learnable, neurons, generator=random)
    drawn["spikes"] = torch.randint(2, (_CLIPS, neurons), generator=random) * 1.0
    drawn["potential"] = _integers(random, (_CLIPS, neurons), 1 / 8)
    drawn["adaptation"] = _integers(random, (_CLIPS, neurons), 1 / 8)
    return drawn


def _run_layer(backend: ModuleType, case: Case, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    kind: Callable[..., Neuron] = NEURONS[case.neuron]
    constants = (1.0, 0.5) if kind is AdaptiveThreshold else ()
    surrogate = SURROGATES[case.surrogate]
    neuron = kind(*constants, surrogate=surrogate)
    spikes, state = backend.layer(
        leaves["inputs"],
        leaves.get("weight"),
        leaves.get("bias"),
        leaves.get("recurrent_weight"),
        leaves["rows"],
        neuron,
        State(*(leaves[name] for name in State._fields)),
    )
    return {"spikes": spikes, "potential": state.potential, "adaptation": state.adaptation}


def _draw_spike_linear(case: Case, neurons: int, random: torch.Generator) -> dict[str, Tensor]:
    return {
        "spikes": _events(random, _INPUTS),
        "weight": _integers(random, (neurons, _INPUTS), 1 / 8),
        "bias": _integers(random, (neurons,), 1 / 8),
    }


def _run_spike_linear(
    backend: ModuleType, case: Case, leaves: dict[str, Tensor]
) -> dict[str, Tensor]:
    return {"product": backend.spike_linear(*leaves.values())}


def _draw_moments(case: Case, neurons: int, random: torch.Generator) -> dict[str, Tensor]:
    return {"inputs": _events(random, neurons)}


def _run_moments(backend: ModuleType, case: Case, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(zip(("mean", "covariance"), backend.moments(*leaves.values()), strict=True))


def _draw_ternary(case: Case, neurons: int, random: torch.Generator) -> dict[str, Tensor]:
    return {
        "features": _integers(random, (_STEPS, _CLIPS, neurons), 1 / 16),
        "threshold": torch.tensor(0.4),
    }


def _run_ternary(backend: ModuleType, case: Case, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"events": backend.ternary(*leaves.values(), SURROGATES[case.surrogate])}


_Draw = Callable[[Case, int, torch.Generator], dict[str, Tensor]]
_Run = Callable[[ModuleType, Case, dict[str, Tensor]], dict[str, Tensor]]

_DRAWS: dict[str, _Draw] = {
    "layer": _draw_layer,
    "spike_linear": _draw_spike_linear,
    "moments": _draw_moments,
    "ternary": _draw_ternary,
}
_RUNS: dict[str, _Run] = {
    "layer": _run_layer,
    "spike_linear": _run_spike_linear,
    "moments": _run_moments,
    "ternary": _run_ternary,
}


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
    """Return the file that says which cases have passed on a device, with these versions."""
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
