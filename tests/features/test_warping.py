# SPDX-License-Identifier: MPL-2.0
"""What a stretch of the bands moves where, and that seed, epoch and place alone decide it."""

import torch

from srnn.features.warping import Warper


def test_bands_are_interpolated_where_they_come_from() -> None:
    ramps = torch.arange(5.0) + torch.tensor([0.0, 10.0])[:, None]  # one for each clip
    features = ramps[:, None, None].expand(2, 7, 3, 5).contiguous().transpose(1, 2)
    warped = Warper(0.5, seed=0)(features, torch.tensor([1.25, 0.5]))
    torch.testing.assert_close(warped[0, 1, 2], torch.tensor([0.0, 1.25, 2.5, 3.75, 4.0]))
    torch.testing.assert_close(warped[1, 2, 6], torch.tensor([10.0, 10.5, 11.0, 11.5, 12.0]))
    assert warped.stride() == features.stride()
    torch.testing.assert_close(Warper(0.5, seed=0)(features, torch.ones(2)), features)


def test_seed_epoch_and_place_decide() -> None:
    once = Warper(0.2, seed=0).draw(1, 1000)
    assert 0.8 <= once.min() < 0.81
    assert 1.19 < once.max() <= 1.2
    assert torch.equal(once[:40], Warper(0.2, seed=0).draw(1, 40))
    assert not torch.equal(once, Warper(0.2, seed=0).draw(2, 1000))
    assert not torch.equal(once, Warper(0.2, seed=1).draw(1, 1000))
