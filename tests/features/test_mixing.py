# SPDX-License-Identifier: MPL-2.0
"""What mixtures are made of, and that seed, epoch and place alone decide it."""

import pytest
import torch

from srnn.features.mixing import Mixer, neighbours


def test_a_mixture_has_its_share_of_a_clip_and_the_rest_of_its_neighbour() -> None:
    features = torch.randn(5, 7, 2, 3).transpose(1, 2)
    shares = torch.tensor([1.0, 0.5, 0.75, 1.0, 0.6])
    mixed = Mixer(0.3, seed=0)(features, shares)
    for clip, share in enumerate(shares):
        expected = share * features[clip] + (1 - share) * features[clip - 1]
        torch.testing.assert_close(mixed[clip], expected)
    assert torch.equal(mixed[0], features[0])
    assert mixed.stride() == features.stride()
    assert neighbours(torch.arange(5)).tolist() == [4, 0, 1, 2, 3]


@pytest.mark.parametrize("alpha", [0.1, 1.0, 10.0])
def test_shares_are_those_of_the_beta_distribution(alpha: float) -> None:
    shares = Mixer(alpha, seed=0).draw(1, 50_000)
    assert shares.min() >= 0.5
    assert shares.max() <= 1
    # The distribution is symmetric: its variance is that of what is folded, about 0.5.
    variance = ((shares.double() - 0.5) ** 2).mean().item()
    assert variance == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.02)


def test_seed_epoch_and_place_decide() -> None:
    once = Mixer(0.3, seed=0).draw(1, 100)
    assert torch.equal(once[:40], Mixer(0.3, seed=0).draw(1, 40))
    assert not torch.equal(once, Mixer(0.3, seed=0).draw(2, 100))
    assert not torch.equal(once, Mixer(0.3, seed=1).draw(1, 100))
