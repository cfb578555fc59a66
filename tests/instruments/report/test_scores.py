# SPDX-License-Identifier: MPL-2.0
"""Precision, recall and F1 against counts by hand."""

import pytest

from srnn.instruments.report.scores import class_scores

LABELS = ("yes", "no", "up")
CONFUSION = ((8, 2, 0), (1, 9, 0), (0, 0, 0))  # no clip of "up", and none taken for it


def test_scores_are_those_of_a_count_by_hand() -> None:
    yes, no, _ = class_scores(CONFUSION, LABELS)
    assert (yes.label, yes.clips, no.clips) == ("yes", 10, 10)
    assert yes.precision.value == pytest.approx(8 / 9)
    assert yes.recall.value == pytest.approx(8 / 10)
    assert yes.f1.value == pytest.approx(2 * 8 / (9 + 10))
    assert no.precision.value == pytest.approx(9 / 11)
    assert no.recall.value == pytest.approx(9 / 10)


def test_intervals_hold_the_value_and_shrink_with_the_clips() -> None:
    few = class_scores(CONFUSION, LABELS)[0]
    many = class_scores([[100 * count for count in row] for row in CONFUSION], LABELS)[0]
    for name in ("precision", "recall", "f1"):
        widths = []
        for scores in (few, many):
            found = getattr(scores, name)
            assert found.low is not None
            assert found.low <= found.value <= found.high
            widths.append(found.high - found.low)
        assert widths[1] < widths[0] / 4
    # Wilson's interval of 8 of 10, as published tables have it.
    assert few.recall.low == pytest.approx(0.490, abs=1e-3)
    assert few.recall.high == pytest.approx(0.943, abs=1e-3)


def test_a_class_without_clips_has_no_scores() -> None:
    up = class_scores(CONFUSION, LABELS)[2]
    assert up.clips == 0
    assert {score.value for score in (up.precision, up.recall, up.f1)} == {None}
    nothing = class_scores([[0] * 3] * 3, LABELS)
    assert all(each.f1.value is None for each in nothing)


def test_a_class_that_others_are_taken_for_has_a_precision_and_no_recall() -> None:
    up = class_scores(((8, 0, 2), (0, 10, 0), (0, 0, 0)), LABELS)[2]
    assert (up.precision.value, up.recall.value, up.f1.value) == (0.0, None, 0.0)


@pytest.mark.parametrize("clips", [3, 4])
def test_a_rare_class_that_is_always_right_has_no_interval_of_its_f1(clips: int) -> None:
    """The bootstrap says nothing there, whether or not samples lack the class."""
    rare = class_scores(((clips, 0), (0, 200)), ("rare", "often"))[0]
    assert (rare.f1.value, rare.f1.low, rare.f1.high) == (1.0, None, None)
    assert rare.recall.low is not None
    assert rare.recall.low < 0.6
