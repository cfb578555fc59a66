# SPDX-License-Identifier: MPL-2.0
"""Operations, memory traffic and energy against counts by hand and published figures."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from srnn.energy import Energy, EnergyKeys, Inference, Row, energy_of, table
from srnn.energy.comparisons import DS_CNN_NOTE, ds_cnn_counts
from srnn.energy.table import verdict
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import NEURONS, Neuron, Normal, State
from srnn.network.neurons.registry import WITH_KERNELS
from srnn.network.readout import Readout
from srnn.network.surrogate import MULTI_GAUSSIAN, Surrogate

KEYS = EnergyKeys()
INFERENCE = Inference(steps=4, inputs=5.0, spikes=(3.0, 4.0), last=(1.0, 1.0))


def tiny(**options: object) -> SpikingNetwork:
    """3 inputs; 2 neurons; 2 recurrent neurons; 2 outputs."""
    return SpikingNetwork(3, [2, 2], 2, **options)  # type: ignore[arg-type]


def energy_by(network: SpikingNetwork, inference: Inference, keys: EnergyKeys) -> Energy:
    found = energy_of(network, inference, keys)
    assert found
    return found


def energy(keys: EnergyKeys = KEYS, **options: object) -> Energy:
    return energy_by(tiny(**options), INFERENCE, keys)


def figures(row: Row) -> tuple[float, ...]:
    """Return what is counted, in the order of the lines below."""
    return (
        row.accumulates,
        row.multiply_accumulates,
        row.updates,
        row.multiplications,
        row.additions,
        row.weight_words,
        row.neuron_words,
        row.weight_bytes,
        row.neuron_bytes,
    )


def test_a_tiny_network_counted_by_hand() -> None:
    """Four steps of adaptive-threshold neurons on ternary events, with biases.

    encoder    3 inputs x 4 steps = 12 comparisons of 2; reads 12 features; 3 words of room.
    hidden 1   5 events x 2 neurons = 10 accumulates. 2 x 4 = 8 updates: 3 multiplications each, 7
               additions and that of the bias. A word for each weight; 5 events are read; 2 state
               variables are read and written, 2 parameters and a bias are read: 5 + 8 x 7 = 61.
               3 x 2 weights of 4 bytes; 3 inputs and 2 neurons of 5 words.
    hidden 2   3 spikes from below, and 4 - 1 of its own, as the last one has no next step, reach 2
               neurons: 12. 3 + 3 + 8 x 7 = 62 words. 2 x 2 + 2 x 2 weights; 4 inputs, 2 x 5 words.
    readout    4 spikes x 2 outputs = 8. 8 updates: 1 multiplication, 2 additions, 1 for the mean
               and 1 for the bias; 4 + 8 x (2 x 2 + 2) = 52 words. 2 x 2 weights; 2 inputs, 2 x 4.
    """
    found = energy()
    assert {row.name: figures(row) for row in found.layers} == {
        "encoder": (0, 0, 12, 0, 24, 0, 12, 0, 12),
        "hidden 1": (10, 0, 8, 24, 64, 10, 61, 24, 52),
        "hidden 2": (12, 0, 8, 24, 64, 12, 62, 32, 56),
        "readout": (8, 0, 8, 8, 32, 8, 52, 16, 40),
    }
    assert [row.spikes for row in found.layers] == [5, 3, 4, 0]
    assert figures(found.total)[:7] == (30, 0, 36, 56, 184, 30, 187)
    # (30 + 184) additions, 56 multiplications; every memory is one of at most 8 kB.
    assert found.total.operations_nj == pytest.approx((214 * 0.9 + 56 * 3.7) / 1000)
    assert found.total.memory_nj == pytest.approx((30 + 187) * 5 / 1000)


def test_features_as_a_current_are_multiplied_and_all_read() -> None:
    """5 of the 12 features are not 0: 5 x 2 multiply-accumulates, but 12 words are read."""
    first, _, _ = energy(encoder_threshold=None).layers
    assert figures(first)[:2] == (0, 10)
    assert first.neuron_words == 12 + 8 * 7


def test_biases_and_readouts_change_the_updates() -> None:
    plain = energy(bias=False).layers
    assert [row.additions for row in plain] == [24, 56, 56, 24]
    assert [row.neuron_words for row in plain] == [12, 53, 54, 44]
    normalised = energy(batch_norm=True).layers  # folded, it is a bias
    assert [figures(row) for row in normalised] == [figures(row) for row in energy().layers]
    last = energy(readout=Readout("last")).layers[-1]
    assert (last.additions, last.neuron_words) == (24, 4 + 8 * (2 + 2))


def test_the_same_network_densely_by_hand() -> None:
    """Each weight in each step: 4 x (3 x 2 + (2 + 2) x 2 + 2 x 2) = 72; the updates are the same.

    All inputs are read: 12 features, and 4 x (3, 4, 2) by the layers.
    """
    found = energy()
    dense = found.comparisons[0]
    assert (dense.name, dense.accumulates, dense.multiply_accumulates) == ("the same, dense", 0, 72)
    assert (dense.multiplications, dense.additions) == (56, 184)
    assert dense.neuron_words == 12 + 4 * (3 + 4 + 2) + 8 * 7 + 8 * 7 + 8 * 6
    assert dense.weight_words == 72


def test_an_lstm_by_hand() -> None:
    """4 gates x 4 steps x ((3 + 2) x 2 + (2 + 2) x 2) products, 2 x 2 once for the outputs.

    16 updates of 8 multiplications and 10 additions, which read and write c and h and read 4
    biases: 8 words; each layer reads its inputs and h in each step; 2 + 2 words for the outputs.
    """
    lstm = energy().comparisons[1]
    assert lstm.multiply_accumulates == lstm.weight_words == 16 * (10 + 8) + 4
    assert (lstm.multiplications, lstm.additions) == (16 * 8, 16 * 10 + 2)
    assert lstm.neuron_words == 4 * (5 + 4) + 16 * 8 + 2 + 2
    parameters = sum(p.numel() for size in (3, 2) for p in torch.nn.LSTM(size, 2).parameters())
    biases = 2 * 2 * 4 * 2  # torch has two of each
    assert lstm.weight_bytes == 4 * (parameters - biases + 4)


def test_the_ds_cnn_has_the_published_size_and_operations() -> None:
    """Zhang et al. 2017: 38.6 KB for 8-bit weights and activations, 5.4 million operations.

    Their memory is all weights and the two largest maps that are there at once.
    """
    layers = ds_cnn_counts()
    weights = sum(each.weight_bytes for each in layers) / 4
    biases = 9 * 64 + 12
    maps = 2 * 25 * 5 * 64
    assert weights + biases + maps == pytest.approx(38_600, rel=1e-3)
    products = sum(each.multiply_accumulates for each in layers)
    relu = 9 * 25 * 5 * 64  # comparisons, which they do not count
    operations = 2 * products + sum(each.additions + each.multiplications for each in layers) - relu
    assert round(operations / 1e6, 1) == 5.4
    assert "94.4 %" in DS_CNN_NOTE


def test_the_ds_cnn_is_the_network_that_torch_computes() -> None:
    """Weights and outputs of the layers, by their shapes."""
    conv = torch.nn.functional.conv2d(
        torch.zeros(1, 1, 49 + 9, 10 + 2), torch.zeros(64, 1, 10, 4), stride=2
    )
    assert conv.shape == (1, 64, 25, 5)
    first, depthwise, pointwise = ds_cnn_counts()[:3]
    assert first.updates == depthwise.updates == pointwise.updates == conv.numel()
    assert first.weight_bytes == 4 * 64 * 10 * 4
    assert depthwise.weight_bytes == 4 * 64 * 3 * 3
    assert pointwise.weight_bytes == 4 * 64 * 64
    once = ds_cnn_counts(weights_once=True)
    assert [each.multiply_accumulates for each in once] == [
        each.multiply_accumulates for each in ds_cnn_counts()
    ]
    assert [4 * each.weight_words for each in once] == [each.weight_bytes for each in once]


def test_a_memory_costs_what_its_size_does() -> None:
    kilobyte = 1024
    for size, cost in (
        (8 * kilobyte, 5.0),
        (8 * kilobyte + 1, 10.0),
        (32 * kilobyte, 10.0),
        (32 * kilobyte + 1, 50.0),
        (1024 * kilobyte, 50.0),
        (1024 * kilobyte + 1, 650.0),
    ):
        assert KEYS.access(size) == cost
    large = SpikingNetwork(120, [600, 600], 12)
    inference = Inference(101, 0.0, (1.0, 0.0), (0.0, 0.0))
    rows = energy_by(large, inference, EnergyKeys(**dict.fromkeys(EnergyKeys.model_fields, 0.0)))
    assert rows.total.total_nj == 0
    only_dram = EnergyKeys(**{**dict.fromkeys(EnergyKeys.model_fields, 0.0), "access_dram": 1000.0})
    # 600 x 1,200 weights are more than 1 MB: the one spike from below reads 600 of them.
    assert energy_by(large, inference, only_dram).total.memory_nj == 600


@pytest.mark.parametrize("key", list(EnergyKeys.model_fields))
def test_a_cost_that_rises_lowers_no_energy(key: str) -> None:
    dearer = EnergyKeys(**{key: 2 * getattr(KEYS, key)})
    network = SpikingNetwork(120, [600, 90], 12, encoder_threshold=None)
    inference = Inference(101, 12_000.0, (900.0, 100.0), (9.0, 1.0))
    before, after = (table(energy_by(network, inference, keys)) for keys in (KEYS, dearer))
    assert all(b.total_nj >= a.total_nj for a, b in zip(before, after, strict=True))
    assert after != before
    rose = [b.total_nj > a.total_nj for a, b in zip(before, after, strict=True)]
    assert any(rose), f"{key} has no effect"


def test_more_spikes_cost_more_and_the_others_nothing() -> None:
    busy = energy_by(tiny(), INFERENCE._replace(spikes=(6.0, 8.0)), KEYS)
    assert busy.total.total_nj > energy().total.total_nj
    for before, after in zip(energy().comparisons, busy.comparisons, strict=True):
        assert before.total_nj == after.total_nj


def test_json_is_finite_and_gives_the_rows_back() -> None:
    found = energy()
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert table(content) == table(found)
    names = [row.name for row in table(found)]
    assert names[:5] == ["encoder", "hidden 1", "hidden 2", "readout", "this network"]
    for row in content["layers"]:
        assert row["total_nj"] == row["operations_nj"] + row["memory_nj"]
        assert all(math.isfinite(each) for each in row.values() if isinstance(each, float))
    assert content["costs"] == KEYS.model_dump()
    total = content["total"]
    assert total["accumulates"] == sum(row["accumulates"] for row in content["layers"])


def test_text_is_narrow_and_has_the_numbers() -> None:
    large = SpikingNetwork(120, [512, 512], 35, encoder_threshold=None)
    inference = Inference(101, 12_000.0, (9e3, 9e3), (90.0, 90.0))
    for each in (energy(), energy_by(large, inference, KEYS)):
        assert max(map(len, each.lines())) <= 60
    lines = energy().lines()
    row = next(line for line in lines if line.startswith("DS-CNN "))
    ds_cnn = energy().comparisons[2]
    assert f"{ds_cnn.total_nj:,.0f}" in row
    assert row.endswith(f"{ds_cnn.memory_share:.0%}")
    assert " ".join(lines).endswith(energy().verdict)


def test_the_verdict_follows_from_the_numbers() -> None:
    this = energy().total
    cheaper = replace(this, name="A", operations_nj=2 * this.operations_nj, memory_nj=0.0)
    dearer = replace(this, name="B", memory_nj=10 * this.memory_nj)
    lost = verdict(this, [cheaper, dearer])
    ratio = f"{this.total_nj / cheaper.total_nj:.2g}"
    assert lost == (
        f"It does not win everywhere: with memory traffic it needs {ratio} times the energy of A "
        "(by operations alone 0.5 times)."
    )
    won = verdict(this, [dearer, replace(dearer, name="C", memory_nj=99.0)])
    assert won == (
        "With memory traffic it needs less energy than each of these: "
        f"{this.total_nj / dearer.total_nj:.2g} times that of the nearest (B)."
    )


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_updates_have_the_state_and_the_parameters_of_the_definition(name: str) -> None:
    """What a step changes is state; the parameters are those of the equations."""
    neuron = WITH_KERNELS[name]()
    torch.manual_seed(0)
    learnt = [values.detach() for values in neuron.draw(7).values()]
    parameters = neuron.parameters(learnt)
    state = State(*(torch.rand(1, 7) for _ in range(3)))
    after = neuron.step(torch.rand(1, 7), state, parameters)
    changed = [not torch.equal(a, b) for a, b in zip(state[1:], after[1:], strict=True)]
    assert neuron.update is not None
    assert neuron.update.state == sum(changed)
    assert neuron.update.parameters == len(parameters)
    assert "update" in vars(type(neuron))


def test_a_neuron_of_a_users_own_that_states_no_update_has_no_energy() -> None:
    @dataclass(frozen=True)
    class Own(Neuron):
        name: ClassVar[str] = "own"
        learnable: ClassVar[tuple[str, ...]] = ("tau_mem",)
        tau_mem: Normal = Normal(20.0, 5.0)
        surrogate: Surrogate = MULTI_GAUSSIAN

        def parameters(self, learnt: Iterable[Tensor]) -> Tensor:
            return torch.stack(list(learnt))

        def firing_threshold(self, adaptation: Tensor) -> Tensor:
            return adaptation

        def step(self, current: Tensor, state: State, parameters: Tensor) -> State:
            return state

    assert "own" not in NEURONS
    network = SpikingNetwork(4, [3], 2, neuron=Own())
    inference = Inference(steps=5, inputs=3.0, spikes=(2.0,), last=(0.0,))
    assert energy_of(network, inference, EnergyKeys()) is None
