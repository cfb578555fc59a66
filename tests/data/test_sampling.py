# SPDX-License-Identifier: MPL-2.0
"""Which clips an epoch presents, how often, and that seed and epoch alone decide it."""

import numpy as np
import pytest

from srnn.data.sampling import Pool, Sampling, epoch_order

# 104 = 3 * 34 + 2 clips; label 1 has none.
CLIPS = {0: 70, 2: 9, 3: 25}
LABELS = np.repeat(list(CLIPS), list(CLIPS.values()))
POOL = Pool(LABELS, LABELS, np.zeros(len(LABELS), np.bool_))  # each label is one word


def test_natural_presents_every_clip_once_in_another_order() -> None:
    order = epoch_order(POOL, "natural", seed=1, epoch=1)
    assert order.dtype == np.int64
    assert sorted(order) == list(range(len(LABELS)))
    assert list(order) != list(range(len(LABELS)))


def test_balanced_presents_every_label_equally_often_and_its_clips_evenly() -> None:
    order = epoch_order(POOL, "balanced", seed=1, epoch=1)
    assert len(order) == len(LABELS)
    presented = np.bincount(LABELS[order], minlength=4)
    assert presented[1] == 0
    assert sorted(presented[[0, 2, 3]]) == [34, 35, 35]
    uses = np.bincount(order, minlength=len(LABELS))
    for uses_of_label in np.split(uses, [70, 79]):
        assert np.ptp(uses_of_label) == 1
    assert uses[70:79].min() == 3  # 34 or 35 presentations of 9 clips


def test_balanced_mixes_the_labels() -> None:
    presented = LABELS[epoch_order(POOL, "balanced", seed=1, epoch=1)]
    changes = np.count_nonzero(np.diff(presented))
    assert changes > 50  # sorted by label there would be 2


def test_balanced_gives_the_odd_clips_to_other_labels_in_other_epochs() -> None:
    fewest = {
        int(np.bincount(LABELS[epoch_order(POOL, "balanced", 1, epoch)])[[0, 2, 3]].argmin())
        for epoch in range(20)
    }
    assert fewest == {0, 1, 2}


@pytest.mark.parametrize("sampling", ["natural", "square_root", "balanced"])
def test_the_order_depends_on_seed_and_epoch_alone(sampling: Sampling) -> None:
    order = epoch_order(POOL, sampling, seed=1, epoch=2)
    np.testing.assert_array_equal(order, epoch_order(POOL, sampling, seed=1, epoch=2))
    assert (order != epoch_order(POOL, sampling, seed=1, epoch=3)).any()
    assert (order != epoch_order(POOL, sampling, seed=2, epoch=2)).any()


def mixed() -> Pool:
    """Return a keyword of 40 clips; five recorded and 30 synthetic words of `_unknown_`."""
    recorded = np.repeat([1, 2, 3, 4, 5], [5, 10, 20, 40, 80])
    synthetic = np.repeat(np.arange(10, 40), 2)
    words = np.concatenate([np.zeros(40, np.int64), recorded, synthetic])
    return Pool((words > 0).astype(np.int64), words, words >= 10)


def test_balanced_presents_every_word_of_a_label_equally_often() -> None:
    pool = mixed()
    order = epoch_order(pool, "balanced", seed=1, epoch=1)
    presented = np.bincount(pool.words[order], minlength=40)
    assert np.ptp([presented[0], presented[1:].sum()]) <= 1
    assert np.ptp(presented[1:6]) == 1
    assert presented[10:].sum() == 0
    uses = np.bincount(order, minlength=len(pool.words))
    for word in range(6):
        assert np.ptp(uses[pool.words == word]) <= 1


def test_balanced_gives_synthetic_words_the_share_asked_for() -> None:
    pool = mixed()
    order = epoch_order(pool, "balanced", seed=1, epoch=1, synthetic_share=0.25)
    presented = np.bincount(pool.words[order], minlength=40)
    unknown = presented[1:].sum()
    assert presented[10:].sum() == round(0.25 * unknown)
    assert np.ptp(presented[1:6]) <= 1
    assert np.ptp(presented[10:]) <= 1


@pytest.mark.parametrize("share", [0.1, 0.75])
def test_balanced_gives_unknown_the_share_asked_for(share: float) -> None:
    labels = np.repeat([0, 1, 2, 3], [10, 30, 20, 140])
    order = epoch_order(
        Pool(labels, labels, np.zeros(200, np.bool_), unknown=3),
        "balanced",
        seed=1,
        epoch=1,
        unknown_share=share,
    )
    presented = np.bincount(labels[order])
    assert presented.sum() == 200
    assert presented[3] == round(200 * share)
    assert np.ptp(presented[:3]) <= 1
    without = Pool(labels, labels, np.zeros(200, np.bool_))
    even = epoch_order(without, "balanced", seed=1, epoch=1, unknown_share=share)
    assert np.ptp(np.bincount(labels[even])) <= 1


def test_square_root_presents_words_by_the_root_of_their_clips_and_synthetic_ones_as_one() -> None:
    pool = mixed()
    order = epoch_order(pool, "square_root", seed=1, epoch=1, synthetic_share=0.25)
    presented = np.bincount(pool.words[order], minlength=40)
    presented = np.append(presented[:6], presented[10:].sum())
    roots = np.sqrt([40, 5, 10, 20, 40, 80, 60])
    assert presented.sum() == len(pool.words)
    np.testing.assert_allclose(presented, len(pool.words) * roots / roots.sum(), atol=1)
    uses = np.bincount(order, minlength=len(pool.words))
    for word in range(6):
        assert np.ptp(uses[pool.words == word]) <= 1
    assert np.ptp(uses[pool.added]) <= 1


def test_natural_presents_synthetic_words_as_often_as_others() -> None:
    pool = mixed()
    order = epoch_order(pool, "natural", seed=1, epoch=1, synthetic_share=0.25)
    assert sorted(order) == list(range(len(pool.words)))


def test_synthetic_words_alone_are_all_there_is() -> None:
    words = np.arange(10)
    pool = Pool(np.zeros(10, np.int64), words, np.ones(10, np.bool_))
    order = epoch_order(pool, "balanced", seed=1, epoch=1, synthetic_share=0.25)
    assert sorted(order) == list(range(10))
