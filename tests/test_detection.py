# SPDX-License-Identifier: MPL-2.0
"""From probabilities over time to detected keywords."""

import numpy as np
import pytest

from srnn.detection import Detection, Detector, ListenKeys

LABELS = ("yes", "no", "_silence_", "_unknown_")


def detections(course: list[list[float]], **keys: float) -> list[Detection]:
    """Return what is detected in one classification every 100 ms."""
    detector = Detector(LABELS, ListenKeys(**keys))  # type: ignore[arg-type]
    found = [detector.push((1 + n) / 10, np.array(each)) for n, each in enumerate(course)]
    return [each for each in found if each]


def test_each_keyword_may_have_a_threshold_of_its_own() -> None:
    detector = Detector(LABELS, ListenKeys(average=100, threshold=0.5), {"yes": 0.8})
    assert detector.push(0.1, np.array(of(0.7, 0.2))) is None
    found = detector.push(0.2, np.array(of(0.5, 0.5)))  # of what reaches its threshold
    assert found is not None
    assert found.word == "no"


def of(yes: float, no: float = 0.0, unknown: float = 0.0) -> list[float]:
    return [yes, no, 1 - yes - no - unknown, unknown]


def test_the_average_has_to_reach_the_threshold() -> None:
    course = [of(1.0), of(1.0), of(0.0), of(1.0), of(0.8), of(1.0)]
    (found,) = detections(course, average=300, threshold=0.9)
    assert found == Detection(0.6, "yes", pytest.approx(2.8 / 3))  # type: ignore[arg-type]
    assert detections([of(1.0), of(1.0)], average=300, threshold=0.9) == []  # too few yet
    (first,) = detections([of(0.9)], average=100, threshold=0.9)
    assert (first.time, first.word) == (0.1, "yes")


def test_nothing_is_detected_in_the_refractory_time() -> None:
    course = [of(1.0)] * 12 + [of(0.0, 1.0)] * 12
    found = detections(course, average=100, refractory=1000)
    assert [(each.time, each.word) for each in found] == [(0.1, "yes"), (1.1, "yes"), (2.1, "no")]
    assert len(detections(course, average=100, refractory=0)) == 24


def test_silence_and_unknown_words_are_no_keywords() -> None:
    assert detections([of(0.0), of(0.0, 0.0, 1.0)] * 5, average=100) == []
    (found,) = detections([of(0.3, 0.35, 0.3)], average=100, threshold=0.3)
    assert found.word == "no"
