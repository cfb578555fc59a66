# SPDX-License-Identifier: MPL-2.0
"""The bench at tiny sizes: what it compares, how it takes turns, what it says. Never a time."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from srnn import cli
from srnn.data.names import speaker_of
from srnn.data.partitions import partition_of_speaker
from srnn.instruments.bench import Plan
from srnn.instruments.bench.baselines import DenseProducts, EagerLoop
from srnn.instruments.bench.epoch import write_recordings
from srnn.instruments.bench.firing import firing_rates
from srnn.instruments.bench.memory import step_memory
from srnn.instruments.bench.subjects import (
    Case,
    fresh_network,
    make_batch,
    make_network,
    make_subjects,
)
from srnn.instruments.bench.timing import Work, in_fresh_process, medians

CPU = torch.device("cpu")
TINY = Plan(
    neurons=(12,),
    batches=(3,),
    steps=20,
    typical=(12, 8),
    rates=(0.0, 0.1),
    growing_steps=(10,),
    growing_neurons=(),
    growing_batches=(2,),
    growing_layers=(1, 3),
    clips=16,
    epochs=1,
    rounds=1,
    turn=1e-6,
)


def test_the_eager_loop_computes_what_the_network_does() -> None:
    case = Case(CPU, neurons=24, batch=4, steps=30)
    network = make_network(case)
    loop = EagerLoop(network)
    features, labels = make_batch(case)
    expected = network(features).log_probabilities
    found = loop(features)
    torch.testing.assert_close(found, expected)
    for output in (expected, found):
        F.nll_loss(output, labels).backward()
    pairs = {
        "threshold": network.encoder.threshold,
        "input.weight": network.hidden[0].get_parameter("input.weight"),
        "recurrent.weight": network.hidden[1].get_parameter("recurrent.weight"),
        "tau_mem.1": network.hidden[1].get_parameter("tau_mem"),
        "tau_adapt.0": network.hidden[0].get_parameter("tau_adapt"),
        "tau_readout": network.readout.tau_mem,
    }
    for name, parameter in pairs.items():
        ours, theirs = loop.get_parameter(name).grad, parameter.grad
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6, msg=name)
    rates = [sum(steps) / len(steps) for steps in loop.firing_rates]
    assert rates == pytest.approx(firing_rates(network, features), rel=1e-5)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.1, 0.3])
def test_networks_fire_at_the_rate_asked_for(rate: float) -> None:
    case = Case(CPU, neurons=100, batch=8, rate=rate)
    found = firing_rates(make_network(case), make_batch(case)[0])
    assert found == pytest.approx([rate, rate], abs=0.002 if rate else 0)


def test_a_third_of_the_inputs_are_events() -> None:
    features, _ = make_batch(Case(CPU))
    assert (features.abs() > 0.05).float().mean().item() == pytest.approx(1 / 3, abs=0.01)


def test_all_subjects_start_from_the_same_network_and_training_leaves_it() -> None:
    case = Case(CPU, neurons=12, batch=4, steps=20)
    subjects = make_subjects(make_network(case), case)
    assert set(subjects) == {"cpu", "reference", "eager", "lstm"}
    features, labels = make_batch(case)
    for subject in subjects.values():
        before = subject.model(features)
        subject.step(features, labels)
        assert torch.equal(subject.model(features), before)
    same = [subjects[name].model(features) for name in ("cpu", "reference", "eager")]
    for output in same[1:]:
        torch.testing.assert_close(output, same[0])


def test_dense_products_are_those_of_a_step() -> None:
    dense = DenseProducts(rows=6, inputs=5, size=4, classes=3, device=CPU)
    dense.step()
    shapes = [tuple(product.weight.shape) for product in dense.products]
    assert shapes == [(4, 5), (4, 4), (4, 4), (3, 4)]
    for product in dense.products:
        weight = product.weight.requires_grad_()
        inputs = product.inputs.requires_grad_()
        result = F.linear(inputs, weight)
        result.backward(product.outputs)
        torch.testing.assert_close(product.result, result)
        torch.testing.assert_close(product.grad_inputs, inputs.grad)
        torch.testing.assert_close(product.grad_weight, weight.grad)


def test_works_take_turns_and_every_other_round_goes_backwards() -> None:
    calls: list[str] = []
    works = {name: Work(partial(calls.append, name)) for name in "abc"}
    taken = medians(works, CPU, rounds=3, turn=1e-9)
    assert "".join(calls).endswith("abccbaabc")
    assert list(taken) == ["a", "b", "c"]


def test_the_fastest_regime_is_taken() -> None:
    regimes: list[str] = []

    @contextmanager
    def slow() -> Iterator[None]:
        regimes.append("slow")
        yield

    @contextmanager
    def fast() -> Iterator[None]:
        regimes.append("fast")
        yield

    work = Work(lambda: time.sleep(0.02 if regimes[-1] == "slow" else 0), (slow, fast))
    medians({"work": work}, CPU, rounds=4, turn=1e-9)
    assert regimes[-4:] == ["fast"] * 4
    assert "slow" in regimes


def test_a_fresh_process_works_on_one_core() -> None:
    assert in_fresh_process(torch.get_num_threads) == 1


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux records peaks")
def test_memory_of_a_step_holds_at_least_what_the_loop_keeps() -> None:
    case = Case(CPU, neurons=64, batch=128, steps=30)
    spikes = 2 * case.steps * case.batch * case.neurons * 4 / 2**20  # MiB
    found = step_memory("eager", case, fresh_network(case))
    assert found is not None
    assert spikes < found < 100 * spikes


def test_recordings_are_noise_or_copies_in_all_partitions(tones: Path, tmp_path: Path) -> None:
    for name, dataroot, words in (
        ("noise", None, 12),
        ("copies", tones / "tones", 3),
    ):
        folder = tmp_path / name
        folder.mkdir()
        recordings = write_recordings(folder, 30, dataroot)
        assert len(recordings.words) == words
        assert len(recordings.training) == 30
        for path, label in recordings.training:
            assert path.parent.name == recordings.words[label]
        partitions = [partition_of_speaker(speaker_of(p.name)) for p in folder.glob("*/*.wav")]
        counts = {partition: partitions.count(partition) for partition in set(partitions)}
        assert counts == {"training": 30, "validation": words, "testing": words}
    copied = {path.read_bytes() for path in (tmp_path / "copies").glob("*/*.wav")}
    assert copied <= {path.read_bytes() for path in (tones / "tones").glob("*/*.wav")}


def test_the_command_prints_tables_and_writes_their_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("srnn.instruments.bench.QUICK", TINY)
    file = tmp_path / "bench.json"
    assert cli.run(["bench", "--quick", "--json", str(file)]) == 0
    printed, logged = capsys.readouterr()
    figures = json.loads(file.read_text())
    assert figures["machine"]["torch"] == torch.__version__
    records = {name: of_section(figures["records"], name) for name in sections(figures["records"])}
    assert list(records) == [
        "step",
        "batch_norm",
        "firing",
        "growth",
        "features",
        "packing",
        "epoch",
    ]
    for name, found in records.items():
        assert f"measuring on cpu: {name}" in logged
        for record in found:
            numbers = [value for value in record.values() if isinstance(value, float)]
            assert all(math.isfinite(number) for number in numbers), record

    sizes = [(record["neurons"], record["batch"], record["backend"]) for record in records["step"]]
    assert sizes == [(12, 3, "cpu"), (12, 3, "reference")]
    for record in records["step"]:
        for other in ("eager", "lstm", "dense"):
            for part in ("forward", "step"):
                ratio = record[f"{other}_{part}_ms"] / record[f"{part}_ms"]
                assert record[f"{other}_{part}_ratio"] == pytest.approx(ratio)
        assert record["clips_per_second"] == pytest.approx(
            1e3 * record["batch"] / record["step_ms"]
        )
    assert [record["rate_1"] > 0 for record in records["firing"]] == [False, True]
    varied = [(record["growing"], record[record["growing"]]) for record in records["growth"]]
    assert varied == [("steps", 10), ("batch", 2), ("layers", 1), ("layers", 3)]
    assert [record["rate_2"] is None for record in records["growth"]] == [False, False, True, False]
    (record,) = records["batch_norm"]
    assert record["batch"] == 3
    assert record["rate_1"] == pytest.approx(0.1, abs=0.03)
    assert record["reference_step_ratio"] > 0
    assert [record["features"] for record in records["features"]] == ["librosa", "batched"]
    assert [record["use"] for record in records["packing"]] == ["first", "later"]
    assert [record["loop"] for record in records["epoch"]] == ["eager", "package", "kept"]
    assert {record["clips"] for record in records["epoch"]} == {TINY.clips}

    lines = printed.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) > len(figures["records"])
    assert figures["machine"]["cpu"] in " ".join(lines[:4])


def test_a_data_root_without_a_data_set_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["bench", "--dataroot", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error == f"--dataroot {tmp_path}: expected a data set, found none or several\n"


def sections(records: list[dict[str, Any]]) -> dict[str, None]:
    return {record["section"]: None for record in records}


def of_section(records: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [record for record in records if record["section"] == name]
