# SPDX-License-Identifier: MPL-2.0
"""Training steps as a CUDA graph: captured once, then replayed."""

import logging

import torch
from torch import Tensor

from srnn.training.batch import Batch
from srnn.training.step import Step

_WARM_UP = 3  # steps in which kernels are compiled and the optimizer makes its state

_log = logging.getLogger(__name__)


class GraphedStep:
    """A training step that is captured and replayed as a CUDA graph: one launch, not hundreds.

    A graph has a fixed batch size: the first steps and batches of another size (the last of an
    epoch) run without it. If the capture fails, a warning is logged, the state before that step is
    restored, and all steps run without a graph.

    Parameters
    ----------
    step : Step
        On a CUDA device, with a ``capturable`` optimizer.
    batch_size : int
    """

    def __init__(self, step: Step, batch_size: int) -> None:
        self.step = step
        self.batch_size = batch_size
        self._warm_up = _WARM_UP
        self._failed = False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batch: Batch | None = None  # inputs of the graph

    def __call__(self, batch: Batch) -> None:
        """Train on ``batch``."""
        if self._failed or len(batch.labels) != self.batch_size:
            self.step(batch)
            return
        with torch.cuda.device_of(self.step.totals):  # graphs and streams are of this device
            if self._graph is None:
                self._prepare(batch)
            else:
                self._replay(self._graph, batch)

    def _prepare(self, batch: Batch) -> None:
        """Run a warm-up step, or capture the graph."""
        stream, before = torch.cuda.current_stream(), _Snapshot(self.step)
        try:
            if self._warm_up:
                self._run_aside(batch)
                self._warm_up -= 1
            else:
                self._record(batch)
        except RuntimeError as error:
            torch.cuda.set_stream(stream)  # a failed capture leaves its own stream in use
            before.restore()
            self._failed = True
            reason = str(error).partition("\n")[0]
            _log.warning("the capture of a CUDA graph failed, steps run without one: %s", reason)
        if self._failed:
            self.step(batch)

    def _run_aside(self, batch: Batch) -> None:
        """Run on a stream of its own, which torch requires before a capture."""
        stream, own = torch.cuda.current_stream(), torch.cuda.Stream()
        own.wait_stream(stream)
        with torch.cuda.stream(own):
            self.step(batch)
        stream.wait_stream(own)

    def _record(self, batch: Batch) -> None:
        recorded = batch.map(Tensor.clone)
        self.step.optimizer.zero_grad()
        graph = torch.cuda.CUDAGraph()
        # By default torch uses one stream for the captures of all devices.
        with torch.cuda.graph(graph, stream=torch.cuda.Stream()):  # captures, does not run
            self.step(recorded)
        graph.replay()
        self._graph, self._batch = graph, recorded
        _log.info("steps of %d clips are replayed as a CUDA graph", self.batch_size)

    def _replay(self, graph: torch.cuda.CUDAGraph, batch: Batch) -> None:
        assert self._batch
        for recorded, tensor in zip(self._batch.tensors, batch.tensors, strict=True):
            recorded.copy_(tensor)
        graph.replay()


class _Snapshot:
    """The state before a step: all tensors that it changes, and the random state."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._values = [(tensor, tensor.clone()) for tensor in _changed_by(step)]
        self._is_first = not any(step.optimizer.state.values())
        self._generator = _generator(step.totals.device)
        self._drawn = self._generator.get_state()

    def restore(self) -> None:
        """Restore the state; gradients are None."""
        optimizer = self._step.optimizer
        optimizer.zero_grad()
        if self._is_first:
            optimizer.state.clear()  # it makes its state in the first step
        for tensor, value in self._values:
            tensor.copy_(value)
        if self._generator.device.type == "cuda":
            # The old state is still marked as being captured and cannot be used.
            self._generator.graphsafe_set_state(self._generator.clone_state())
        self._generator.set_state(self._drawn)


def _generator(device: torch.device) -> torch.Generator:
    """Return the random generator of dropout."""
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index]
    return torch.default_generator


def _changed_by(step: Step) -> list[Tensor]:
    """Return the tensors that a step writes to: weights, statistics, averages, moments, sums."""
    modules = [step.spotter, *([step.ema.module] if step.ema else [])]
    return [
        *(tensor for module in modules for tensor in module.state_dict().values()),
        *(moment for each in step.optimizer.state.values() for moment in each.values()),
        *(step.totals, step.taken, step.failed),
    ]
