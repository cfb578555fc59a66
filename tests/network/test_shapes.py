# SPDX-License-Identifier: MPL-2.0
"""Wrong shapes, types and devices: an error before a kernel runs, the same as the definition's."""

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from srnn import AdaptiveLIF
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import NEURONS, AdaptiveCurrent, State
from srnn.network.ops import BACKENDS, library, reference, registration
from srnn.network.ops.cpu import operators as cpu
from srnn.network.readout import LeakyReadout
from srnn.network.surrogate import MULTI_GAUSSIAN

Call = Callable[[AdaptiveLIF, Tensor], object]


def _other_state(layer: AdaptiveLIF, inputs: Tensor) -> object:
    return layer(inputs, AdaptiveLIF(5, 512)(inputs)[1])


def _smaller_batch(layer: AdaptiveLIF, inputs: Tensor) -> object:
    return layer(inputs[:, :1], layer(inputs)[1])


def _other_weight(layer: AdaptiveLIF, inputs: Tensor) -> object:
    layer.input.weight = torch.nn.Parameter(torch.zeros(9, 5))
    return layer(inputs)


def _other_time_constants(layer: AdaptiveLIF, inputs: Tensor) -> object:
    name = layer.neuron.learnable[0]
    setattr(layer, name, torch.nn.Parameter(torch.ones(3)))
    return layer(inputs)


WRONG: dict[str, tuple[Call, str]] = {
    "fewer features": (
        lambda layer, inputs: layer(inputs[..., :3]),
        r"inputs of shape \(T, B, 5\), found \(4, 3, 3\)",
    ),
    "more features": (
        lambda layer, inputs: layer(torch.cat([inputs, inputs], 2)),
        r"inputs of shape \(T, B, 5\), found \(4, 3, 10\)",
    ),
    "four dimensions": (
        lambda layer, inputs: layer(inputs[None]),
        r"inputs of shape \(T, B, 5\), found \(1, 4, 3, 5\)",
    ),
    "no time steps": (
        lambda layer, inputs: layer(inputs[:0]),
        r"at least one time step, found shape \(0, 3, 5\)",
    ),
    "a state of another layer": (_other_state, r"of shape \(3, 8\), found \(3, 512\)"),
    "a state of another batch": (_smaller_batch, r"of shape \(1, 8\), found \(3, 8\)"),
    "another weight": (_other_weight, r"of shape \(8, I\), found \(9, 5\)"),
    "fewer time constants": (_other_time_constants, r"shape|size"),
    "another type": (
        lambda layer, inputs: layer(inputs.double()),
        "one dtype on one device, found torch.float64 .* and torch.float32",
    ),
    "integers": (
        lambda layer, inputs: layer(inputs.long()),
        "one dtype on one device, found torch.int64 .* and torch.float32",
    ),
    "another device": (
        lambda layer, inputs: layer(inputs.to("meta")),
        "one dtype on one device, found meta .* and cpu",
    ),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("kind", NEURONS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_layer_refuses(backend: str, kind: str, recurrent: bool, what: str) -> None:
    call, message = WRONG[what]
    layer = AdaptiveLIF(5, 8, recurrent=recurrent, neuron=NEURONS[kind](), backend=backend)
    with pytest.raises(RuntimeError, match=message):
        call(layer, torch.randn(4, 3, 5))


def test_the_errors_come_before_any_kernel_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> object:
        raise AssertionError("a kernel runs")

    monkeypatch.setattr(cpu, "in_parallel", run)
    layer = AdaptiveLIF(700, 128, recurrent=True)
    with pytest.raises(RuntimeError, match=r"\(T, B, 700\), found \(100, 32, 64\)"):
        layer(torch.zeros(100, 32, 64))


@pytest.mark.parametrize("options", [{}, {"neuron": AdaptiveCurrent(), "batch_norm": True}])
def test_compiled_and_exported_layers_refuse_too(options: dict[str, Any]) -> None:
    layer, wrong = AdaptiveLIF(7, 9, recurrent=True, **options), torch.zeros(11, 3, 6)
    with pytest.raises(RuntimeError, match=r"(7|x6 and 7)"):
        torch.compile(layer, backend="aot_eager")(wrong)
    with pytest.raises(RuntimeError, match=r"(\(T, B, 7\), found \(11, 3, 6\)|7)"):
        torch.export.export(layer.eval(), (wrong,))
    torch._dynamo.reset()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_sequence_needs_no_batch(backend: str) -> None:
    layer = AdaptiveLIF(5, 8, recurrent=True, backend=backend)
    inputs = 9 * torch.randn(6, 5)
    spikes, state = layer(inputs)
    batched, batched_state = layer(inputs[:, None])
    assert spikes.shape == (6, 8)
    assert state.potential.shape == (8,)
    assert torch.equal(spikes, batched[:, 0])
    again, last = layer(inputs, state)
    batched, batched_state = layer(inputs[:, None], batched_state)
    assert torch.equal(again, batched[:, 0])
    assert all(torch.equal(here, there[0]) for here, there in zip(last, batched_state, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_batch_leaves_the_running_averages_alone(backend: str) -> None:
    layer = AdaptiveLIF(5, 8, batch_norm=True, backend=backend)
    spikes, _ = layer(torch.zeros(4, 0, 5))
    assert spikes.shape == (4, 0, 8)
    assert layer.norm is not None
    assert layer.norm.mean.isfinite().all()
    assert layer.norm.variance.isfinite().all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", NEURONS)
def test_numbers_that_are_not_finite_spread_as_in_the_definition(kind: str, value: float) -> None:
    torch.manual_seed(0)
    layer = AdaptiveLIF(5, 40, recurrent=True, neuron=NEURONS[kind]())
    inputs = 9 * torch.randn(6, 3, 5)
    inputs[2, 1, 3] = value
    found, state = layer(inputs)
    layer.backend = "reference"
    expected, expected_state = layer(inputs)
    assert torch.equal(found, expected)
    torch.testing.assert_close(state.potential, expected_state.potential, equal_nan=True)


def test_networks_and_readouts_refuse_too() -> None:
    network = SpikingNetwork(12, [9], 4)
    with pytest.raises(RuntimeError, match=r"C \* M = 12, found \(2, 3, 10, 5\)"):
        network(torch.zeros(2, 3, 10, 5))
    with pytest.raises(RuntimeError, match=r"at least one time step, found shape \(0, 2, 9\)"):
        LeakyReadout(9, 4)(torch.zeros(0, 2, 9))


def test_the_encoder_refuses_a_threshold_for_each_feature() -> None:
    for backend in BACKENDS.values():
        with pytest.raises(RuntimeError, match=r"threshold of shape \(\), found \(3,\)"):
            backend.ternary(torch.zeros(2, 3), torch.zeros(3), MULTI_GAUSSIAN)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"neuron": "nobody"}, "a kind of neuron, one of adaptive_threshold, adaptive_current"),
        ({"surrogate": "nobody"}, "a surrogate, one of multi_gaussian"),
        ({"constants": [1.0]}, "2 constants of adaptive_threshold, found 1"),
        ({"parameters": torch.zeros(1, 8)}, r"of shape \(2, H\), found \(1, 8\)"),
    ],
)
def test_the_operator_of_a_layer_knows_what_a_neuron_needs(
    change: dict[str, Any], message: str
) -> None:
    state = dict.fromkeys(("spikes0", "potential0", "adaptation0"), torch.zeros(2, 8))
    arguments = {
        "inputs": torch.zeros(4, 2, 8),
        **dict.fromkeys(("weight", "bias", "recurrent_weight")),
        "parameters": torch.full((2, 8), 0.9),
        **state,
        "neuron": "adaptive_threshold",
        "constants": [1.6, 0.184],
        "surrogate": "multi_gaussian",
        "keep_potentials": False,
    }
    registration._alif(*arguments.values())
    with pytest.raises(RuntimeError, match=message):
        registration._alif(*(arguments | change).values())


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # of torch.export.load
def test_exported_layers_and_networks_can_be_saved(tmp_path: Path) -> None:
    modules: list[tuple[torch.nn.Module, Tensor]] = [
        (AdaptiveLIF(7, 9, recurrent=True), 5 * torch.randn(11, 3, 7)),
        (SpikingNetwork(12, [9, 8], 4), torch.randn(5, 3, 10, 4)),
    ]
    for module, inputs in modules:
        module.eval()
        file = tmp_path / "layer.pt2"
        torch.export.save(torch.export.export(module, (inputs,)), file)
        expected, found = module(inputs), torch.export.load(file).module()(inputs)
        assert type(found) is type(expected)
        torch.testing.assert_close(found[0], expected[0])


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated")
@pytest.mark.filterwarnings("ignore:.*torch.jit.* is not supported in Python")
@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True")
def test_what_is_not_supported_is_said_in_a_line() -> None:
    layer, inputs = AdaptiveLIF(5, 8, recurrent=True), torch.randn(4, 3, 5, requires_grad=True)
    definition = copy.deepcopy(layer)
    definition.backend = "reference"

    def total(module: AdaptiveLIF, given: Tensor) -> Tensor:
        spikes: Tensor = module(given)[0]
        return spikes.sum()

    for module in (layer, definition):
        with pytest.raises(RuntimeError, match=r"torch\.jit is not supported"):
            torch.jit.script(torch.nn.Sequential(module))
        with pytest.raises(RuntimeError, match=r"torch\.jit is not supported"):
            torch.jit.trace(module, (inputs.detach(),))
    with pytest.raises(RuntimeError, match=r"transforms of torch\.func .* backend='reference'"):
        torch.func.grad(lambda given: total(layer, given))(inputs.detach())
    with pytest.raises(RuntimeError, match=r"transforms of torch\.func .* backend='reference'"):
        torch.func.vmap(layer)(torch.randn(2, 4, 3, 5))
    torch.func.grad(lambda given: total(definition, given))(inputs.detach())

    (gradient,) = torch.autograd.grad(total(layer, inputs), inputs, create_graph=True)
    with pytest.raises(RuntimeError, match=r"no second derivatives: use backend='reference'"):
        gradient.sum().backward()
    (gradient,) = torch.autograd.grad(total(definition, inputs), inputs, create_graph=True)
    gradient.sum().backward()


@pytest.mark.parametrize("backend", BACKENDS)
def test_under_autocast_neurons_compute_as_without(backend: str) -> None:
    torch.manual_seed(0)
    layer = AdaptiveLIF(5, 8, recurrent=True, backend=backend)
    inputs = 9 * torch.randn(6, 3, 5)
    with torch.autocast("cpu", torch.bfloat16):
        spikes, state = layer(inputs)
        half, _ = layer(inputs.bfloat16(), State(*(each.bfloat16() for each in state)))
    assert spikes.dtype == half.dtype == state.potential.dtype == torch.float32
    assert torch.equal(spikes, layer(inputs)[0])


# --- Shapes at random ----------------------------------------------------------------------------

SIZES = (0, 1, 2, 3, 5, 17, 33)
CASES = 10_000


def test_whatever_the_shapes_the_kernels_do_as_the_definition() -> None:
    """Same error or same numbers, and never a crash: also where a shape happens to fit."""
    rng = random.Random(0)
    torch.manual_seed(0)
    refused = computed = 0
    for _ in range(CASES):
        name, arguments = _case(rng)
        _spoil(rng, arguments)
        expected, found, alone = (
            _outcome(getattr(backend, name), arguments)
            for backend in (reference, library, registration)
        )
        if isinstance(expected, str):
            refused += 1
            assert found == expected, (name, _shapes(arguments))
            assert isinstance(alone, str), (name, _shapes(arguments))
        elif isinstance(alone, str):  # other types than the kernels' own
            assert "expected tensors of torch.float32" in alone, (name, _shapes(arguments), alone)
        else:
            computed += 1
            assert not isinstance(found, str), (name, _shapes(arguments), found)
            for here, there in zip(found, expected, strict=True):
                torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-4, equal_nan=True)
    assert refused > CASES / 10
    assert computed > CASES / 10


def _case(rng: random.Random) -> tuple[str, dict[str, Any]]:
    """Draw an operator, and arguments that fit."""
    steps, batch, inputs, neurons = (rng.choice(SIZES) for _ in range(4))
    steps = max(1, steps)
    match rng.randrange(6):
        case 0:
            weight = torch.randn(neurons, inputs)
            bias = torch.randn(neurons) if rng.random() < 0.5 else None
            return "spike_linear", {
                "spikes": torch.randn(steps, batch, inputs),
                "weight": weight,
                "bias": bias,
            }
        case 1:
            return "moments", {"inputs": torch.randn(steps, max(1, batch), inputs)}
        case 2:
            features = torch.randn([rng.choice(SIZES) for _ in range(rng.randrange(4))])
            threshold = torch.tensor(0.3)
            arguments = {"features": features, "threshold": threshold, "surrogate": MULTI_GAUSSIAN}
            return "ternary", arguments
    neuron = NEURONS[rng.choice(list(NEURONS))]()
    weighted = rng.random() < 0.7
    # Small potentials: none comes so near the threshold that rounding decides.
    state = State(
        torch.randint(2, (batch, neurons)).float(),
        -torch.rand(batch, neurons),
        torch.rand(batch, neurons),
    )
    return "layer", {
        "inputs": torch.randint(2, (steps, batch, inputs if weighted else neurons)).float(),
        "weight": torch.randint(-2, 3, (neurons, inputs)).float() if weighted else None,
        "bias": torch.zeros(neurons) if weighted and rng.random() < 0.5 else None,
        "recurrent_weight": torch.zeros(neurons, neurons) if rng.random() < 0.5 else None,
        "parameters": torch.full((len(neuron.learnable), neurons), 0.5),
        "neuron": neuron,
        "state": state if rng.random() < 0.5 else None,
    }


def _spoil(rng: random.Random, arguments: dict[str, Any]) -> None:
    """Change some tensors, or none: a size, a dimension, the type, the device, values, layout."""
    for _ in range(rng.randrange(3)):
        name = rng.choice([name for name, each in arguments.items() if isinstance(each, Tensor)])
        arguments[name] = _changed(rng, arguments[name])
    state = arguments.get("state")
    if state is not None and rng.random() < 0.3:
        field = rng.choice(State._fields)
        arguments["state"] = state._replace(**{field: _changed(rng, getattr(state, field))})


def _changed(rng: random.Random, tensor: Tensor) -> Tensor:
    shape = list(tensor.shape)
    match rng.randrange(7):
        case 0 if shape:
            shape[rng.randrange(len(shape))] = rng.choice(SIZES)
            return tensor.new_zeros(shape)
        case 1:
            return tensor[None]
        case 2 if shape and shape[0]:
            return tensor[0]
        case 3:
            return tensor.to(rng.choice([torch.float64, torch.int64, torch.float16]))
        case 4:
            return tensor.to("meta")
        case 5 if len(shape) > 1:
            return tensor.transpose(0, 1)
        case _:
            return torch.full_like(tensor, rng.choice([0, 1, -3]))


def _outcome(operator: Callable[..., Any], arguments: dict[str, Any]) -> list[Tensor] | str:
    """Return the tensors that an operator yields, or its error."""
    try:
        return _tensors(operator(*arguments.values()))
    except RuntimeError as error:
        return str(error)


def _tensors(result: Any) -> list[Tensor]:
    """Return all tensors of a result, those on the meta device, which hold nothing, as zeros."""
    flat = torch.utils._pytree.tree_leaves(result)
    return [torch.zeros(each.shape) if each.is_meta else each for each in flat]


def _shapes(arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        name: (tuple(each.shape), each.dtype, each.device) if isinstance(each, Tensor) else each
        for name, each in arguments.items()
    }


def test_whatever_the_shapes_the_backward_operators_refuse_or_return_gradients() -> None:
    """Called as autograd never calls them: an error, or gradients of the right shapes."""
    rng = random.Random(1)
    torch.manual_seed(0)
    refused = 0
    for _ in range(CASES // 5):
        operator, arguments, names = _backward_case(rng)
        _spoil(rng, arguments)
        outcome = _outcome(operator, arguments)
        if isinstance(outcome, str):
            assert outcome.startswith("srnn: expected"), (arguments, outcome)
            refused += 1
            continue
        for name, gradient in zip(names, outcome, strict=True):
            if name in arguments and arguments[name] is not None and gradient.numel():
                assert gradient.shape == arguments[name].shape, name
    assert 0.2 < refused / (CASES // 5) < 0.9


def _backward_case(rng: random.Random) -> tuple[Callable[..., Any], dict[str, Any], list[str]]:
    """Draw a backward operator, arguments that fit, and what its gradients belong to."""
    steps, batch, inputs, neurons = (rng.choice(SIZES[1:]) for _ in range(4))
    sequence, clips = (steps, batch, neurons), (batch, neurons)
    match rng.randrange(4):
        case 0:
            arguments: dict[str, Any] = {
                "grad": torch.randn(sequence),
                "spikes": torch.randn(steps, batch, inputs),
                "weight": torch.randn(neurons, inputs),
                "for_spikes": True,
                "for_weight": True,
            }
            names = ["spikes", "weight", "bias"]
            return registration._spike_linear_backward, arguments, names
        case 1:
            arguments = {
                "grad": torch.randn(sequence),
                "features": torch.randn(sequence),
                "threshold": torch.tensor(0.3),
                "surrogate": "linear",
            }
            return registration._ternary_backward, arguments, ["features", "threshold"]
    kind = rng.choice(list(NEURONS))
    weighted, recurrent = rng.random() < 0.7, rng.random() < 0.5
    state = {name: torch.rand(clips) for name in ("spikes0", "potential0", "adaptation0")}
    arguments = {
        "grad_spikes": torch.randn(sequence),
        **{name: torch.randn(clips) for name in ("grad_potential", "grad_adaptation")},
        "inputs": torch.randn(steps, batch, inputs) if weighted else None,
        "spikes": torch.randint(2, sequence).float(),
        "potentials": torch.randn(sequence),
        "weight": torch.randn(neurons, inputs) if weighted else None,
        "recurrent_weight": torch.randn(neurons, neurons) if recurrent else None,
        "parameters": torch.full((len(NEURONS[kind].learnable), neurons), 0.5),
        **state,
        "neuron": kind,
        "constants": NEURONS[kind]().constants,
        "surrogate": "slayer",
        "for_inputs": True,
    }
    names = ["inputs", "weight", "bias", "recurrent_weight", "parameters", *state]
    return registration._alif_backward, arguments, names
