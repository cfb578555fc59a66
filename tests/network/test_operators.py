# SPDX-License-Identifier: MPL-2.0
"""The operators as PyTorch sees them: registration, autograd, compilation, export, fallback."""

import copy
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch

from srnn import AdaptiveLIF
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import NEURONS, AdaptiveCurrent, State
from srnn.network.ops import library, own_cores, reference, registration, threads
from srnn.network.ops.signatures import Layer, LayerBackward, LayerOutput
from srnn.network.readout import Readout
from srnn.network.surrogate import MULTI_GAUSSIAN

NEEDS_GRADIENTS = [False, True]


def _arguments(kind: str, weights: bool, recurrent: bool, needs: bool) -> Layer:
    torch.manual_seed(0)
    recurrent_weight = torch.randn(5, 5, requires_grad=needs) if recurrent else None
    weight = torch.randn(5, 7, requires_grad=needs) if weights else None
    bias = torch.randn(5, requires_grad=needs) if weights and recurrent else None
    neuron = NEURONS[kind]()
    parameters = torch.full((len(neuron.learnable), 5), 0.9, requires_grad=needs)
    inputs = (20 * torch.randn(3, 4, 7 if weights else 5)).transpose(0, 1).requires_grad_(needs)
    return Layer(
        inputs=inputs,
        weight=weight,
        bias=bias,
        recurrent_weight=recurrent_weight,
        parameters=parameters,
        spikes0=torch.zeros(3, 5),
        potential0=torch.randn(3, 5),
        adaptation0=torch.ones(3, 5),
        neuron=kind,
        constants=neuron.constants,
        surrogate="multi_gaussian",
        keep_potentials=True,
    )


@pytest.mark.parametrize("needs", NEEDS_GRADIENTS)
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("kind", NEURONS)
def test_layer_is_registered_correctly(
    kind: str, weights: bool, recurrent: bool, needs: bool
) -> None:
    torch.library.opcheck(registration._alif, tuple(_arguments(kind, weights, recurrent, needs)))


@pytest.mark.parametrize("for_inputs", [False, True])
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("kind", NEURONS)
def test_backward_of_a_layer_is_registered_correctly(
    kind: str, weights: bool, recurrent: bool, for_inputs: bool
) -> None:
    a = _arguments(kind, weights, recurrent, needs=False)
    found = LayerOutput(*registration._alif(*a))
    shared = {name: value for name, value in a._asdict().items() if name in LayerBackward._fields}
    arguments = LayerBackward(
        **shared | {"inputs": a.inputs if weights else None},
        grad_spikes=torch.randn_like(found.spikes),
        grad_potential=found.potential,
        grad_adaptation=found.adaptation,
        spikes=found.spikes,
        potentials=found.potentials,
        for_inputs=for_inputs,
    )
    torch.library.opcheck(registration._alif_backward, tuple(arguments))


@pytest.mark.parametrize("needs", NEEDS_GRADIENTS)
@pytest.mark.parametrize("bias", [False, True])
def test_product_with_spikes_is_registered_correctly(bias: bool, needs: bool) -> None:
    spikes = torch.randint(2, (4, 3, 5)).float().requires_grad_(needs)
    weight = torch.randn(7, 5, requires_grad=needs)
    arguments = (spikes, weight, torch.randn(7, requires_grad=needs) if bias else None)
    torch.library.opcheck(registration._spike_linear, arguments)
    torch.library.opcheck(
        registration._spike_linear_backward,
        (torch.randn(4, 3, 7), spikes.detach(), weight.detach(), True, bias),
    )


@pytest.mark.parametrize("needs", NEEDS_GRADIENTS)
def test_sums_of_products_are_registered_correctly(needs: bool) -> None:
    torch.library.opcheck(registration._gram, (torch.randn(4, 3, 5, requires_grad=needs),))


@pytest.mark.parametrize("needs", NEEDS_GRADIENTS)
def test_encoder_is_registered_correctly(needs: bool) -> None:
    features = torch.randn(4, 3, 5, requires_grad=needs)
    threshold = torch.tensor(0.3, requires_grad=needs)
    torch.library.opcheck(registration._ternary, (features, threshold, "multi_gaussian"))
    torch.library.opcheck(
        registration._ternary_backward,
        (torch.randn(4, 3, 5), features.detach(), threshold.detach(), "multi_gaussian"),
    )


OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "batch_norm": {"batch_norm": True},
    "adaptive_current": {"neuron": AdaptiveCurrent(), "recurrent": [True, True]},
    "all": {
        "neuron": AdaptiveCurrent(),
        "recurrent": [True, True],
        "batch_norm": True,
        "encoder_threshold": None,
        "readout": Readout("max", 3.0),
    },
}


def _networks(options: str) -> tuple[SpikingNetwork, SpikingNetwork]:
    torch.manual_seed(0)
    choices = {"encoder_threshold": 0.7, **OPTIONS[options]}
    fast = SpikingNetwork(12, [33, 20], 4, **choices)
    slow = SpikingNetwork(12, [33, 20], 4, backend="reference", **choices)
    for name, parameter in fast.named_parameters():
        for silent, lively in (("input.bias", 2.0), ("norm.weight", 10.0)):
            if name.endswith(silent):
                torch.nn.init.constant_(parameter, lively)
    slow.load_state_dict(fast.state_dict())
    return fast, slow


@pytest.mark.parametrize("options", OPTIONS)
def test_every_gradient_of_a_network_is_that_of_the_definition(options: str) -> None:
    fast, slow = _networks(options)
    features = torch.randn(5, 3, 30, 4, requires_grad=True)
    outputs = [network(features) for network in (fast, slow)]
    assert torch.equal(outputs[0].spikes, outputs[1].spikes)
    assert outputs[0].spikes.min() > 0
    weights = torch.randn(5, 4)
    found, expected = (
        torch.autograd.grad(
            (output.log_probabilities * weights).sum(), [features, *network.parameters()]
        )
        for output, network in zip(outputs, (fast, slow), strict=True)
    )
    names = ["features", *(name for name, _ in fast.named_parameters())]
    for name, here, there in zip(names, found, expected, strict=True):
        assert (here - there).abs().max() <= 1e-5 * there.abs().max(), name


@pytest.mark.parametrize("used", ["spikes", "potential", "adaptation"])
def test_gradients_flow_through_each_part_of_the_final_state(used: str) -> None:
    layer = AdaptiveLIF(4, 6, recurrent=True)
    slow = AdaptiveLIF(4, 6, recurrent=True, backend="reference")
    slow.load_state_dict(layer.state_dict())
    inputs = 10 * torch.randn(5, 3, 4)
    start = State(torch.zeros(3, 6), torch.randn(3, 6), torch.ones(3, 6))
    gradients = []
    for each in (layer, slow):
        potential = start.potential.clone().requires_grad_()
        _, state = each(inputs, start._replace(potential=potential))
        gradients.append(torch.autograd.grad(getattr(state, used).sum(), potential)[0])
    torch.testing.assert_close(*gradients)
    assert gradients[0].count_nonzero() > 0


def test_a_copy_of_a_layer_uses_the_kernels(caplog: pytest.LogCaptureFixture) -> None:
    library._warn_once.cache_clear()
    layer = copy.deepcopy(AdaptiveLIF(7, 9))
    assert layer.neuron.surrogate is not MULTI_GAUSSIAN
    layer(torch.randn(11, 3, 7))
    assert not caplog.records


def test_a_batch_may_be_empty() -> None:
    layer = AdaptiveLIF(7, 9, recurrent=True)
    spikes, state = layer(torch.zeros(11, 0, 7))
    assert spikes.shape == (11, 0, 9)
    assert state.potential.shape == (0, 9)
    spikes.sum().backward()
    assert layer.input.weight.grad is not None
    assert layer.input.weight.grad.count_nonzero() == 0


LAYERS: dict[str, dict[str, Any]] = {
    "default": {},
    "all": {"neuron": AdaptiveCurrent(), "batch_norm": True},
}


@pytest.mark.parametrize("options", LAYERS)
def test_layers_can_be_compiled(options: str) -> None:
    layer = AdaptiveLIF(7, 9, recurrent=True, **LAYERS[options])
    inputs = 5 * torch.randn(11, 3, 7)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    spikes, state = layer(inputs)
    same_spikes, same_state = compiled(inputs)
    assert torch.equal(spikes, same_spikes)
    assert all(map(torch.equal, state, same_state))
    expected = torch.autograd.grad(spikes.sum(), list(layer.parameters()))
    found = torch.autograd.grad(same_spikes.sum(), list(layer.parameters()))
    for here, there in zip(found, expected, strict=True):
        torch.testing.assert_close(here, there)


@pytest.mark.parametrize("options", LAYERS)
def test_layers_can_be_exported(options: str) -> None:
    layer = AdaptiveLIF(7, 9, recurrent=True, **LAYERS[options]).eval()
    inputs = 5 * torch.randn(11, 3, 7)
    with torch.no_grad():
        program = torch.export.export(layer, (inputs,))
        spikes, _ = program.module()(inputs)
        assert torch.equal(spikes, layer(inputs)[0])
    called = {node.target for node in program.graph.nodes if node.op == "call_function"}
    assert torch.ops.srnn.alif.default in called


def test_what_kernels_cannot_do_the_definition_does_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    library._warn_once.cache_clear()
    layer = AdaptiveLIF(7, 9, recurrent=True).double()
    inputs = 5 * torch.randn(11, 3, 7, dtype=torch.float64)
    with caplog.at_level(logging.WARNING):
        spikes, _ = layer(inputs)
        layer(inputs)
    assert spikes.dtype == torch.float64
    assert len(caplog.records) == 1
    assert "torch.float32, not torch.float64" in caplog.text


def test_mixed_types_are_refused_as_torch_refuses_them() -> None:
    layer = AdaptiveLIF(7, 9).double()
    with pytest.raises(RuntimeError, match="dtype"):
        layer(torch.randn(11, 3, 7))


def test_the_default_type_of_torch_does_not_matter() -> None:
    layer = AdaptiveLIF(7, 9, recurrent=True)
    inputs = 5 * torch.randn(11, 3, 7)
    spikes, _ = layer(inputs)
    expected = torch.autograd.grad(spikes.sum(), list(layer.parameters()))
    torch.set_default_dtype(torch.float64)
    try:
        again, _ = layer(inputs)
        found = torch.autograd.grad(again.sum(), list(layer.parameters()))
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(again, spikes)
    assert all(map(torch.equal, found, expected))


def test_several_threads_may_use_the_operators_at_once() -> None:
    layer = AdaptiveLIF(7, 33, recurrent=True)
    inputs = [5 * torch.randn(40, 8, 7) for _ in range(8)]
    expected = [layer(each)[0] for each in inputs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: layer(each)[0], inputs))
    assert all(map(torch.equal, found, expected))


def test_a_surrogate_of_ones_own_is_used() -> None:
    own = replace(MULTI_GAUSSIAN, name="own", derivative=lambda x: torch.full_like(x, 3.0))
    values, threshold = torch.randn(4), torch.tensor(0.1)
    leaf = values.clone().requires_grad_()
    library.ternary(leaf, threshold, own).sum().backward()
    assert leaf.grad is not None
    assert torch.equal(leaf.grad, torch.full((4,), 6.0))


def test_owning_the_cores_leaves_torch_one_thread_and_gives_them_back() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with own_cores():
            assert torch.get_num_threads() == 1
            assert threads.thread_count() == 2
            with own_cores():
                assert threads.thread_count() == 2
        assert torch.get_num_threads() == threads.thread_count() == 2
    finally:
        torch.set_num_threads(before)


def test_both_backends_have_the_same_functions() -> None:
    for name in ("layer", "spike_linear", "moments", "ternary"):
        fast, slow = getattr(library, name), getattr(reference, name)
        assert fast.__annotations__ == slow.__annotations__
