# SPDX-License-Identifier: MPL-2.0
"""Steps as a CUDA graph, on a CPU that plays the GPU: above all what remains of a failure."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from srnn.config import SrnnConfig
from srnn.features.normaliser import Normaliser
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import AdaptiveThreshold
from srnn.training import cuda_graph
from srnn.training.batch import Batch
from srnn.training.cuda_graph import GraphedStep
from srnn.training.ema import WeightEma
from srnn.training.optimizer import make_optimizer, set_learning_rates
from srnn.training.spotter import Spotter
from srnn.training.step import Step

SIZES = (6, 6, 2, 6, 6, 6, 2, 6)  # of batches; the fourth of 6 is recorded
FAILURES = ["first stream", "after a first step", "begin", "within", "end", "replay"]


def make_step() -> Step:
    torch.manual_seed(0)
    neuron = AdaptiveThreshold(threshold=0.02)
    network = SpikingNetwork(4, [5, 5], 3, neuron=neuron, batch_norm=True, dropout=0.2)
    spotter = Spotter(Normaliser(None), network)
    settings = SrnnConfig(averaging=0.9, gradient_clip=0.5)
    ema = WeightEma(spotter, settings.averaging)
    return Step(spotter, make_optimizer(network, settings), settings, 3, ema)


def train(step: Step, train_on: Callable[[Batch], None]) -> list[Tensor]:
    """Train on all batches; return everything that this changes."""
    for number, size in enumerate(SIZES):
        generator = torch.Generator().manual_seed(number)
        features = torch.randn(size, 1, 12, 4, generator=generator)
        set_learning_rates(step.optimizer, 1 / (1 + number))
        torch.manual_seed(number)  # as training does for dropout
        train_on(Batch.unmixed(features, torch.arange(size) % 3))
    gradients = [each.grad for each in step.spotter.parameters() if each.grad is not None]
    return [each.clone() for each in (*cuda_graph._changed_by(step), *gradients, torch.rand(3))]


class Device:
    """What `torch.cuda` does for graphs, on the CPU; ``failure`` is when it does so no more."""

    def __init__(self, step: Step, failure: str = "") -> None:
        self.step = step
        self.failure = failure
        self.guarded = False
        self.replays = 0
        self.usual = self.current = self.stream_of(None)

    def stream_of(self, made: object) -> Any:
        def wait_stream(other: object) -> None:
            if other is not self.usual:  # the one that ran aside is waited for
                self.fail_at("after a first step")

        return SimpleNamespace(made=made, wait_stream=wait_stream)

    def fail_at(self, moment: str) -> None:
        if moment == self.failure:
            raise torch.AcceleratorError(f"CUDA error: {moment}\nCompile with ...")

    def new_stream(self) -> Any:
        assert self.guarded, "made on whatever device is the current one"
        self.fail_at("first stream")
        return self.stream_of(self)

    @contextmanager
    def device_of(self, tensor: Tensor) -> Iterator[None]:
        assert tensor is self.step.totals
        self.guarded = True
        yield
        self.guarded = False

    @contextmanager
    def stream(self, stream: object) -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before

    @contextmanager
    def graph(self, graph: SimpleNamespace, stream: object) -> Iterator[None]:
        """Run what is recorded and undo it; as torch's own, leave the stream if all goes well."""
        self.current = stream
        self.fail_at("begin")
        before = cuda_graph._Snapshot(self.step)
        call, batches = Step.__call__, []

        def record(step: Step, batch: Batch) -> None:
            call(step, batch)
            batches.append(batch)
            self.fail_at("within")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Step, "__call__", record)
            yield
        self.fail_at("end")
        before.restore()
        self.current = self.usual

        def replay() -> None:
            self.step(*batches)
            self.replays += 1
            self.fail_at("replay")

        graph.replay = replay

    def take_the_place(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(torch.cuda, "device_of", self.device_of)
        patch.setattr(torch.cuda, "Stream", self.new_stream)
        patch.setattr(torch.cuda, "current_stream", lambda: self.current)
        patch.setattr(torch.cuda, "set_stream", lambda stream: setattr(self, "current", stream))
        patch.setattr(torch.cuda, "stream", self.stream)
        patch.setattr(torch.cuda, "CUDAGraph", SimpleNamespace)
        patch.setattr(torch.cuda, "graph", self.graph)


def test_steps_are_replayed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    eager = make_step()
    expected = train(eager, eager)
    step = make_step()
    device = Device(step)
    device.take_the_place(monkeypatch)
    with caplog.at_level(logging.INFO):
        found = train(step, GraphedStep(step, 6))
    assert device.replays == SIZES.count(6) - 3
    assert caplog.messages == ["steps of 6 clips are replayed as a CUDA graph"]
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_leaves_training_as_if_nothing_had_been_tried(
    failure: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    eager = make_step()
    expected = train(eager, eager)
    step = make_step()
    device = Device(step, failure)
    device.take_the_place(monkeypatch)
    found = train(step, GraphedStep(step, 6))
    assert step.taken == len(SIZES)
    assert all(map(torch.equal, found, expected))
    assert device.current is device.usual
    assert caplog.messages == [
        f"the capture of a CUDA graph failed, steps run without one: CUDA error: {failure}"
    ]


def test_what_fails_without_a_graph_as_well_is_raised(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    step = make_step()
    Device(step).take_the_place(monkeypatch)
    batch = Batch.unmixed(torch.zeros(6, 1, 12, 5), torch.arange(6) % 3)  # 5 bands, not 4
    with pytest.raises(RuntimeError):
        GraphedStep(step, 6)(batch)
    assert len(caplog.messages) == 1


def test_the_generator_of_a_gpu_is_freed_from_a_recording(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []
    generator = SimpleNamespace(
        device=torch.device("cuda", 1),
        get_state=lambda: "drawn before",
        clone_state=lambda: "free",
        graphsafe_set_state=calls.append,
        set_state=calls.append,
    )
    monkeypatch.setattr(torch.cuda, "default_generators", (None, generator))
    of_device, step = cuda_graph._generator, make_step()
    monkeypatch.setattr(cuda_graph, "_generator", lambda _: of_device(generator.device))
    cuda_graph._Snapshot(step).restore()
    assert calls == ["free", "drawn before"]
