# SPDX-License-Identifier: MPL-2.0
"""The official protocol: classes, and the words of `_unknown_`, count equally."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srnn.data.corpus import Clip
from srnn.runs.official import OfficialEvaluation, official
from srnn.training.evaluation import Evaluation

LABELS = ("go", "_silence_", "_unknown_")


def evaluated(outcomes: list[tuple[str, str, str, str]]) -> OfficialEvaluation:
    """Return the evaluation of clips: label, word, speaker, predicted label."""
    clips, predicted = [], []
    confusion = np.zeros((3, 3), int)
    for label, word, speaker, found in outcomes:
        true, index = LABELS.index(label), LABELS.index(found)
        clips.append(Clip(Path(), "x.wav", true, word, speaker=speaker))
        predicted.append(index)
        confusion[true, index] += 1
    rows = tuple(map(tuple, confusion.tolist()))
    plain = Evaluation(
        "validation", LABELS, rows, 0.5, (0.1,), 3.0, None, {}, predicted=tuple(predicted)
    )
    return official(plain, clips)


OUTCOMES = [
    *[("go", "go", f"s{index}", "go") for index in range(9)],
    ("go", "go", "s9", "_unknown_"),  # 9 of 10
    *[("_silence_", "_background_noise_", "tap", "_silence_")] * 4,  # all
    *[("_unknown_", "bed", f"s{index}", "_unknown_") for index in range(8)],  # all of a frequent
    ("_unknown_", "cat", "s1", "go"),  # and none of a rare word
    ("_unknown_", "cat", "s2", "_silence_"),
]


def test_classes_and_unknown_words_count_equally() -> None:
    result = evaluated(OUTCOMES)
    assert result.per_class == {"go": 0.9, "_silence_": 1.0, "_unknown_": 0.5}
    assert result.accuracy == pytest.approx((0.9 + 1 + 0.5) / 3)
    assert result.accuracy_without_silence == pytest.approx((0.9 + 0.5) / 2)
    assert result.false_keywords == pytest.approx((0 + 1 / 2) / 2)
    assert result.counts == (10, 4, 10)


def test_a_label_without_clips_does_not_count() -> None:
    result = evaluated([outcome for outcome in OUTCOMES if outcome[0] != "_unknown_"])
    assert result.per_class == {"go": 0.9, "_silence_": 1.0, "_unknown_": None}
    assert result.accuracy == pytest.approx(0.95)
    assert result.false_keywords is None
    assert result.bootstraps[2] is None


def test_the_interval_samples_speakers_and_not_clips() -> None:
    """Four speakers of 50 equal clips each tell as much as four clips."""
    alone = evaluated([("go", "go", f"s{i}", "go" if i else "_unknown_") for i in range(4)])
    repeated = evaluated(
        [("go", "go", f"s{i}", "go" if i else "_unknown_") for i in range(4) for _ in range(50)]
    )
    assert alone.interval == repeated.interval
    assert alone.interval is not None
    low, high = alone.interval
    assert low <= 0.25
    assert high == 1.0
    many = evaluated(
        [("go", "go", f"s{i}", "go" if i % 4 else "_unknown_") for i in range(400)]
    ).interval
    assert many is not None
    # As a normal approximation of 400 independent clips has it.
    assert many == pytest.approx((0.75 - 0.0424, 0.75 + 0.0424), abs=0.006)


def test_json_and_summary_name_the_protocol() -> None:
    result = evaluated(OUTCOMES)
    found: dict[str, Any] = result.to_json()
    assert found["protocol"] == "official"
    assert found["accuracy"] == result.accuracy
    assert found["per_class"] == result.per_class
    assert found["false_keywords"] == result.false_keywords
    low, high = found["per_class_interval"]["go"]
    assert 0.6 <= low < 0.9 < high == 1
    assert found["per_class_interval"]["_silence_"] == (1, 1)
    lines = str(result).splitlines()
    assert lines[0] == "validation, official protocol: accuracy 80.00%"
    assert lines[3] == "_unknown_ taken for a keyword: 25.0%"
