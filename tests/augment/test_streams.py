# SPDX-License-Identifier: MPL-2.0
"""Every augmentation draws from a stream of its own, which nothing else changes."""

import pytest
import torch
from torch import Tensor

from srnn.augment.augmentation import Augmentation, FeatureContext, WaveformContext
from srnn.augment.registry import (
    FEATURE,
    WAVEFORM,
    feature_augmentations,
    key_classes,
    waveform_augmentations,
)
from srnn.config import Config
from srnn.settings import Keys

EVERYTHING = type(Config().augment)(
    fresh_silence=True,
    fresh_negatives=True,
    shift=10.0,
    speed=0.1,
    volume=3.0,
    noise=0.5,
    nonwords=0.3,
    warp=0.1,
    time_masks=2,
    band_masks=1,
    mixup=0.3,
)
NAMES = [kind.name for kind in (*WAVEFORM, *FEATURE)]


class _Background:
    def __init__(self) -> None:
        self.names = ["a.wav", "b.wav"]

    def cuts(self, recordings: Tensor, places: Tensor, peaks: Tensor | None = None) -> Tensor:
        raise NotImplementedError


def made(keys: Keys = EVERYTHING) -> dict[str, Augmentation]:
    silence, labels, cpu = torch.tensor([-1, 0]), torch.tensor([0, 1]), torch.device("cpu")
    negatives = _Background(), torch.tensor([0, -1])
    context = WaveformContext(
        800, 8000, _Background(), silence, cpu, labels=labels, negatives=negatives
    )
    every: list[Augmentation] = [
        *waveform_augmentations(keys, context),
        *feature_augmentations(keys, FeatureContext(torch.zeros(1, 8))),
    ]
    return {augment.name: augment for augment in every}


def test_all_are_made_in_their_order() -> None:
    assert list(made()) == NAMES
    assert len(set(NAMES)) == len(NAMES)
    assert len(key_classes()) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_draws_depend_on_name_seed_epoch_and_place_alone(name: str) -> None:
    augment = made()[name]
    once = augment.draws(0, 1, 100)
    assert len(once) == 100
    assert torch.equal(once[:40], augment.draws(0, 1, 40))
    assert not torch.equal(once, augment.draws(0, 2, 100))
    assert not torch.equal(once, augment.draws(1, 1, 100))


@pytest.mark.parametrize("name", NAMES)
def test_an_augmentation_draws_alone_what_it_draws_beside_others(name: str) -> None:
    others = {key: type(EVERYTHING).model_fields[key].default for key in NAMES if key != name}
    (alone,) = made(EVERYTHING.model_copy(update=others)).values()
    assert torch.equal(alone.draws(3, 4, 50), made()[name].draws(3, 4, 50))


def test_no_two_draw_the_same_numbers() -> None:
    first = {
        name: tuple(augment.draws(0, 1, 8)[:, 0].tolist())
        for name, augment in made().items()
        if name
        in ("fresh_silence", "fresh_negatives", "shift", "speed", "time_masks", "band_masks")
    }
    assert len(set(first.values())) == len(first)
