# SPDX-License-Identifier: MPL-2.0
"""All augmentations, in the order in which they are applied."""

from srnn.augment.augmentation import (
    Augmentation,
    FeatureAugmentation,
    FeatureContext,
    WaveformAugmentation,
    WaveformContext,
)
from srnn.augment.fresh_cuts import FreshNegatives, FreshSilence
from srnn.augment.masks import BandMasks, TimeMasks
from srnn.augment.mixup import Mixup
from srnn.augment.noise import Noise
from srnn.augment.nonwords import Nonwords
from srnn.augment.shift import Shift
from srnn.augment.speed import Speed
from srnn.augment.volume import Volume
from srnn.augment.warp import Warp
from srnn.settings import Keys

WAVEFORM: tuple[type[WaveformAugmentation], ...] = (
    FreshSilence,
    FreshNegatives,
    Nonwords,
    Shift,
    Speed,
    Volume,
    Noise,
)
FEATURE: tuple[type[FeatureAugmentation], ...] = (Warp, TimeMasks, BandMasks, Mixup)


def waveform_augmentations(keys: Keys, context: WaveformContext) -> list[WaveformAugmentation]:
    """Return the augmentations of waveforms that the keys of the table [augment] turn on."""
    return [made for kind in WAVEFORM if (made := kind.make(keys, context))]


def feature_augmentations(keys: Keys, context: FeatureContext) -> list[FeatureAugmentation]:
    """Return the augmentations of features that the keys of the table [augment] turn on."""
    return [made for kind in FEATURE if (made := kind.make(keys, context))]


def augmented(keys: Keys) -> bool:
    """Return whether the keys of the table [augment] turn on any augmentation."""
    return any(getattr(keys, next(iter(kind.keys.model_fields))) for kind in (*WAVEFORM, *FEATURE))


def key_classes() -> list[type[Keys]]:
    """Return the keys of all augmentations, in their order."""
    kinds: tuple[type[Augmentation], ...] = (*WAVEFORM, *FEATURE)
    return [kind.keys for kind in kinds]
