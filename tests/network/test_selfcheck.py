# SPDX-License-Identifier: MPL-2.0
"""The check of the kernels at their first use, and the definition where they fail."""

import itertools
import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from srnn import AdaptiveLIF
from srnn.network.neurons import NEURONS, AdaptiveCurrent, State
from srnn.network.ops import cases, library, reference, registration, selfcheck
from srnn.network.ops.cases import Case
from srnn.network.surrogate import SURROGATES

CPU = torch.device("cpu")
SWITCH = [False, True]

LAYERS = [
    Case("layer", neuron, surrogate, *switches)
    for neuron, surrogate in itertools.product(NEURONS, SURROGATES)
    for switches in itertools.product(SWITCH, SWITCH, SWITCH)
]
OTHERS = [
    *(Case("ternary", "", surrogate, gradients=g) for surrogate in SURROGATES for g in SWITCH),
    *(Case(name, gradients=g) for name in ("spike_linear", "moments") for g in SWITCH),
]


@pytest.fixture(autouse=True)
def _nothing_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(selfcheck, "_results", selfcheck._Results())
    selfcheck._noted.cache_clear()


@pytest.mark.parametrize("case", [*LAYERS, *OTHERS], ids=str)
def test_kernels_of_this_machine_pass(case: Case) -> None:
    assert selfcheck._failure(CPU, case) is None


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("case", [*LAYERS, *OTHERS], ids=str)
def test_kernels_of_this_gpu_pass(case: Case) -> None:
    assert selfcheck._failure(torch.device("cuda:0"), case) is None


@pytest.mark.parametrize("case", [case for case in LAYERS if case.surrogate == "slayer"], ids=str)
def test_no_potential_of_the_check_comes_so_near_the_threshold_that_rounding_decides(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    distances: list[Tensor] = []

    def spike(distance: Tensor, _surrogate: object) -> Tensor:
        distances.append(distance.abs().min())
        return (distance > 0).to(distance.dtype)

    monkeypatch.setattr(sys.modules[NEURONS[case.neuron].__module__], "spike", spike)
    rates = []
    for neurons in cases.SIZES:
        random = torch.Generator().manual_seed(neurons)
        drawn = cases._draw_layer(case, neurons, random)
        exact = {name: tensor.double() for name, tensor in drawn.items()}
        rates.append(cases._run_layer(reference, case, exact)["spikes"].mean().item())
    assert min(distances) > 5e-6  # ten times the rounding error of a float32 of 4
    assert all(0.04 < rate < 0.6 for rate in rates)


class OutOfResources(Exception):  # noqa: N818
    """What Triton says where a kernel needs more shared memory than there is."""


FAILURES: dict[str, tuple[Exception, str]] = {
    "compile error": (RuntimeError("PTX assembler\nsays no"), "RuntimeError: PTX assembler"),
    "cache": (PermissionError(13, "Permission denied", "/x/.triton"), "Permission denied"),
    "resources": (OutOfResources("shared memory"), "OutOfResources: shared memory"),
    "launch": (RuntimeError("CUDA error: invalid argument"), "CUDA error: invalid argument"),
    "no text": (ValueError(), "ValueError: no message"),
}


def _layer_and_inputs() -> tuple[AdaptiveLIF, Tensor]:
    torch.manual_seed(0)
    return AdaptiveLIF(7, 9, recurrent=True), 9 * torch.randn(11, 3, 7)


def _expect_definition(layer: AdaptiveLIF, inputs: Tensor) -> None:
    """Check that a layer computes, with gradients, what the definition does."""
    spikes, _ = layer(inputs)
    found = torch.autograd.grad(spikes.sum(), list(layer.parameters()))
    layer.backend = "reference"
    expected_spikes, _ = layer(inputs)
    expected = torch.autograd.grad(expected_spikes.sum(), list(layer.parameters()))
    assert torch.equal(spikes, expected_spikes)
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("what", FAILURES)
def test_where_kernels_fail_the_definition_computes_and_one_warning_says_why(
    what: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    error, reason = FAILURES[what]

    def fail(*_: object) -> object:
        raise error

    monkeypatch.setattr(registration, "layer", fail)
    layer, inputs = _layer_and_inputs()
    with caplog.at_level(logging.WARNING):
        _expect_definition(layer, inputs)
        AdaptiveLIF(5, 4)(torch.zeros(2, 1, 5))
    (record,) = caplog.records
    assert record.getMessage() == (
        "the kernels failed their check on cpu; the slow reference implementation is used: "
        f"{record.args[1]}"  # type: ignore[index]
    )
    assert reason in record.getMessage()
    assert "\n" not in record.getMessage()


def _with_changed_spikes(real: Callable[..., Any], *arguments: Any) -> tuple[Tensor, State]:
    spikes, state = real(*arguments)
    return 1.01 * spikes, state


def _with_changed_gradients(real: Callable[..., Any], *arguments: Any) -> tuple[Tensor, State]:
    inputs, *others = arguments
    spikes, state = real(inputs + 0.01 * (inputs - inputs.detach()), *others)
    return spikes, state


def _with_nan(real: Callable[..., Any], *arguments: Any) -> tuple[Tensor, State]:
    spikes, state = real(*arguments)
    return spikes, state._replace(potential=state.potential * float("nan"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_with_changed_spikes, "output spikes differs by 0.01, where the largest value is 1"),
        (_with_changed_gradients, "gradient of inputs differs by"),
        (_with_nan, "output potential differs by nan"),
    ],
)
def test_wrong_numbers_are_found(
    change: Callable[..., Any],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    real = registration.layer
    monkeypatch.setattr(registration, "layer", lambda *arguments: change(real, *arguments))
    layer, inputs = _layer_and_inputs()
    with caplog.at_level(logging.WARNING):
        _expect_definition(layer, inputs)
    (record,) = caplog.records
    assert reason in record.getMessage()


def test_a_device_that_computes_nothing_any_more_ends_it_with_advice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> object:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(registration, "layer", fail)
    monkeypatch.setattr(torch, "ones", fail)
    layer, inputs = _layer_and_inputs()
    with pytest.raises(RuntimeError, match=r"unusable .* illegal .*start again with backend"):
        layer(inputs)


def _expect_no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise AssertionError("checked again")

    monkeypatch.setattr(selfcheck, "_failure", fail)


def test_what_has_passed_is_not_checked_again_by_the_next_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    case = LAYERS[0]
    assert selfcheck.passes(CPU, case)
    (noted,) = (tmp_path / "srnn").glob("checked-*.txt")
    assert noted.read_text() == f"{case}\n"

    monkeypatch.setattr(selfcheck, "_results", selfcheck._Results())
    _expect_no_check(monkeypatch)
    assert selfcheck.passes(CPU, case)
    with pytest.raises(AssertionError, match="checked again"):
        selfcheck.passes(CPU, LAYERS[1])


@pytest.mark.parametrize("fact", ["_version", "_driver", "_processor"])
def test_another_version_driver_or_processor_is_checked_anew(
    fact: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = selfcheck._digest(CPU)
    if fact == "_driver":
        properties = type("Properties", (), {"name": "H200", "major": 9, "minor": 0})
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
        real = selfcheck._digest(torch.device("cuda"))
    monkeypatch.setattr(selfcheck, fact, lambda *_: "other")
    assert selfcheck._digest(torch.device("cuda" if fact == "_driver" else "cpu")) != real


def test_a_failure_is_not_noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(selfcheck, "_failure", lambda *_: "no")
    assert not selfcheck.passes(CPU, LAYERS[0])
    assert not list(tmp_path.rglob("checked-*"))


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"nonsense\n"])
def test_notes_that_cannot_be_read_or_written_do_no_harm(content: bytes | None) -> None:
    noted = selfcheck._noted(CPU)
    if content is None:
        noted.mkdir(parents=True)
    else:
        noted.write_bytes(content)
    assert selfcheck.passes(CPU, LAYERS[0])


def test_threads_that_come_at_once_check_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(selfcheck, "_failure", lambda *arguments: calls.append(arguments))
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: selfcheck.passes(CPU, LAYERS[0]), range(16)))
    assert len(calls) == 1


def _warnings(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_first_use_may_be_within_any_mode_of_torch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    layer, inputs = _layer_and_inputs()
    expected, _ = layer(inputs)

    def forget() -> None:
        monkeypatch.setattr(selfcheck, "_results", selfcheck._Results())
        selfcheck._noted(CPU).unlink(missing_ok=True)

    forget()
    with torch.inference_mode():
        assert torch.equal(layer(inputs)[0], expected)
    forget()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(inputs)[0], expected)
    forget()
    with torch.device("meta"):
        assert torch.equal(layer(inputs)[0], expected)
    forget()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        layer(mode.from_tensor(inputs))
    forget()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(inputs)[0], expected)
    forget()
    program = torch.export.export(layer, (inputs,))
    assert torch.equal(program.module()(inputs)[0], expected)
    assert not _warnings(caplog)


@pytest.mark.filterwarnings("ignore:.*autograd.*should not be instantiated")  # torch's own tracing
def test_what_is_compiled_after_a_failure_computes_the_definition(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    layer, inputs = _layer_and_inputs()
    monkeypatch.setattr(selfcheck, "_failure", lambda *_: "no")
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    spikes, _ = compiled(inputs)
    layer.backend = "reference"
    assert torch.equal(spikes, layer(inputs)[0])
    assert len(_warnings(caplog)) == 1


def test_a_neuron_without_kernels_is_computed_by_the_definition(
    caplog: pytest.LogCaptureFixture,
) -> None:
    library._warn_once.cache_clear()

    class Own(AdaptiveCurrent):
        name = "own"

    layer = AdaptiveLIF(5, 8, neuron=Own())
    spikes, _ = layer(9 * torch.randn(6, 3, 5))
    assert spikes.shape == (6, 3, 8)
    layer(9 * torch.randn(6, 3, 5))
    (record,) = caplog.records
    assert "no kernels for the neuron 'own'" in record.getMessage()
