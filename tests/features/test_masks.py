# SPDX-License-Identifier: MPL-2.0
"""What masks cover, what they put there, and that seed, epoch and place alone decide it."""

import torch

from srnn.features.masks import Masker, Masking

FILL = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]])  # (C, M)


def masked(masking: Masking, clips: int = 200, epoch: int = 1, seed: int = 0) -> torch.Tensor:
    """Return features (clips, 2, 12, 5) of zeros with their masks, laid out as a network reads."""
    masker = Masker(masking, FILL, seed)
    features = torch.zeros(clips, 12, 2, 5).transpose(1, 2)
    return masker(features, masker.draw(epoch, clips))


def test_time_masks_cover_a_stretch_of_all_bands() -> None:
    features = masked(Masking(time_masks=1, time_mask=4))
    covered = features != 0
    frames = covered[:, 0, :, 0]
    assert torch.equal(covered, frames[:, None, :, None].expand_as(covered))
    assert set(frames.sum(dim=1).tolist()) == {0, 1, 2, 3, 4}
    edges = frames.int().diff(dim=1).abs().sum(dim=1)
    assert edges.max() <= 2  # in one piece
    assert frames.any(dim=0).all()  # anywhere
    heard = features[frames.any(dim=1)].amax(dim=2)
    assert torch.equal(heard, FILL.expand_as(heard))


def test_band_masks_cover_a_range_at_all_times() -> None:
    covered = masked(Masking(band_masks=2, band_mask=1)) != 0
    bands = covered[:, 1, 0]
    assert torch.equal(covered, bands[:, None, None].expand_as(covered))
    assert set(bands.sum(dim=1).tolist()) == {0, 1, 2}


def test_a_mask_is_no_wider_than_what_it_covers() -> None:
    covered = masked(Masking(1, 1000, 1, 1000)) != 0
    assert covered.all(dim=(1, 2, 3)).any()


def test_seed_epoch_and_place_decide() -> None:
    masking = Masking(1, 4, 1, 2)
    once = masked(masking)
    assert torch.equal(once, masked(masking))
    assert torch.equal(once[:50], masked(masking, clips=50))
    assert not torch.equal(once, masked(masking, epoch=2))
    assert not torch.equal(once, masked(masking, seed=1))
    assert once.transpose(1, 2).is_contiguous()
