# SPDX-License-Identifier: MPL-2.0
"""Examples: the labels of a partition, where its features come from, and the batches of both.

Features that fit into memory are computed once and kept there; otherwise each batch gets its own
from the waveforms, which lie in GPU memory or, packed, on disk. The numbers are the same. With
augmented waveforms features are computed for each batch, too.

Legend: N examples, B batch, C channels, T frames, M mel bands, S samples of a clip.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from operator import itemgetter

import torch
from torch import Tensor

from srnn.augment.augmentation import FeatureAugmentation, WaveformAugmentation, neighbours
from srnn.bars import progress_bar
from srnn.data.corpus import Clip, Corpus, targets_of
from srnn.data.labels import BACKGROUND
from srnn.data.names import noise_of
from srnn.features.batched import MelFeatures
from srnn.features.reference import MelSpec
from srnn.parallel import ALONE, Group
from srnn.training.batch import Batch
from srnn.training.sources import Computed, Kept, Source, ahead
from srnn.training.split import Split
from srnn.training.waveforms import Waveforms

_CHUNK = 128  # clips processed at a time
_MAIN_MEMORY = 2**30  # that features may take (bytes)
_GPU_FRACTION = 0.25  # of the free memory of a GPU, for features or waveforms


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examples:
    """A partition.

    Attributes
    ----------
    labels, targets : Tensor, shape (N,), int64
        Those of `Batch`, in main memory.
    source : Source
        The features.
    words : tuple of str
        Word of each clip; for silence, folder and name of its background recording.
    augmentations : sequence of FeatureAugmentation
        Of the epochs of training, in their order.
    seed : int >= 0
        Of their draws.
    classes : int
        Labels of the task; `_unknown_`, if there is one, is the last.
    """

    labels: Tensor
    targets: Tensor
    source: Source
    words: tuple[str, ...]
    augmentations: Sequence[FeatureAugmentation] = ()
    seed: int = 0
    classes: int = 0

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
        group: Group = ALONE,
    ) -> Iterator[Batch]:
        """Yield the examples at ``order`` in batches of ``size``; the last may be smaller.

        Nothing waits for a GPU; on a CPU a thread computes one batch ahead. Of each batch, it is
        the share of this process in ``group``.

        Parameters
        ----------
        order : Tensor, shape (n,), int64
            Indices of examples.
        epoch : int, optional
            The epoch of training that presents them, all or the first of them: how they are varied
            depends on it and on their place in ``order``. None: they are as they are.
        first : int
            How many at the beginning of ``order`` are left out, as having been presented before.
        group : Group
        """
        applied = [] if epoch is None else [*self.source.augmentations, *self.augmentations]
        split = Split(len(order), size, first, group, sum(each.mixes for each in applied))
        labels, targets = (
            some.to(device).split(split.sizes) for some in self._answers(order, split, epoch)
        )
        features = self.source.batches(order, split, device, epoch)
        batches = map(Batch.unmixed, features, labels, targets, split.shares)
        if epoch is not None:
            for augment in self.augmentations:
                draws = split.batches(augment.draws(self.seed, epoch, len(order)).to(device))
                batches = map(partial(_augmented, augment), batches, draws)
        batches = map(_without_neighbours, batches, split.before)
        yield from batches if device.type == "cuda" else ahead(batches)

    def _answers(self, order: Tensor, split: Split, epoch: int | None) -> tuple[Tensor, Tensor]:
        """Return labels and targets of the examples that a split takes, see `batches`."""
        taken = order[split.rows]
        labels, targets = self.labels[taken], self.targets[taken]
        if epoch is None:
            return labels, targets
        for augment in (each for each in self.source.augmentations if each.relabels):
            draws = augment.draws(self.seed, epoch, len(order))
            batches = zip(split.batches(draws), split.batches(order), strict=True)
            found = [augment.unknown(some, clips) for some, clips in batches]
            unknown = torch.cat([torch.zeros(0, dtype=torch.bool), *found])
            # The last label, and its output for words without one of their own.
            labels = labels.masked_fill(unknown, self.classes - 1)
            targets = targets.masked_fill(unknown, self.classes - 1)
        return labels, targets

    def chunks(self, device: torch.device, group: Group = ALONE) -> Iterator[Batch]:
        """Yield all examples in their order, in batches of a size that suits the memory."""
        return self.batches(torch.arange(len(self.labels)), _CHUNK, device, group=group)


def _without_neighbours(batch: Batch, before: int) -> Batch:
    """Return a batch without its first examples, which are there for mixing only."""
    return batch.map(itemgetter(slice(before, None))) if before else batch


def _augmented(augment: FeatureAugmentation, batch: Batch, draws: Tensor) -> Batch:
    batch = batch._replace(features=augment(batch.features, draws))
    weights = augment.own_weights(draws)
    if weights is None:
        return batch
    return batch._replace(mixed_targets=neighbours(batch.targets), weights=weights)


def memory_budget_of(device: torch.device) -> int:
    """Return the memory budget of examples (bytes): GPU memory for a GPU, else main memory."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(_GPU_FRACTION * free)
    return _MAIN_MEMORY


def make_examples(
    corpus: Corpus,
    partitions: Sequence[str],
    spec: MelSpec,
    device: torch.device,
    memory_budget: int,
    augmentations: Sequence[WaveformAugmentation] = (),
    seed: int = 0,
    unknown_readouts: int = 1,
    group: Group = ALONE,
) -> dict[str, Examples]:
    """Make the examples of some partitions.

    Parameters
    ----------
    corpus : Corpus
    partitions : sequence of str
        In order of their priority for the memory budget.
    spec : MelSpec
    device : torch.device
        Device on which features are computed.
    memory_budget : int >= 0
        Memory budget of all partitions (bytes); see `memory_budget_of`. With 0 every batch is
        computed from the pack.
    augmentations : sequence of WaveformAugmentation
        Of the training partition.
    seed : int >= 0
        Of their draws.
    unknown_readouts : int >= 1
        See `srnn.data.corpus.targets_of`.
    group : Group
        Processes that share the work; all have all examples afterwards.
    """
    extract = MelFeatures(spec).to(device)
    examples = {}
    for name in partitions:
        clips = corpus.partitions[name]
        labels = torch.tensor([clip.label for clip in clips], dtype=torch.int64)
        targets = labels
        if name == "training":
            targets = torch.tensor(targets_of(corpus, unknown_readouts), dtype=torch.int64)
        waveforms = Waveforms(corpus.packs_of(name), clips, spec.size, spec.sample_rate)
        computed = Computed(waveforms, extract, augmentations if name == "training" else (), seed)
        source, taken = _choose_source(computed, waveforms, device, memory_budget, name, group)
        memory_budget -= taken
        examples[name] = Examples(
            labels, targets, source, tuple(map(_word, clips)), (), seed, len(corpus.labels)
        )
    return examples


def _word(clip: Clip) -> str:
    return f"{BACKGROUND}/{noise_of(clip.name)}" if clip.word == BACKGROUND else clip.word


def _choose_source(
    computed: Computed,
    waveforms: Waveforms,
    device: torch.device,
    budget: int,
    title: str,
    group: Group,
) -> tuple[Source, int]:
    """Choose the source of features that fits into the budget; return it and its size (bytes)."""
    size = 4 * prod(computed.shape)
    everything = torch.arange(waveforms.shape[0])
    split = Split(len(everything), _CHUNK, group=group)
    where = "on the GPU" if device.type == "cuda" else "in main memory"
    if size <= budget and not computed.augmentations:
        _log.info("%s: features are kept %s (%.0f MB)", title, where, size / 1e6)
        count, channels, frames, bands = computed.shape
        features = torch.empty(count, frames, channels, bands, device=device).transpose(1, 2)
        _fill(
            features, computed.batches(everything, split, device), f"{title} features", split, group
        )
        return Kept(features), size
    if device.type == "cuda" and waveforms.nbytes <= budget:
        _log.info(
            "%s: waveforms are kept on the GPU (%.0f MB), features computed for each batch",
            title,
            waveforms.nbytes / 1e6,
        )
        whole = torch.empty(waveforms.shape, dtype=waveforms.dtype, device=device)
        chunks = map(waveforms.__getitem__, split.batches(everything))
        _fill(whole, ahead(chunks), title, split, group)
        return computed.on_device(whole), waveforms.nbytes
    _log.info("%s: features are computed for each batch, from the pack", title)
    return computed, 0


def _fill(whole: Tensor, chunks: Iterator[Tensor], title: str, split: Split, group: Group) -> None:
    """Copy chunks of examples, of which each process has its share, into a tensor of all."""
    parts = whole.split([share.total for share in split.shares])
    with progress_bar(desc=title, total=len(whole), unit="clip") as bar:
        for part, chunk, before in zip(parts, chunks, split.before, strict=True):
            part.copy_(group.gather_shares(chunk[before:], len(part)))
            bar.update(len(part))
