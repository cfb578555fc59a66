# SPDX-License-Identifier: MPL-2.0
"""Examples: the labels of a partition, where its features come from, and the batches of both.

Features that fit into memory are computed once and kept there; otherwise each batch gets its own
from the waveforms, which lie in GPU memory or, packed, on disk. The numbers are the same. Where
waveforms are varied in every epoch, each batch gets its own, too.

Legend: N examples, B batch, C channels, T frames, M mel bands, S samples of a clip.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import NamedTuple, Self

import torch
from torch import Tensor
from tqdm import tqdm

from srnn.data.augment import Augmenter
from srnn.data.corpus import Clip, Corpus, readouts_of
from srnn.data.labels import BACKGROUND
from srnn.data.names import noise_of
from srnn.features.batched import MelFeatures
from srnn.features.masks import Masker
from srnn.features.mixing import Mixer, neighbours
from srnn.features.reference import MelSpec
from srnn.features.warping import Warper
from srnn.training.waveforms import Waveforms

_CHUNK = 128  # clips that are worked on at a time where all of a partition are
_MAIN_MEMORY = 2**30  # that features may take (bytes)
_GPU_SHARE = 0.25  # of the free memory of a GPU, for features or waveforms


_log = logging.getLogger(__name__)


class Batch(NamedTuple):
    """What a step is made of.

    Attributes
    ----------
    features : Tensor, shape (B, C, T, M), float32
    labels : Tensor, shape (B,), int64
    readouts : Tensor, shape (B,), int64
        What is learnt: which of the readouts each belongs to, see `srnn.data.corpus.readouts_of`.
    others : Tensor, shape (B,), int64
        The readout of what else is in each example, if it is a mixture.
    shares : Tensor, shape (B,), float32
        How much of it belongs to ``readouts``; the rest belongs to ``others``.
    """

    features: Tensor
    labels: Tensor
    readouts: Tensor
    others: Tensor
    shares: Tensor

    @classmethod
    def unmixed(cls, features: Tensor, labels: Tensor, readouts: Tensor | None = None) -> Self:
        """Return a batch of examples that are no mixtures; a readout a label if none are given."""
        readouts = labels if readouts is None else readouts
        whole = torch.ones_like(labels, dtype=torch.float32)
        return cls(features, labels, readouts, readouts, whole)


class Kept:
    """Features in memory, a tensor (N, C, T, M) that lies there time step by time step."""

    def __init__(self, features: Tensor) -> None:
        self.features = features
        self.shape = features.shape

    def batches(
        self,
        order: Tensor,
        size: int,
        device: torch.device,
        epoch: int | None = None,
        first: int = 0,
    ) -> Iterator[Tensor]:
        """Yield the features at ``order``, ``size`` at a time, on ``device``; see `Examples`."""
        for indices in _parts(order[first:].to(self.features.device), size):
            yield self.features.transpose(1, 2)[indices].transpose(1, 2).to(device)


class Computed:
    """Features that are computed for each batch, on the device of ``extract``.

    Parameters
    ----------
    waveforms : Waveforms, or Tensor of shape (N, S)
        In the second case on that device, too.
    extract : MelFeatures
    augmenter : Augmenter, optional
        What varies the waveforms in the epochs of training.
    """

    def __init__(
        self,
        waveforms: Waveforms | Tensor,
        extract: MelFeatures,
        augmenter: Augmenter | None = None,
    ) -> None:
        self.waveforms = waveforms
        self.extract = extract
        self.augmenter = augmenter
        self.shape = (waveforms.shape[0], *extract.spec.shape)

    def batches(
        self,
        order: Tensor,
        size: int,
        device: torch.device,
        epoch: int | None = None,
        first: int = 0,
    ) -> Iterator[Tensor]:
        """Yield the features at ``order``, ``size`` at a time, on ``device``; see `Examples`.

        What the processor has to do for it, a thread of its own does one batch ahead: all of it, or
        for a GPU the reading from disk.
        """
        left = order[first:]
        waveforms: Iterator[Tensor]
        if isinstance(self.waveforms, Tensor):
            parts = _parts(left.to(self.waveforms.device), size)
            waveforms = map(self.waveforms.__getitem__, parts)
        else:
            waveforms = map(self.waveforms.__getitem__, _parts(left, size))
            if device.type == "cuda":
                waveforms = (_on_device(some, device) for some in _ahead(waveforms))
        if self.augmenter and epoch is not None:
            rows = self.augmenter.draw(epoch, len(order))[first:]
            numbers = left.to(rows.device)
            waveforms = map(self.augmenter, waveforms, _parts(numbers, size), _parts(rows, size))
        features = map(self.extract, waveforms)
        yield from features if device.type == "cuda" else _ahead(features)


Source = Kept | Computed
Variation = Warper | Masker | Mixer


@dataclass(frozen=True)
class Examples:
    """A partition.

    Attributes
    ----------
    labels, readouts : Tensor, shape (N,), int64
        Those of `Batch`, in main memory.
    source : Source
        The features.
    words : tuple of str
        What each is a clip of: a word, or a background recording, the folder before its name.
    variations : sequence of Variation
        What varies the features in the epochs of training, and mixes examples, in their order.
    """

    labels: Tensor
    readouts: Tensor
    source: Source
    words: tuple[str, ...]
    variations: Sequence[Variation] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (C, T, M) of the features of an example."""
        return tuple(self.source.shape[1:])

    def batches(
        self,
        order: Tensor,
        size: int,
        device: torch.device,
        *,
        epoch: int | None = None,
        first: int = 0,
    ) -> Iterator[Batch]:
        """Yield the examples at ``order`` in batches of ``size``; the last may be smaller.

        Nothing waits for the device.

        Parameters
        ----------
        order : Tensor, shape (n,), int64
            Indices of examples.
        epoch : int, optional
            The epoch of training that presents them, all or the first of them: how they are varied
            depends on it and on their place in ``order``. None: they are as they are.
        first : int
            How many at the beginning of ``order`` are left out, as having been presented before.
        """
        labels, readouts = (
            _parts(some[order[first:]].to(device), size) for some in (self.labels, self.readouts)
        )
        features = self.source.batches(order, size, device, epoch, first)
        batches = map(Batch.unmixed, features, labels, readouts)
        if epoch is not None:
            for vary in self.variations:
                rows = vary.draw(epoch, len(order))[first:].to(device)
                batches = map(partial(_varied, vary), batches, _parts(rows, size))
        yield from batches

    def chunks(self, device: torch.device) -> Iterator[Batch]:
        """Yield all examples in their order, in batches of a size that suits the memory."""
        return self.batches(torch.arange(len(self.labels)), _CHUNK, device)


def _varied(vary: Variation, batch: Batch, rows: Tensor) -> Batch:
    features = vary(batch.features, rows)
    if isinstance(vary, Mixer):
        return batch._replace(features=features, others=neighbours(batch.readouts), shares=rows)
    return batch._replace(features=features)


def room_for_examples(device: torch.device) -> int:
    """Return how much memory examples may take (bytes): GPU memory for a GPU, else main memory."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(_GPU_SHARE * free)
    return _MAIN_MEMORY


def make_examples(
    corpus: Corpus,
    partitions: Sequence[str],
    spec: MelSpec,
    device: torch.device,
    room: int,
    augmenter: Augmenter | None = None,
    unknown_readouts: int = 1,
) -> dict[str, Examples]:
    """Make the examples of some partitions.

    Parameters
    ----------
    corpus : Corpus
    partitions : sequence of str
        Of the corpus; the first have the first claim to memory.
    spec : MelSpec
    device : torch.device
        What features are computed on.
    room : int >= 0
        Memory that all together may take (bytes); see `room_for_examples`. With 0 every batch is
        computed from the pack.
    augmenter : Augmenter, optional
        What varies the waveforms of the training partition.
    unknown_readouts : int >= 1
        See `srnn.data.corpus.readouts_of`.
    """
    extract = MelFeatures(spec).to(device)
    examples = {}
    for name in partitions:
        clips = corpus.partitions[name]
        labels = torch.tensor([clip.label for clip in clips], dtype=torch.int64)
        readouts = labels
        if name == "training":
            readouts = torch.tensor(readouts_of(corpus, unknown_readouts), dtype=torch.int64)
        waveforms = Waveforms(corpus.packs_of(name), clips, spec.size, spec.sample_rate)
        computed = Computed(waveforms, extract, augmenter if name == "training" else None)
        source, taken = _settle(computed, waveforms, device, room, name)
        room -= taken
        examples[name] = Examples(labels, readouts, source, tuple(map(_word, clips)))
    return examples


def _word(clip: Clip) -> str:
    return f"{BACKGROUND}/{noise_of(clip.name)}" if clip.word == BACKGROUND else clip.word


def _settle(
    computed: Computed, waveforms: Waveforms, device: torch.device, room: int, title: str
) -> tuple[Source, int]:
    """Bring into memory what there is room for; return the source and what it takes (bytes)."""
    size = 4 * prod(computed.shape)
    everything = torch.arange(waveforms.shape[0])
    where = "on the GPU" if device.type == "cuda" else "in main memory"
    if size <= room and not computed.augmenter:
        _log.info("%s: features are kept %s (%.0f MB)", title, where, size / 1e6)
        count, channels, frames, bands = computed.shape
        features = torch.empty(count, frames, channels, bands, device=device).transpose(1, 2)
        _fill(features, computed.batches(everything, _CHUNK, device), f"{title} features")
        return Kept(features), size
    if device.type == "cuda" and waveforms.nbytes <= room:
        _log.info(
            "%s: waveforms are kept on the GPU (%.0f MB), features computed for each batch",
            title,
            waveforms.nbytes / 1e6,
        )
        whole = torch.empty(waveforms.shape, dtype=waveforms.dtype, device=device)
        _fill(whole, _ahead(map(waveforms.__getitem__, _parts(everything, _CHUNK))), title)
        return Computed(whole, computed.extract, computed.augmenter), waveforms.nbytes
    _log.info("%s: features are computed for each batch, from the pack", title)
    return computed, 0


def _fill(whole: Tensor, chunks: Iterator[Tensor], title: str) -> None:
    """Copy chunks of examples into a tensor, under a progress bar."""
    bar = tqdm(desc=title, total=len(whole), unit="clip", leave=False, disable=None)
    with bar:
        for part, chunk in zip(_parts(whole, _CHUNK), chunks, strict=True):
            part.copy_(chunk)
            bar.update(len(part))


def _parts(whole: Tensor, size: int) -> Iterator[Tensor]:
    return (whole[first : first + size] for first in range(0, len(whole), size))


def _ahead(items: Iterator[Tensor]) -> Iterator[Tensor]:
    """Yield the items of an iterator, which a thread asks one item ahead."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def _on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to the device; from pinned memory, so that the host need not wait."""
    return tensor.pin_memory().to(device, non_blocking=True)
