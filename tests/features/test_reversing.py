# SPDX-License-Identifier: MPL-2.0
"""Features turned around are those of sound turned around; seed, epoch and place decide whose."""

from dataclasses import replace

import pytest
import torch

from srnn.features.batched import MelFeatures
from srnn.features.reference import Kind, MelSpec
from srnn.features.reversing import Reverser

SPEC = MelSpec(
    size=8_000,
    sample_rate=8_000,
    n_fft=240,
    hop=80,
    n_mels=12,
    fmin=20,
    fmax=4_000,
    delta_order=2,
    stack=True,
)


@pytest.mark.parametrize("stack", [True, False])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("kind", ["reference", "log_mel"])
def test_features_of_sound_turned_around(kind: Kind, order: int, stack: bool) -> None:
    spec = replace(SPEC, kind=kind, floor=1e-2, delta_order=order, stack=stack)
    torch.manual_seed(0)
    time = torch.arange(spec.size) / spec.size
    sound = 0.3 * torch.sin(9_000 * time**2) * time * (1 - time) + 0.01 * torch.randn(3, spec.size)
    # Frames are centred on every 80th sample from the first on: turned around, from the last on.
    around = sound.flip(1).roll(1, dims=1)
    extract, chosen = MelFeatures(spec), torch.tensor([True, False, True])
    features, expected = extract(sound), extract(around)
    expected[1] = features[1]
    turned = Reverser(1.0, spec.orders, seed=0)(features, chosen)
    assert turned.stride() == features.stride()
    inner = slice(6, -6)  # a roll is no shift at the ends
    error = (turned - expected)[:, :, inner].square().mean().sqrt()
    assert error < 0.02 * expected[:, :, inner].square().mean().sqrt()
    assert (features - expected)[0, :, inner].abs().mean() > 10 * error


def test_seed_epoch_and_place_decide() -> None:
    once = Reverser(0.3, (0,), seed=0).draw(1, 2_000)
    assert once.float().mean() == pytest.approx(0.3, abs=0.04)
    assert torch.equal(once[:40], Reverser(0.3, (0,), seed=0).draw(1, 40))
    assert not torch.equal(once, Reverser(0.3, (0,), seed=0).draw(2, 2_000))
    assert not torch.equal(once, Reverser(0.3, (0,), seed=1).draw(1, 2_000))
    assert not Reverser(0.0, (0,), seed=0).draw(1, 100).any()
    assert Reverser(1.0, (0,), seed=0).draw(1, 100).all()
