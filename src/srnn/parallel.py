# SPDX-License-Identifier: MPL-2.0
"""Processes that train one network together, each on its share of every batch.

``torchrun`` starts them, and torch.distributed connects them: gloo on CPUs, NCCL on GPUs. All hold
the same weights and take the same steps, as the gradients are those of the whole batch. The first
process alone writes.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from srnn.errors import InputError, LostProcessError

# A process waits so long for another one, such as the first while it downloads the data set. The
# end of a process is noticed at once on CPUs, and by torchrun.
_TIMEOUT = timedelta(hours=2)

_VARIABLES = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
"""Environment variables that torchrun sets."""

_T = TypeVar("_T")


class Share(NamedTuple):
    """The clips of a batch that a process has.

    Attributes
    ----------
    first : int
        Place of the first of them in the batch.
    total : int >= 1
        Clips of the batch, those of all processes.
    """

    first: int
    total: int


@dataclass(frozen=True)
class Group:
    """The processes of a job; by default there is one.

    Each method that communicates waits until all processes have called it, and raises
    `LostProcessError` if one of them is gone.

    Attributes
    ----------
    rank : int
        Number of this process, from 0.
    size : int
        Number of processes.
    on_machine : int
        How many of them are on this machine.
    number : int
        Number of this process among them, from 0.
    """

    rank: int = 0
    size: int = 1
    on_machine: int = 1
    number: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def __str__(self) -> str:
        return f"process {self.rank} of {self.size} ({socket.gethostname()})"

    def share_of(self, count: int) -> slice:
        """Return the share of this process in ``count`` clips; it may be empty."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def broadcast_object(self, value: _T | None) -> _T:
        """Return the first process's value of any kind; what the others pass is ignored."""
        if self.size == 1:
            return cast(_T, value)
        values = [value if self.is_first else None]
        with _connected():
            dist.broadcast_object_list(values, src=0)
        return cast(_T, values[0])

    def broadcast(self, tensor: Tensor) -> None:
        """Overwrite a tensor by that of the first process."""
        if self.size > 1:
            with _connected():
                dist.broadcast(tensor, src=0)

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Overwrite a contiguous tensor by its sum over the processes; return it."""
        if self.size > 1:
            with _connected():
                dist.all_reduce(tensor)
        return tensor

    def differentiable_sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over the processes, differentiable.

        Gradients are those of the sum of what the processes differentiate.
        """
        return tensor if self.size == 1 else cast(Tensor, _Sum.apply(tensor, self))

    def gather_shares(self, own: Tensor, count: int) -> Tensor:
        """Return a tensor (count, ...) of which each process has its share, see `share_of`."""
        if self.size == 1:
            return own
        rows = own.new_zeros(count, *own.shape[1:])
        rows[self.share_of(count)] = own
        self.all_reduce(rows.view(torch.uint8))  # bytes: whatever the type, nothing is rounded
        return rows

    def all_gather(self, tensor: Tensor) -> Tensor:
        """Return the tensors of all processes, which have the same shape, shape (size, ...)."""
        return self.gather_shares(tensor[None], self.size)

    def choose_gpu(self) -> None:
        """Make the GPU of this process's number on its machine the current one.

        Raises
        ------
        InputError
            If there are more processes than GPUs.
        """
        gpus = torch.cuda.device_count()
        if self.number >= gpus:
            raise InputError(
                f"--nproc-per-node: expected at most {gpus}, the GPUs of {socket.gethostname()}, "
                f"found {self.on_machine}"
            )
        torch.cuda.set_device(self.number)

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Within the context, let the first process go before the others."""
        if not self.is_first:
            self.broadcast_object(None)
        yield
        if self.is_first:
            self.broadcast_object(None)


ALONE = Group()
"""One process."""


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return group.all_reduce(tensor.clone(memory_format=torch.contiguous_format))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        group: Group = ctx.group
        return group.all_reduce(gradient.clone(memory_format=torch.contiguous_format)), None


class OfWholeBatches(nn.Module):
    """A module with a result that depends on the other clips of a batch.

    Attributes
    ----------
    group : Group
        The processes that share the current batch, see `whole_batches`.
    """

    group = ALONE


@contextmanager
def whole_batches(module: nn.Module, group: Group) -> Iterator[None]:
    """Within the context, let a module compute with the shares of all processes."""
    if group.size == 1:
        yield
        return
    parts = [each for each in module.modules() if isinstance(each, OfWholeBatches)]
    for part in parts:
        part.group = group
    try:
        yield
    finally:
        for part in parts:
            part.group = ALONE


@contextmanager
def job() -> Iterator[Group]:
    """Join the processes that torchrun has started, within the context; else there is one.

    Raises
    ------
    LostProcessError
        If the others cannot be reached.
    """
    environment = os.environ
    if not environment.keys() >= _VARIABLES:
        yield ALONE
        return
    with _connected():
        store, rank, size = next(rendezvous("env://"))
        if environment.get("GROUP_WORLD_SIZE") == "1":
            # torchrun keeps the store when it restarts processes, with the addresses of those that
            # are gone (https://github.com/pytorch/pytorch/issues/135712). On several machines the
            # number of restarts may differ.
            attempt = environment.get("TORCHELASTIC_RESTART_COUNT", "0")
            store = PrefixStore(f"attempt {attempt}", store)
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_TIMEOUT)
    on_machine = int(environment.get("LOCAL_WORLD_SIZE", 1))
    group = Group(rank, size, on_machine, int(environment.get("LOCAL_RANK", 0)))
    try:
        yield group
    finally:
        with contextlib.suppress(RuntimeError):  # of a process that is gone: it was reported
            dist.destroy_process_group()


@contextmanager
def _connected() -> Iterator[None]:
    """Tell the end of another process from other errors; gloo's have no class of their own."""
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error).lower()):
            raise
        reason = str(error).partition("\n")[0]
        raise LostProcessError(f"another process of the job is gone ({reason})") from error
