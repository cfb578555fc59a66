# SPDX-License-Identifier: MPL-2.0
"""One step of training, all of it on the device: nothing in it waits for a result.

Legend: B batch.
"""

import logging

import torch
import torch.nn.functional as F
from torch.optim import Optimizer

from srnn.training.examples import Batch
from srnn.training.optimizer import limit_time_constants
from srnn.training.spotter import Spotter

_WARM_UP = 3  # steps in which kernels are compiled and the optimizer makes its state

_log = logging.getLogger(__name__)


class Step:
    """Trains on one batch: loss, gradients, update.

    Parameters
    ----------
    spotter : Spotter
    optimizer : Optimizer
    limits : tuple of two floats
        Of the time constants, see `srnn.training.optimizer.limit_time_constants`.

    Attributes
    ----------
    totals : Tensor, shape (2,), float64
        The sums of the losses and of the hits of all clips so far, on the device.
    """

    def __init__(self, spotter: Spotter, optimizer: Optimizer, limits: tuple[float, float]) -> None:
        self.spotter = spotter
        self.optimizer = optimizer
        self.limits = limits
        device = next(spotter.parameters()).device
        self.totals = torch.zeros(2, dtype=torch.float64, device=device)

    def __call__(self, batch: Batch) -> None:
        """Train on ``batch``."""
        log_probabilities = self.spotter(batch.features).log_probabilities
        loss = F.nll_loss(log_probabilities, batch.labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        limit_time_constants(self.optimizer, self.limits)
        hits = (log_probabilities.argmax(dim=1) == batch.labels).sum()
        self.totals += torch.stack([loss.detach().double() * len(batch.labels), hits.double()])


class GraphedStep:
    """A step that a GPU replays from a recording, a CUDA graph: hundreds of launches become one.

    What is recorded has one size: batches of another (the last of an epoch) are trained on without
    it, and so are the first few.

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
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batch: Batch | None = None  # where the recording reads from

    def __call__(self, batch: Batch) -> None:
        """Train on ``batch``."""
        if len(batch.labels) != self.batch_size:
            self.step(batch)
        elif self._warm_up:
            self._warm_up -= 1
            self._run_aside(batch)
        else:
            self._replay(batch)

    def _run_aside(self, batch: Batch) -> None:
        """Run on a stream of its own, as a recording does: torch asks for it before recordings."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.step(batch)
        torch.cuda.current_stream().wait_stream(stream)

    def _replay(self, batch: Batch) -> None:
        if self._graph is None or self._batch is None:
            self._batch = Batch(*(tensor.clone() for tensor in batch))
            self.step.optimizer.zero_grad()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):  # records, runs nothing
                self.step(self._batch)
            _log.info("steps of %d clips are replayed as a CUDA graph", self.batch_size)
        else:
            for recorded, tensor in zip(self._batch, batch, strict=True):
                recorded.copy_(tensor)
        self._graph.replay()
