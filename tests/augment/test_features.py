# SPDX-License-Identifier: MPL-2.0
"""What masks cover, what a stretch of the bands moves where, what mixtures are made of."""

import pytest
import torch
from torch import Tensor

from srnn.augment.augmentation import FeatureAugmentation, neighbours
from srnn.augment.masks import BandMasks, TimeMasks
from srnn.augment.mixup import Mixup
from srnn.augment.warp import Warp

MASKED = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]])  # (C, M)


def varied(augment: FeatureAugmentation, clips: int = 200, epoch: int = 1, seed: int = 0) -> Tensor:
    """Return features (clips, 2, 12, 5) of zeros, augmented, laid out as a network reads them."""
    features = torch.zeros(clips, 12, 2, 5).transpose(1, 2)
    return augment(features, augment.draws(seed, epoch, clips))


def test_time_masks_cover_a_stretch_of_all_bands() -> None:
    features = varied(TimeMasks(1, 4, MASKED))
    covered = features != 0
    frames = covered[:, 0, :, 0]
    assert torch.equal(covered, frames[:, None, :, None].expand_as(covered))
    assert set(frames.sum(dim=1).tolist()) == {0, 1, 2, 3, 4}
    edges = frames.int().diff(dim=1).abs().sum(dim=1)
    assert edges.max() <= 2  # in one piece
    assert frames.any(dim=0).all()  # anywhere
    values = features[frames.any(dim=1)].amax(dim=2)
    assert torch.equal(values, MASKED.expand_as(values))


def test_band_masks_cover_a_range_at_all_times() -> None:
    covered = varied(BandMasks(2, 1, MASKED)) != 0
    bands = covered[:, 1, 0]
    assert torch.equal(covered, bands[:, None, None].expand_as(covered))
    assert set(bands.sum(dim=1).tolist()) == {0, 1, 2}


@pytest.mark.parametrize("kind", [TimeMasks, BandMasks])
def test_a_mask_is_no_wider_than_what_it_covers(kind: type[TimeMasks | BandMasks]) -> None:
    covered = varied(kind(1, 1000, MASKED)) != 0
    assert covered.all(dim=(1, 2, 3)).any()


def test_masks_stay_in_the_layout_that_a_network_reads() -> None:
    assert varied(TimeMasks(1, 4, MASKED)).transpose(1, 2).is_contiguous()


def test_bands_are_interpolated_where_they_come_from() -> None:
    ramps = torch.arange(5.0) + torch.tensor([0.0, 10.0])[:, None]  # one for each clip
    features = ramps[:, None, None].expand(2, 7, 3, 5).contiguous().transpose(1, 2)
    warped = Warp(0.5)(features, torch.tensor([[1.25], [0.5]]))
    torch.testing.assert_close(warped[0, 1, 2], torch.tensor([0.0, 1.25, 2.5, 3.75, 4.0]))
    torch.testing.assert_close(warped[1, 2, 6], torch.tensor([10.0, 10.5, 11.0, 11.5, 12.0]))
    assert warped.stride() == features.stride()
    torch.testing.assert_close(Warp(0.5)(features, torch.ones(2, 1)), features)


def test_stretches_are_uniform() -> None:
    stretches = Warp(0.2).draws(0, 1, 1000)
    assert 0.8 <= stretches.min() < 0.81
    assert 1.19 < stretches.max() <= 1.2


def test_a_mixture_is_a_weighted_sum_of_a_clip_and_its_neighbour() -> None:
    features = torch.randn(5, 7, 2, 3).transpose(1, 2)
    weights = torch.tensor([1.0, 0.5, 0.75, 1.0, 0.6])
    mixed = Mixup(0.3)(features, weights[:, None])
    for clip, weight in enumerate(weights):
        expected = weight * features[clip] + (1 - weight) * features[clip - 1]
        torch.testing.assert_close(mixed[clip], expected)
    assert torch.equal(mixed[0], features[0])
    assert mixed.stride() == features.stride()
    assert neighbours(torch.arange(5)).tolist() == [4, 0, 1, 2, 3]


@pytest.mark.parametrize("alpha", [0.1, 1.0, 10.0])
def test_mixup_weights_are_those_of_the_beta_distribution(alpha: float) -> None:
    weights = Mixup(alpha).own_weights(Mixup(alpha).draws(0, 1, 50_000))
    assert weights.min() >= 0.5
    assert weights.max() <= 1
    # The distribution is symmetric: its variance is that of what is folded, about 0.5.
    variance = ((weights.double() - 0.5) ** 2).mean().item()
    assert variance == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.02)
