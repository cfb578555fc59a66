# SPDX-License-Identifier: MPL-2.0
"""Which clips an epoch presents, how often, and that seed and epoch alone decide it."""

import numpy as np
import pytest

from srnn.data.sampling import Sampling, epoch_order

# 104 = 3 * 34 + 2 clips; label 1 has none.
CLIPS = {0: 70, 2: 9, 3: 25}
LABELS = np.repeat(list(CLIPS), list(CLIPS.values()))


def test_natural_presents_every_clip_once_in_another_order() -> None:
    order = epoch_order(LABELS, "natural", seed=1, epoch=1)
    assert order.dtype == np.int64
    assert sorted(order) == list(range(len(LABELS)))
    assert list(order) != list(range(len(LABELS)))


def test_balanced_presents_every_label_equally_often_and_its_clips_evenly() -> None:
    order = epoch_order(LABELS, "balanced", seed=1, epoch=1)
    assert len(order) == len(LABELS)
    presented = np.bincount(LABELS[order], minlength=4)
    assert presented[1] == 0
    assert sorted(presented[[0, 2, 3]]) == [34, 35, 35]
    uses = np.bincount(order, minlength=len(LABELS))
    for uses_of_label in np.split(uses, [70, 79]):
        assert np.ptp(uses_of_label) == 1
    assert uses[70:79].min() == 3  # 34 or 35 presentations of 9 clips


def test_balanced_mixes_the_labels() -> None:
    presented = LABELS[epoch_order(LABELS, "balanced", seed=1, epoch=1)]
    changes = np.count_nonzero(np.diff(presented))
    assert changes > 50  # sorted by label there would be 2


def test_balanced_gives_the_odd_clips_to_other_labels_in_other_epochs() -> None:
    fewest = {
        int(np.bincount(LABELS[epoch_order(LABELS, "balanced", 1, epoch)])[[0, 2, 3]].argmin())
        for epoch in range(20)
    }
    assert fewest == {0, 1, 2}


@pytest.mark.parametrize("sampling", ["natural", "balanced"])
def test_the_order_depends_on_seed_and_epoch_alone(sampling: Sampling) -> None:
    order = epoch_order(LABELS, sampling, seed=1, epoch=2)
    np.testing.assert_array_equal(order, epoch_order(LABELS, sampling, seed=1, epoch=2))
    assert (order != epoch_order(LABELS, sampling, seed=1, epoch=3)).any()
    assert (order != epoch_order(LABELS, sampling, seed=2, epoch=2)).any()
