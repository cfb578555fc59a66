# SPDX-License-Identifier: MPL-2.0
"""Steps of training as a CUDA graph: recorded once, then launched as one."""

import logging

import torch
from torch import Tensor

from srnn.training.batch import Batch
from srnn.training.step import Step

_WARM_UP = 3  # steps in which kernels are compiled and the optimizer makes its state

_log = logging.getLogger(__name__)


class GraphedStep:
    """A step that a GPU replays from a recording, a CUDA graph: hundreds of launches become one.

    What is recorded has one size: batches of another (the last of an epoch) are trained on without
    it, and so are the first few. Where recording fails, a warning says so and all steps are taken
    without it; the batch of that step is trained on once, as if nothing had been tried.

    Parameters
    ----------
    step : Step
        On a CUDA device, with an optimizer that can be recorded (``capturable``).
    batch_size : int
    """

    def __init__(self, step: Step, batch_size: int) -> None:
        self.step = step
        self.batch_size = batch_size
        self._warm_up = _WARM_UP
        self._failed = False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batch: Batch | None = None  # where the recording reads from

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
        """Take one of the first steps, the last of which is recorded."""
        stream, before = torch.cuda.current_stream(), _Snapshot(self.step)
        try:
            if self._warm_up:
                self._run_aside(batch)
                self._warm_up -= 1
            else:
                self._record(batch)
        except RuntimeError as error:
            torch.cuda.set_stream(stream)  # a recording that fails leaves its own in use
            before.restore()
            self._failed = True
            reason = str(error).partition("\n")[0]
            _log.warning("steps are not replayed as a CUDA graph, which failed: %s", reason)
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
        recorded = Batch(*(tensor.clone() for tensor in batch))
        self.step.optimizer.zero_grad()
        graph = torch.cuda.CUDAGraph()
        # torch would share one stream among all recordings, of whatever device.
        with torch.cuda.graph(graph, stream=torch.cuda.Stream()):  # records, runs nothing
            self.step(recorded)
        graph.replay()
        self._graph, self._batch = graph, recorded
        _log.info("steps of %d clips are replayed as a CUDA graph", self.batch_size)

    def _replay(self, graph: torch.cuda.CUDAGraph, batch: Batch) -> None:
        assert self._batch
        for recorded, tensor in zip(self._batch, batch, strict=True):
            recorded.copy_(tensor)
        graph.replay()


class _Snapshot:
    """All that a step changes, as it is before it, and the random numbers that it would draw."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._values = [(tensor, tensor.clone()) for tensor in _changed_by(step)]
        self._is_first = not any(step.optimizer.state.values())
        self._generator = _generator(step.totals.device)
        self._drawn = self._generator.get_state()

    def restore(self) -> None:
        """Make everything as it was; gradients are none."""
        optimizer = self._step.optimizer
        optimizer.zero_grad()
        if self._is_first:
            optimizer.state.clear()  # it makes its state in the first step
        for tensor, value in self._values:
            tensor.copy_(value)
        if self._generator.device.type == "cuda":
            # The old state stays marked as being recorded, and draws nothing any more.
            self._generator.graphsafe_set_state(self._generator.clone_state())
        self._generator.set_state(self._drawn)


def _generator(device: torch.device) -> torch.Generator:
    """Return what dropout draws from."""
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
