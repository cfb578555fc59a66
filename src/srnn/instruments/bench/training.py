# SPDX-License-Identifier: MPL-2.0
"""Training steps of networks of several sizes and of baselines, in turns."""

import torch

from srnn.bars import progress_bar
from srnn.instruments.bench.baselines import DenseProducts
from srnn.instruments.bench.firing import firing_rates
from srnn.instruments.bench.memory import step_memory
from srnn.instruments.bench.plan import Plan
from srnn.instruments.bench.report import Record
from srnn.instruments.bench.subjects import (
    CLASSES,
    INPUTS,
    Case,
    backends,
    engine,
    make_batch,
    make_network,
    make_subjects,
)
from srnn.instruments.bench.timing import Work, medians
from srnn.network.model import SpikingNetwork

_BASELINES = ("eager", "lstm", "dense")


def step_records(device: torch.device, plan: Plan) -> list[Record]:
    """Return a record for each size, batch and backend: times, memory, and ratios to the baselines.

    A ratio is the time of a baseline over that of the backend: above 1 the backend is faster.
    """
    cases = [
        Case(device, neurons, batch, plan.steps)
        for neurons in plan.neurons
        for batch in plan.batches
    ]
    return [
        record
        for case in progress_bar(cases, "training steps")
        for record in _step_records(case, plan)
    ]


def normalised_records(device: torch.device, plan: Plan) -> list[Record]:
    """Return a record for each batch: a step of a network with batch normalisation, see `Case`.

    Its ratio is the time of the definition, a loop over time steps in each layer, over its own.
    """
    cases = [
        Case(device, plan.typical[0], batch, plan.steps, normalised=True) for batch in plan.batches
    ]
    records = []
    for case in progress_bar(cases, "batch normalisation"):
        network, batch = make_network(case), make_batch(case)
        works: dict[str, Work] = {}
        for name, subject in make_subjects(network, case).items():
            works[name] = subject.works(name, *batch)[f"{name}_step"]
        taken = medians(works, device, rounds=plan.rounds, turn=plan.turn)
        step = taken[device.type]
        records.append(
            _describe(case, network)
            | {
                "step_ms": 1e3 * step,
                "clips_per_second": case.batch / step,
                "reference_step_ratio": taken["reference"] / step,
                "peak_mib": step_memory(device.type, case, network),
            }
        )
    return records


def firing_records(device: torch.device, plan: Plan) -> list[Record]:
    """Return a record for each firing rate: time of a step, and of the dense products."""
    cases = [Case(device, *plan.typical, plan.steps, rate) for rate in plan.rates]
    networks = {case: make_network(case) for case in cases}
    works = {"dense_step": Work(_dense(cases[0]).step)}
    for case, network in networks.items():
        works |= engine(network).works(str(case.rate), *make_batch(case))
    taken = medians(works, device, rounds=plan.rounds, turn=plan.turn)
    records = []
    for case, network in networks.items():
        step, forward = taken[f"{case.rate}_step"], taken[f"{case.rate}_forward"]
        records.append(
            _describe(case, network)
            | {
                "rate_wanted": case.rate,
                "forward_ms": 1e3 * forward,
                "step_ms": 1e3 * step,
                "clips_per_second": case.batch / step,
                "dense_ratio": taken["dense_step"] / step,
            }
        )
    return records


def growth_records(device: torch.device, plan: Plan) -> list[Record]:
    """Return records for growing T, H, B or layers, all others typical: time and memory."""
    neurons, batch = plan.typical
    lines = {
        "steps": [Case(device, neurons, batch, steps) for steps in plan.growing_steps],
        "neurons": [Case(device, size, batch, plan.steps) for size in plan.growing_neurons],
        "batch": [Case(device, neurons, size, plan.steps) for size in plan.growing_batches],
        "layers": [
            Case(device, neurons, batch, plan.steps, layers=layers)
            for layers in plan.growing_layers
        ],
    }
    return [
        record
        for what, cases in progress_bar(lines.items(), "growth")
        for record in _growth_records(what, cases, device, plan)
    ]


def _step_records(case: Case, plan: Plan) -> list[Record]:
    network, batch = make_network(case), make_batch(case)
    subjects = make_subjects(network, case)
    dense = _dense(case)
    works = {"dense_forward": Work(dense.forward), "dense_step": Work(dense.step)}
    for name, subject in subjects.items():
        works |= subject.works(name, *batch)
    taken = medians(works, case.device, rounds=plan.rounds, turn=plan.turn)
    common = _describe(case, network)
    for name in _BASELINES:
        common |= {
            f"{name}_{part}_ms": 1e3 * taken[f"{name}_{part}"] for part in ("forward", "step")
        }
    common |= {f"{name}_peak_mib": step_memory(name, case, network) for name in ("eager", "lstm")}
    records = []
    for backend in backends(case.device):
        step = taken[f"{backend}_step"]
        record = common | {
            "backend": backend,
            "forward_ms": 1e3 * taken[f"{backend}_forward"],
            "step_ms": 1e3 * step,
            "clips_per_second": case.batch / step,
            "peak_mib": step_memory(backend, case, network),
        }
        for name in _BASELINES:
            for part in ("forward", "step"):
                record[f"{name}_{part}_ratio"] = (
                    taken[f"{name}_{part}"] / taken[f"{backend}_{part}"]
                )
        records.append(record)
    return records


def _growth_records(what: str, cases: list[Case], device: torch.device, plan: Plan) -> list[Record]:
    networks = {case: make_network(case) for case in cases}
    works: dict[str, Work] = {}
    for place, case in enumerate(cases):
        works |= engine(networks[case]).works(str(place), *make_batch(case))
    taken = medians(works, device, rounds=plan.rounds, turn=plan.turn)
    return [
        _describe(case, networks[case])
        | {
            "growing": what,
            "forward_ms": 1e3 * taken[f"{place}_forward"],
            "step_ms": 1e3 * taken[f"{place}_step"],
            "clips_per_second": case.batch / taken[f"{place}_step"],
            "peak_mib": step_memory(device.type, case, networks[case]),
        }
        for place, case in enumerate(cases)
    ]


def _describe(case: Case, network: SpikingNetwork) -> Record:
    features, _ = make_batch(case)
    first, *others = firing_rates(network, features)
    return {
        "neurons": case.neurons,
        "batch": case.batch,
        "steps": case.steps,
        "layers": case.layers,
        "rate_1": first,
        "rate_2": others[0] if others else None,
    }


def _dense(case: Case) -> DenseProducts:
    records = case.batch * case.steps
    return DenseProducts(records, INPUTS, case.neurons, CLASSES, case.device)
