# SPDX-License-Identifier: MPL-2.0
"""Where the features of a partition come from: memory, or the waveforms of each batch.

Legend: N examples, B batch, C channels, T frames, M mel bands, S samples of a clip.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from srnn.augment.augmentation import WaveformAugmentation
from srnn.data.levels import FULL_SCALE
from srnn.features.batched import MelFeatures
from srnn.training.split import Split

_Item = TypeVar("_Item")


class Indexed(Protocol):
    """Waveforms that are read on demand, such as `srnn.training.waveforms.Waveforms`."""

    @property
    def shape(self) -> tuple[int, int]:
        """Their number and their length, (N, S)."""

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Return the waveforms at indices (B,), shape (B, S)."""


class Kept:
    """Features in memory, a tensor (N, C, T, M) that lies there time step by time step."""

    augmentations: tuple[WaveformAugmentation, ...] = ()

    def __init__(self, features: Tensor) -> None:
        self.features = features
        self.shape = features.shape

    def batches(
        self, order: Tensor, split: Split, device: torch.device, epoch: int | None = None
    ) -> Iterator[Tensor]:
        """Yield the features at ``order``, batch by batch, on ``device``; see `Examples`."""
        for indices in split.batches(order.to(self.features.device)):
            yield self.features.transpose(1, 2)[indices].transpose(1, 2).to(device)


class Computed:
    """Features that are computed for each batch, on the device of ``extract``.

    Parameters
    ----------
    waveforms : Indexed, or Tensor of shape (N, S)
        In the second case on that device, too.
    extract : MelFeatures
    augmentations : sequence of WaveformAugmentation
        Of the epochs of training, in their order.
    seed : int >= 0
        Of their draws.
    """

    def __init__(
        self,
        waveforms: Indexed | Tensor,
        extract: MelFeatures,
        augmentations: Sequence[WaveformAugmentation] = (),
        seed: int = 0,
    ) -> None:
        self.waveforms = waveforms
        self.extract = extract
        self.augmentations = augmentations
        self.seed = seed
        self.shape = (waveforms.shape[0], *extract.spec.shape)

    def on_device(self, waveforms: Tensor) -> "Computed":
        """Return the same features, of waveforms (N, S) on the device of ``extract``."""
        return Computed(waveforms, self.extract, self.augmentations, self.seed)

    def batches(
        self, order: Tensor, split: Split, device: torch.device, epoch: int | None = None
    ) -> Iterator[Tensor]:
        """Yield the features at ``order``, batch by batch, on ``device``; see `Examples`.

        For a GPU a thread reads one batch ahead from disk.
        """
        waveforms: Iterator[Tensor]
        if isinstance(self.waveforms, Tensor):
            indices = split.batches(order.to(self.waveforms.device))
            waveforms = map(self.waveforms.__getitem__, indices)
        else:
            waveforms = map(self.waveforms.__getitem__, split.batches(order))
            if device.type == "cuda":
                waveforms = (_on_device(some, device) for some in ahead(waveforms))
        if self.augmentations and epoch is not None:
            where = self.extract.window.device
            waveforms = map(as_floats, waveforms)
            for augment in self.augmentations:
                draws = split.batches(augment.draws(self.seed, epoch, len(order)).to(where))
                waveforms = map(augment, waveforms, draws, split.batches(order.to(where)))
        return map(self.extract, waveforms)


Source = Kept | Computed


def ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """Yield the items of an iterator; a thread computes the next one meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def _on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to the device; from pinned memory, so that the host need not wait."""
    return tensor.pin_memory().to(device, non_blocking=True)


def as_floats(waveforms: Tensor) -> Tensor:
    """Return waveforms (B, S) of 16-bit integers or floats as floats in [-1, 1)."""
    return waveforms if waveforms.is_floating_point() else waveforms / FULL_SCALE
