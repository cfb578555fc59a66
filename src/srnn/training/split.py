# SPDX-License-Identifier: MPL-2.0
"""How the clips of an epoch are split into batches, and each batch into the shares of processes."""

from collections.abc import Iterator

import torch
from torch import Tensor

from srnn.parallel import ALONE, Group, Share


class Split:
    """The split of a sequence of clips.

    A process takes its share of each batch, and before it, where augmentations mix a clip with the
    one before it in the batch, the clips that its first ones depend on. Where its share is empty,
    it takes one clip all the same: features of no clips cannot be computed.

    Parameters
    ----------
    count : int
        Clips of the sequence.
    size : int >= 1
        Clips of a batch; the last may be smaller.
    first : int
        Clips at the beginning that are left out; a multiple of ``size``.
    group : Group
        The processes that share each batch.
    before : int
        Clips that a process takes before its share. The first clip follows the last one of the
        batch.

    Attributes
    ----------
    rows : slice, or Tensor of shape (n,), int64
        Places in the sequence of all clips that this process takes, batch by batch.
    sizes : list of int
        How many of them belong to each batch.
    before : list of int
        How many of these are not of its share: the first ones.
    shares : list of Share
        Its share of each batch, without the clips before.
    """

    def __init__(
        self, count: int, size: int, first: int = 0, group: Group = ALONE, before: int = 0
    ) -> None:
        starts = range(first, count, size)
        totals = [min(size, count - start) for start in starts]
        own = [group.share_of(total) for total in totals]
        self.shares = [Share(rows.start, total) for rows, total in zip(own, totals, strict=True)]
        self.rows: slice | Tensor
        if group.size == 1:
            self.rows, self.sizes, self.before = slice(first, None), totals, [0] * len(totals)
            return
        self.before = [before if rows.stop > rows.start else 1 for rows in own]
        taken = [
            start + torch.arange(rows.start - others, rows.stop) % total
            for start, rows, total, others in zip(starts, own, totals, self.before, strict=True)
        ]
        self.rows = torch.cat([torch.arange(0), *taken])
        self.sizes = [len(each) for each in taken]

    def batches(self, whole: Tensor) -> Iterator[Tensor]:
        """Yield what a tensor (count, ...) has for the clips that this process takes, by batch."""
        rows = self.rows if isinstance(self.rows, slice) else self.rows.to(whole.device)
        return iter(whole[rows].split(self.sizes))
