# SPDX-License-Identifier: MPL-2.0
"""The Triton kernels on CPU tensors, by Triton's interpreter; `test_triton` runs this file.

The interpreter is chosen by an environment variable before Triton is imported, for a whole process.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import layer_parity
import pytest
import torch
import triton.language as tl
from layer_parity import ALL_FIRE, SILENT, draw
from triton.compiler import CompilationError
from triton.runtime import interpreter
from triton.runtime.errors import OutOfResources

from srnn import AdaptiveLIF
from srnn.network.encoder import TernaryEncoder
from srnn.network.neurons import NEURONS
from srnn.network.ops import selfcheck
from srnn.network.ops.cases import Case
from srnn.network.ops.cuda import operators as cuda
from srnn.network.ops.signatures import OPERATORS, Gram, Ternary, TernaryBackward
from srnn.network.surrogate import SURROGATES


@pytest.fixture(autouse=True)
def _plain_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work around the interpreter's loop bounds, which numpy 2.4 does not take as integers."""
    convert = interpreter._implicit_cvt

    def convert_all(value: object) -> object:
        return tl.constexpr(value) if isinstance(value, int) else convert(value)

    monkeypatch.setattr(interpreter, "_implicit_cvt", convert_all)


# 200 neurons are two blocks, the second cut; 17 clips are two programs.
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("size", [(1, 1, 1), (5, 3, 12), (7, 17, 33), (4, 3, 200)])
@pytest.mark.parametrize("kind", NEURONS)
def test_layer_agrees_with_the_definition(
    kind: str, size: tuple[int, int, int], recurrent: bool
) -> None:
    layer_parity.check(draw(cuda, *size, kind=kind, recurrent=recurrent))


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("kind", NEURONS)
def test_every_surrogate_agrees_with_the_definition(kind: str, surrogate: str) -> None:
    layer_parity.check(draw(cuda, 4, 2, 9, kind=kind, surrogate=surrogate))


@pytest.mark.parametrize(("level", "rate"), [(SILENT, 0.0), (ALL_FIRE, 1.0)])
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("kind", NEURONS)
def test_layers_that_never_and_always_fire_agree(
    kind: str, recurrent: bool, level: float, rate: float
) -> None:
    case = draw(cuda, 4, 3, 20, kind=kind, recurrent=recurrent, level=level)
    assert layer_parity.check(case) == rate


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("kind", NEURONS)
def test_two_halves_continue_each_other(kind: str, recurrent: bool) -> None:
    case = draw(cuda, 6, 3, 20, kind=kind, recurrent=recurrent)
    spikes, potentials, potential, adapted = layer_parity.forward(case)
    first, _, *middle = layer_parity.forward(replace(case, current=case.current[:2]))
    layer = replace(case.layer, spikes0=first[-1], potential0=middle[0], adaptation0=middle[1])
    second, *end = layer_parity.forward(replace(case, current=case.current[2:], layer=layer))
    assert torch.equal(torch.cat([first, second]), spikes)
    assert all(map(torch.equal, end, (potentials[2:], potential, adapted)))


@pytest.mark.parametrize("recurrent", [False, True])
def test_without_a_potentials_the_rest_is_the_same(recurrent: bool) -> None:
    case = draw(cuda, 4, 3, 20, recurrent=recurrent)
    spikes, _, *state = layer_parity.forward(case)
    same_spikes, potentials, *same_state = layer_parity.forward(case, keep_potentials=False)
    assert potentials.numel() == 0
    assert torch.equal(spikes, same_spikes)
    assert all(map(torch.equal, state, same_state))


@pytest.mark.parametrize("recurrent", [False, True])
def test_the_layout_of_the_inputs_does_not_matter(recurrent: bool) -> None:
    case = draw(cuda, 4, 3, 20, recurrent=recurrent)
    ones = case.gradients[0].new_ones(()).expand(4, 3, 20)  # what the gradient of a sum looks like
    other = replace(
        case,
        current=case.current.contiguous(),
        gradients=(ones, *case.gradients[1:]),
    )
    dense = replace(case, gradients=(ones.contiguous(), *case.gradients[1:]))
    spikes, potentials, *_ = layer_parity.forward(case)
    assert torch.equal(layer_parity.forward(other)[0], spikes)
    expected = layer_parity.backward(dense, spikes, potentials)
    found = layer_parity.backward(other, spikes.contiguous(), potentials.contiguous())
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())


def test_sums_of_products_are_those_of_the_deviations() -> None:
    inputs = torch.randn(5, 4, 7).transpose(0, 1)
    total, scatter = cuda.gram(Gram(inputs))
    vectors = inputs.double().flatten(0, 1)
    deviations = vectors - vectors.mean(dim=0)
    torch.testing.assert_close(total, vectors.sum(dim=0).float())
    torch.testing.assert_close(scatter, (deviations.t() @ deviations).float())


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_encoder_agrees_with_the_definition(surrogate: str) -> None:
    torch.manual_seed(0)
    encoder = TernaryEncoder(0.3, SURROGATES[surrogate], backend="reference").double()
    features = torch.randn(3, 5, 7, 11).transpose(1, 2)  # 1155: two programs
    exact = features.double().requires_grad_()
    gradient = torch.randn(features.shape)
    events = encoder(exact)
    expected = torch.autograd.grad(events, [exact, encoder.threshold], gradient.double())

    threshold = torch.tensor(0.3)
    assert torch.equal(cuda.ternary(Ternary(features, threshold, surrogate)), events.float())
    found = cuda.ternary_backward(TernaryBackward(gradient, features, threshold, surrogate))
    for here, there in zip(found, expected, strict=True):
        torch.testing.assert_close(here.double(), there, rtol=1e-5, atol=1e-6)


@pytest.fixture
def _instead_of_the_cpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Register the Triton kernels for CPU tensors, with nothing checked yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(selfcheck, "_results", selfcheck._Results())
    selfcheck._noted.cache_clear()
    with torch.library._scoped_library("srnn", "IMPL") as library, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Warning only once")  # of what is replaced
        for name, (arguments, _) in OPERATORS.items():
            kernel = _unpacked(getattr(cuda, name), arguments)
            library.impl(name, kernel, "CPU", allow_override=True)
        yield


def _unpacked(kernel: Callable[[Any], Any], arguments: type[Any]) -> Callable[..., Any]:
    return lambda *values: kernel(arguments(*values))


@pytest.mark.usefixtures("_instead_of_the_cpus")
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("kind", NEURONS)
def test_layers_pass_the_check_at_first_use(kind: str, recurrent: bool) -> None:
    case = Case("layer", kind, "multi_gaussian", weighted=True, recurrent=recurrent, gradients=True)
    assert selfcheck._failure(torch.device("cpu"), case) is None


@pytest.mark.usefixtures("_instead_of_the_cpus")
@pytest.mark.parametrize("operator", ["spike_linear", "moments", "ternary"])
def test_other_operators_pass_the_check_at_first_use(operator: str) -> None:
    case = Case(operator, surrogate="slayer", gradients=True)
    assert selfcheck._failure(torch.device("cpu"), case) is None


@pytest.mark.usefixtures("_instead_of_the_cpus")
@pytest.mark.parametrize(
    "error",
    [
        OutOfResources(200_000, 101_376, "shared memory"),
        CompilationError("source", None, "no such instruction"),
        PermissionError(13, "Permission denied", "/nowhere/.triton"),
        RuntimeError("CUDA error: invalid configuration argument"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_where_triton_fails_the_definition_computes(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> object:
        raise error

    monkeypatch.setattr(cuda, "_kernels", fail)
    layer, inputs = AdaptiveLIF(7, 9, recurrent=True), 9 * torch.randn(11, 3, 7)
    spikes, _ = layer(inputs)
    spikes.sum().backward()
    layer.backend = "reference"
    assert torch.equal(spikes, layer(inputs)[0])
    (record,) = caplog.records
    assert type(error).__name__ in record.getMessage()


@pytest.mark.usefixtures("_instead_of_the_cpus")
def test_a_kernel_that_computes_something_else_is_found(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    halves = cuda._halves
    monkeypatch.setattr(cuda, "_halves", lambda weight, padded: halves(weight.t(), padded))
    layer = AdaptiveLIF(7, 9, recurrent=True)
    layer(9 * torch.randn(11, 3, 7))
    (record,) = caplog.records
    assert "differs by" in record.getMessage()
