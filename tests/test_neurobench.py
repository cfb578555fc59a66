# SPDX-License-Identifier: MPL-2.0
"""NeuroBench measures what the package itself counts."""

import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

import srnn
import srnn.neurobench
from srnn.config import load
from srnn.network.model import Operations, Output, SpikingNetwork
from srnn.network.neurons import AdaptiveCurrent, AdaptiveThreshold
from srnn.network.neurons.lif import Definition as LeakyIntegrateAndFire
from srnn.network.readout import Readout

CLIPS, CHANNELS, STEPS, BANDS = 7, 2, 31, 5
INPUTS = CHANNELS * BANDS
FIRST, SECOND, CLASSES = 13, 11, 4

NETWORKS: dict[str, dict[str, Any]] = {
    "as in the paper": {},
    "features": {"encoder_threshold": None},
    "feed-forward": {"recurrent": [False, False]},
    "recurrent": {"recurrent": [True, True], "neuron": LeakyIntegrateAndFire(threshold=0.4)},
    "adaptive current": {"neuron": AdaptiveCurrent(), "readout": Readout("last", 3.0)},
    "several outputs": {"last_class_readouts": 3, "readout": Readout("max")},
    "normalised": {"batch_norm": True, "last_class_readouts": 5, "encoder_threshold": None},
    "without biases": {"bias": False, "backend": "reference"},
}


class Measured(NamedTuple):
    """The results of a benchmark, by the names of NeuroBench."""

    model: Any
    results: dict[str, Any]

    @property
    def operations(self) -> Operations:
        found = self.results["SynapticOperations"]
        return Operations(found["Effective_ACs"], found["Effective_MACs"])


def measure(model: Any, clips: Dataset[tuple[Tensor, ...]], batch: int = 3) -> Measured:
    """Run a benchmark in batches, of which the last is smaller."""
    benchmarks = pytest.importorskip("neurobench.benchmarks", reason="needs the group neurobench")
    from neurobench.metrics import static, workload

    benchmark = benchmarks.Benchmark(
        model,
        DataLoader(clips, batch_size=batch),
        [],
        [],
        [
            [static.Footprint, static.ParameterCount, static.ConnectionSparsity],
            [
                workload.ClassificationAccuracy,
                workload.ActivationSparsity,
                workload.ActivationSparsityByLayer,
                workload.SynapticOperations,
            ],
        ],
    )
    return Measured(model, benchmark.run(quiet=True))


def adapted(run: Any) -> Any:
    pytest.importorskip("neurobench", reason="needs the group neurobench")
    return srnn.neurobench.model(run)


def lively(**options: Any) -> SpikingNetwork:
    """Return a network that fires, and whose normalisation is not that of a fresh one."""
    torch.manual_seed(5)
    options = {"neuron": AdaptiveThreshold(0.4, 0.3)} | options
    network = SpikingNetwork(INPUTS, [FIRST, SECOND], CLASSES, **options)
    layer: Any
    for layer in network.hidden:
        torch.nn.init.normal_(layer.input.weight, std=4)
        if layer.recurrent is not None:  # some kinds start without a diagonal
            torch.nn.init.normal_(layer.recurrent.weight.data.diagonal())
    network(features())  # in training: the averages of the normalisation move
    return network.eval()


def features() -> Tensor:
    generator = torch.Generator().manual_seed(2)
    drawn = torch.randn(CLIPS, CHANNELS, STEPS, BANDS, generator=generator)
    return drawn * (torch.rand(drawn.shape, generator=generator) < 0.7)  # some are 0


def clips_of(features: Tensor) -> TensorDataset:
    labels = torch.arange(len(features)) % CLASSES
    return TensorDataset(features.transpose(1, 2).flatten(2), labels)


def counted(network: SpikingNetwork, output: Output) -> Operations:
    """Return the operations of one clip as ``srnn evaluate`` counts them."""
    clips = output.inputs.shape[1]
    spikes = (output.spikes.sum(dim=1) / clips).tolist()
    last = (output.last_spikes.sum(dim=1) / clips).tolist()
    return network.operations(output.inputs.count_nonzero().item() / clips, spikes, last)


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_one_step_after_the_other_gives_the_output_of_the_network(options: dict[str, Any]) -> None:
    network = lively(**options)
    with torch.no_grad():
        expected = network(features())
    stepwise = srnn.neurobench.StepwiseNetwork(network)
    (inputs, _) = clips_of(features()).tensors
    for _ in range(2):  # the second call begins at rest, too
        output = stepwise.run(inputs)
        assert torch.equal(output.inputs, expected.inputs)
        for fired, spikes in zip(output.hidden, expected.hidden, strict=True):
            assert spikes.any()
            assert torch.equal(fired, spikes)
        torch.testing.assert_close(output.log_probs, expected.log_probs, atol=1e-4, rtol=0)
    assert torch.equal(stepwise(inputs), expected.log_probabilities.argmax(dim=1))


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_neurobench_counts_what_the_package_counts(options: dict[str, Any]) -> None:
    network = lively(**options)
    with torch.no_grad():
        output = network(features())
    clips = clips_of(features())
    model, results = measured = measure(adapted(network), clips)
    expected = counted(network, output)
    accumulates, multiply_accumulates = measured.operations
    assert accumulates == pytest.approx(expected.accumulates)
    assert multiply_accumulates == pytest.approx(expected.multiply_accumulates)
    assert (multiply_accumulates > 0) == (options.get("encoder_threshold", 0) is None)

    layers, outputs = list(model.net.hidden.values()), output.log_probs.shape[1]
    recurrent = sum(size**2 for size in recurrent_sizes(layers))
    dense = INPUTS * FIRST + FIRST * SECOND + SECOND * outputs + recurrent
    assert results["SynapticOperations"]["Dense"] == STEPS * dense
    rates = dict(zip(("hidden_1", "hidden_2"), output.firing_rates.tolist(), strict=True))
    sparsities = {name: pytest.approx(1 - rate) for name, rate in rates.items()}
    assert results["ActivationSparsityByLayer"] == sparsities
    everything = CLIPS * STEPS * (FIRST + SECOND)
    sparsity = 1 - output.spikes.sum().item() / everything
    assert results["ActivationSparsity"] == pytest.approx(sparsity)
    assert results["ConnectionSparsity"] == 0
    right = output.log_probabilities.argmax(dim=1) == clips.tensors[1]
    assert results["ClassificationAccuracy"] == pytest.approx(right.double().mean().item())


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_the_footprint_is_that_of_the_parameters(options: dict[str, Any]) -> None:
    network = lively(**options)
    results = measure(adapted(network), clips_of(features())).results
    trained = sum(each.numel() for each in network.folded().parameters())
    # A recurrent layer has two biases; what its neurons receive is their sum.
    biases = sum(recurrent_sizes(network.hidden)) if options.get("bias", True) else 0
    assert results["ParameterCount"] == trained - biases
    assert results["Footprint"] == 4 * results["ParameterCount"]


def recurrent_sizes(layers: Any) -> list[int]:
    return [len(layer.recurrent.weight) for layer in layers if layer.recurrent is not None]


def test_weights_of_zero_are_sparse_connections_and_no_effective_operations() -> None:
    network = lively(recurrent=[True, True], encoder_threshold=None)
    weights = [each.weight.data for each in network.modules() if isinstance(each, torch.nn.Linear)]
    generator = torch.Generator().manual_seed(0)
    for weight in weights:
        weight *= torch.rand(weight.shape, generator=generator) < 0.5
    output = network(features())
    model, results = measured = measure(adapted(network), clips_of(features()))
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    fraction = zeros / sum(weight.numel() for weight in weights)
    assert results["ConnectionSparsity"] == pytest.approx(fraction, abs=1e-4)  # it is rounded

    def operations(inputs: Tensor, layer: Any) -> float:
        """Return, for one clip, the weights that are not 0 and that an input reaches."""
        reached = (layer.weight != 0).sum(dim=0)  # by each input
        return float(((inputs != 0) * reached).sum()) / CLIPS

    first, second = model.net.hidden.values()
    one, two = output.hidden
    assert measured.operations.multiply_accumulates == operations(output.inputs, first.input)
    assert measured.operations.accumulates == pytest.approx(
        operations(one[:-1], first.recurrent)
        + operations(one, second.input)
        + operations(two[:-1], second.recurrent)
        + operations(two, model.net.readout.output)
    )


def test_features_that_look_like_events_are_taken_for_events() -> None:
    network = lively(encoder_threshold=None)
    signs = features().sign()
    output = network(signs)
    measured = measure(adapted(network), clips_of(signs))
    expected = counted(network, output)
    assert expected.multiply_accumulates > 0
    assert measured.operations.multiply_accumulates == 0
    assert sum(measured.operations) == pytest.approx(sum(expected))


RUNS: dict[str, dict[str, dict[str, Any]]] = {
    "events": {},
    "features": {
        "srnn": {
            "encoder": "none",
            "batch_norm": True,
            "neuron": "adaptive_current",
            "firing_start": 0.1,
            "unknown_readouts": 2,
            "batch_size": 5,  # clips are normalised by those of their batch
        },
        "data": {"normalisation": "batch"},
    },
}


@pytest.mark.parametrize("changes", RUNS.values(), ids=RUNS)
def test_a_run_is_measured_on_its_data_set_as_by_evaluate(
    changes: dict[str, dict[str, Any]],
    tones: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tones)
    tables = load("tones.toml").model_dump()
    tables = {name: keys | changes.get(name, {}) for name, keys in tables.items()}
    run = srnn.train(tables, tmp_path / "run").path
    expected = srnn.evaluate(run, "validation")
    clips = srnn.neurobench.data(run, "validation")
    assert clips.tensors[1].bincount().tolist() == list(expected.counts)
    model, results = measured = measure(adapted(run), clips, batch=8)

    output = model.net.run(clips.tensors[0])
    assert output.log_probabilities.argmax(dim=1).tolist() == list(expected.predicted)
    assert expected.spikes == pytest.approx(output.spikes.sum().item() / len(clips))
    assert results["ClassificationAccuracy"] == pytest.approx(expected.accuracy)
    assert expected.operations is not None
    assert measured.operations.accumulates == pytest.approx(expected.operations.accumulates)
    assert measured.operations.multiply_accumulates == pytest.approx(
        expected.operations.multiply_accumulates
    )
    assert math.isclose(
        results["ActivationSparsityByLayer"]["hidden_1"], 1 - output.firing_rates[0], rel_tol=1e-6
    )


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neurobench.models", None)
    monkeypatch.setitem(sys.modules, "neurobench", None)
    with pytest.raises(srnn.InputError, match=r"the package neurobench, found none") as caught:
        srnn.neurobench.model("gsc8-small")
    assert "\n" not in str(caught.value)


def test_wrong_input_is_an_error() -> None:
    stepwise = srnn.neurobench.StepwiseNetwork(lively())
    expected = r"expected features of shape \(B, T, 10\), T >= 1, found \(7, 2, 31, 5\)"
    with pytest.raises(RuntimeError, match=expected):
        stepwise(features())
    with pytest.raises(srnn.InputError, match='partition: expected "testing" or "validation"'):
        srnn.neurobench.data("gsc8-small", "training")  # type: ignore[arg-type]
