# SPDX-License-Identifier: MPL-2.0
"""The CPU's kernels against the definition in float64."""

from collections.abc import Callable
from dataclasses import replace

import layer_parity
import pytest
import torch
import torch.nn.functional as F
from layer_parity import ALL_FIRE, SILENT, draw
from torch import Tensor

from srnn.network.neurons import NEURONS
from srnn.network.ops import library, reference, threads
from srnn.network.ops.cpu import operators as cpu
from srnn.network.ops.cuda import operators as cuda
from srnn.network.ops.signatures import (
    Gram,
    Layer,
    SpikeLinear,
    SpikeLinearBackward,
    Ternary,
    TernaryBackward,
)
from srnn.network.surrogate import SURROGATES


@pytest.fixture(params=[1, 3], ids=["one thread", "three threads"], autouse=True)
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "thread_count", lambda: request.param)


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("neurons", [1, 12, 100, 256, 300])
@pytest.mark.parametrize(("steps", "batch"), [(1, 5), (63, 32), (101, 1), (3, 61)])
@pytest.mark.parametrize("kind", NEURONS)
def test_layer_agrees_with_the_definition(
    kind: str, steps: int, batch: int, neurons: int, recurrent: bool
) -> None:
    case = draw(cpu, steps, batch, neurons, kind=kind, recurrent=recurrent)
    # A single neuron has sums of both signs that nearly cancel.
    layer_parity.check(case, tolerance=1e-4 if neurons == 1 else 3e-5)


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("kind", NEURONS)
def test_every_surrogate_agrees_with_the_definition(kind: str, surrogate: str) -> None:
    layer_parity.check(draw(cpu, 9, 7, 33, kind=kind, surrogate=surrogate))


@pytest.mark.parametrize(("level", "rate"), [(SILENT, 0.0), (ALL_FIRE, 1.0)])
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("kind", NEURONS)
def test_layers_that_never_and_always_fire_agree(
    kind: str, recurrent: bool, level: float, rate: float
) -> None:
    case = draw(cpu, 4, 9, 20, kind=kind, recurrent=recurrent, level=level)
    assert layer_parity.check(case) == rate


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("kind", NEURONS)
def test_two_halves_continue_each_other(kind: str, recurrent: bool) -> None:
    case = draw(cpu, 6, 3, 20, kind=kind, recurrent=recurrent)
    spikes, potentials, potential, adapted = layer_parity.forward(case)
    first, _, *middle = layer_parity.forward(replace(case, current=case.current[:2]))
    layer = replace(case.layer, spikes0=first[-1], potential0=middle[0], adaptation0=middle[1])
    rest = replace(case, current=case.current[2:], layer=layer)
    second, *end = layer_parity.forward(rest)
    assert torch.equal(torch.cat([first, second]), spikes)
    assert all(map(torch.equal, end, (potentials[2:], potential, adapted)))


def test_without_a_potentials_the_rest_is_the_same() -> None:
    case = draw(cpu, 4, 3, 20)
    spikes, _, *state = layer_parity.forward(case)
    same_spikes, potentials, *same_state = layer_parity.forward(case, keep_potentials=False)
    assert potentials.numel() == 0
    assert torch.equal(spikes, same_spikes)
    assert all(map(torch.equal, state, same_state))


def test_the_layout_of_the_inputs_does_not_matter() -> None:
    case = draw(cpu, 4, 3, 20)
    ones = torch.ones(()).expand(4, 3, 20)  # what the gradient of a sum looks like
    dense = replace(case, gradients=(ones.contiguous(), *case.gradients[1:]))
    other = replace(dense, current=case.current.contiguous(), gradients=(ones, *case.gradients[1:]))
    spikes, potentials, *_ = layer_parity.forward(case)
    assert torch.equal(layer_parity.forward(other)[0], spikes)
    expected = layer_parity.backward(dense, spikes, potentials)
    found = layer_parity.backward(other, spikes.contiguous(), potentials.contiguous())
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())


@pytest.mark.parametrize("minimum", [1, 7, 100])
def test_parts_cover_all_items_once_and_their_results_are_in_order(minimum: int) -> None:
    for count in (1, 2, 7, 8, 48, 61, 1000):
        parts = threads.in_parallel(lambda first, last: (first, last), count, minimum)
        assert [item for part in parts for item in range(*part)] == list(range(count))
        assert len(parts) == 1 or min(last - first for first, last in parts) >= min(minimum, count)


def test_a_failure_in_a_part_is_raised() -> None:
    def work(first: int, last: int) -> None:
        if last == 60:
            raise ValueError("the last part")

    with pytest.raises(ValueError, match="the last part"):
        threads.in_parallel(work, 60, 1)


def test_gradients_are_the_same_bits_every_time() -> None:
    case = draw(cpu, 21, 61, 100)
    spikes, potentials, *_ = layer_parity.forward(case)
    expected = layer_parity.backward(case, spikes, potentials)
    for _ in range(3):
        found = layer_parity.backward(case, spikes, potentials)
        assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize(
    ("steps", "batch", "inputs", "neurons"), [(5, 11, 7, 33), (101, 3, 120, 64)]
)
@pytest.mark.parametrize("kind", NEURONS)
def test_a_layer_with_its_weights_is_the_product_and_the_layer(
    kind: str, steps: int, batch: int, inputs: int, neurons: int, recurrent: bool
) -> None:
    case = draw(cpu, steps, batch, neurons, kind=kind, recurrent=recurrent)
    x, weight, bias = (
        _ternary(steps, batch, inputs),
        torch.randn(neurons, inputs),
        case.current[0, 0],
    )
    current = cpu.spike_linear(SpikeLinear(x, weight, bias))
    spikes, potentials, *state = layer_parity.forward(replace(case, current=current))
    arguments = Layer(x, weight, bias, keep_potentials=True, **case.layer.arguments)
    same_spikes, same_potentials, *same_state = cpu.alif(arguments)
    assert torch.equal(spikes, same_spikes)
    assert torch.equal(potentials, same_potentials)
    assert all(map(torch.equal, state, same_state))

    expected = layer_parity.backward(case, spikes, potentials)
    found = layer_parity.backward(case, spikes, potentials, inputs=x, weight=weight)
    product = cpu.spike_linear_backward(
        SpikeLinearBackward(expected["current"], x, weight, True, True)
    )
    rest = [value for name, value in expected.items() if name not in ("current", "weight", "bias")]
    for here, there in zip(found.values(), [*product, *rest], strict=True):
        assert here.shape == there.shape
        if here.numel():
            _close(here, there)


def _ternary(*shape: int) -> Tensor:
    return torch.randint(-1, 2, shape).float()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("values", [_ternary, torch.randn, torch.zeros])
@pytest.mark.parametrize(
    ("steps", "batch", "inputs", "outputs"),
    [(1, 1, 1, 1), (7, 1, 5, 3), (13, 32, 300, 12), (101, 5, 120, 256), (64, 3, 33, 130)],
)
def test_product_with_spikes_agrees_with_the_definition(
    steps: int, batch: int, inputs: int, outputs: int, values: Callable[..., Tensor], bias: bool
) -> None:
    torch.manual_seed(0)
    spikes = values(steps, batch, inputs)
    parameters = [torch.randn(outputs, inputs), *([torch.randn(outputs)] if bias else [])]
    grad = torch.randn(steps, batch, outputs)
    leaves = [each.double().requires_grad_() for each in (spikes, *parameters)]
    product = F.linear(*leaves)
    expected = torch.autograd.grad(product, leaves, grad.double())

    given = SpikeLinear(spikes, parameters[0], parameters[1] if bias else None)
    _close(cpu.spike_linear(given), product)
    found = cpu.spike_linear_backward(SpikeLinearBackward(grad, spikes, parameters[0], True, True))
    for here, there in zip(found, expected, strict=False):
        _close(here, there)


def test_gradients_of_a_product_that_nobody_wants_are_not_computed() -> None:
    arguments = torch.randn(3, 2, 4), _ternary(3, 2, 5), torch.randn(4, 5)
    all_of_them = cpu.spike_linear_backward(SpikeLinearBackward(*arguments, True, True))
    for wanted in ((True, False), (False, True)):
        spikes, weight, bias = cpu.spike_linear_backward(SpikeLinearBackward(*arguments, *wanted))
        assert spikes.numel() == 0 or torch.equal(spikes, all_of_them[0])
        assert weight.numel() == 0 or torch.equal(weight, all_of_them[1])
        assert (bool(spikes.numel()), bool(weight.numel()), bool(bias.numel())) == (
            *wanted,
            wanted[1],
        )


@pytest.mark.parametrize("density", [0.0, 0.03, 0.2, 1.0])
@pytest.mark.parametrize("inputs", [1, 33, 120])
def test_moments_agree_with_the_definition(inputs: int, density: float) -> None:
    torch.manual_seed(0)
    x = 1 + torch.randn(5, 101, inputs).transpose(0, 1)
    x = x * (torch.rand(x.shape) < density)
    exact, x = x.double().requires_grad_(), x.requires_grad_()
    expected, found = reference.moments(exact), library.moments(x)
    gradients = torch.randn(inputs), torch.randn(inputs, inputs)
    backward = torch.autograd.grad(expected, exact, [each.double() for each in gradients])
    for here, there in zip(found, expected, strict=True):
        _close(here, there, 4e-6)  # torch adds up 505 products of a single input one by one
    _close(torch.autograd.grad(found, x, gradients)[0], backward[0])


def _moments_on_cuda(inputs: Tensor) -> tuple[Tensor, Tensor]:
    count = inputs.shape[0] * inputs.shape[1]
    total, scatter = cuda.gram(Gram(inputs))
    return total / count, scatter / count


ADVERSE = [(30.0, 0.3), (-100.0, 0.1), (1000.0, 0.1)]  # means and deviations


@pytest.mark.parametrize("moments", [library.moments, reference.moments, _moments_on_cuda])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("mean", "std"), ADVERSE)
def test_the_variance_of_inputs_far_from_zero_is_right(
    mean: float, std: float, sparse: bool, moments: Callable[[Tensor], tuple[Tensor, Tensor]]
) -> None:
    torch.manual_seed(0)
    x = mean + std * torch.randn(8, 101, 40)
    if sparse:  # all inputs but two, which are one seldom, and one often: neurons that fire
        x[..., 2:] = (torch.rand(8, 101, 38) < 0.05).float()
        x[..., 2] = (torch.rand(8, 101) < 0.99).float() / 0.9
    vectors = x.double().flatten(0, 1)
    exact, expected = vectors.mean(dim=0), vectors.var(dim=0, correction=0)
    found, covariance = moments(x.transpose(0, 1))
    assert ((covariance.diagonal() - expected).abs() / expected).max() < 1e-4
    # In float32 a mean lies this far off its place.
    assert ((found - exact).abs() <= 4e-7 * exact.abs() + 1e-7).all()


def test_the_gradient_of_inputs_far_from_zero_is_right() -> None:
    torch.manual_seed(0)
    x = (100 + 0.1 * torch.randn(8, 101, 24)).transpose(0, 1)
    gradients = torch.randn(24), torch.randn(24, 24)
    exact, x = x.double().requires_grad_(), x.requires_grad_()
    doubles = [each.double() for each in gradients]
    expected = torch.autograd.grad(reference.moments(exact), exact, doubles)[0]
    found = torch.autograd.grad(library.moments(x), x, gradients)[0]
    assert (found - expected).abs().max() < 1e-3 * expected.abs().max()


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_encoder_agrees_with_the_definition(surrogate: str) -> None:
    torch.manual_seed(0)
    features, threshold = torch.randn(5, 101, 123).transpose(0, 1), torch.tensor(0.3)
    exact = features.double().requires_grad_(), threshold.double().requires_grad_()
    events = reference.ternary(*exact, SURROGATES[surrogate])
    gradient = torch.randn(features.shape)
    expected = torch.autograd.grad(events, exact, gradient.double())

    assert torch.equal(cpu.ternary(Ternary(features, threshold, surrogate)), events.float())
    found = cpu.ternary_backward(TernaryBackward(gradient, features, threshold, surrogate))
    for here, there in zip(found, expected, strict=True):
        _close(here, there)


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_nan_is_not_hidden_by_a_surrogate(surrogate: str) -> None:
    case = draw(cpu, 3, 2, 5, surrogate=surrogate)
    spikes, potentials, *_ = layer_parity.forward(case)
    potentials[1, 0, 2] = torch.nan
    assert layer_parity.backward(case, spikes, potentials)["current"].isnan().any()


def _close(found: Tensor, expected: Tensor, tolerance: float = 2e-6) -> None:
    error, largest = (found - expected).abs().max(), expected.abs().max()
    assert error <= tolerance * largest, f"{error:.1e} of {largest:.1e}"
