# SPDX-License-Identifier: MPL-2.0
"""Misses and false alarms of streams whose probabilities are known."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import poisson

from srnn.detection import Detector, ListenKeys, averages, detections
from srnn.instruments.listening.scenes import Utterance
from srnn.instruments.listening.tradeoff import Trace, alarms, point, poisson_interval

LABELS = ("yes", "no", "_silence_", "_unknown_")


@pytest.mark.parametrize(("average", "refractory"), [(100, 1000), (300, 300), (250, 0)])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.9])
def test_a_whole_stream_at_once_gives_what_a_detector_gives(
    average: float, refractory: float, threshold: float
) -> None:
    keys = ListenKeys(average=average, refractory=refractory, threshold=threshold)
    probabilities = np.random.default_rng(0).dirichlet([0.2] * 4, 500)
    times = np.arange(1, 501) / 10
    detector = Detector(LABELS, keys)
    expected = [detector.push(*each) for each in zip(times.tolist(), probabilities, strict=True)]
    found = detections(times, averages(probabilities, keys), LABELS, keys)
    one_by_one = [each for each in expected if each]
    assert [each[:2] for each in found] == [each[:2] for each in one_by_one]
    assert [each.confidence for each in found] == pytest.approx(
        [each.confidence for each in one_by_one]
    )


KEYS = ListenKeys(average=100, threshold=0.5, refractory=500)


def heard(*bursts: tuple[float, str]) -> Trace:
    """Return ten seconds in which each word is certain at one time, and silence otherwise."""
    times = np.arange(1, 101) / 10
    averaged: NDArray[np.float64] = np.zeros((100, 4))
    averaged[:, 2] = 1
    for time, word in bursts:
        averaged[round(10 * time) - 1] = [word == label for label in LABELS]
    return Trace(times, averaged, 10.0, 0.0)


UTTERANCES = (
    Utterance(1.0, 2.0, 1.7, "yes", "yes"),
    Utterance(3.0, 4.0, 3.5, "no", "no"),
    Utterance(5.0, 6.0, 5.6, "_unknown_", "cat"),
    Utterance(7.0, 8.0, 7.5, "yes", "yes"),
)


@pytest.mark.parametrize(
    ("bursts", "misses", "false", "unknown", "latency"),
    [
        ([], {"no": 1, "yes": 1}, {}, 0, None),
        ([(1.8, "yes"), (3.6, "no"), (8.4, "yes")], {"no": 0, "yes": 0}, {}, 0, 1.1 / 3),
        ([(0.9, "yes")], {"no": 1, "yes": 1}, {"yes": 1}, 0, None),  # too early
        ([(8.6, "yes")], {"no": 1, "yes": 1}, {"yes": 1}, 0, None),  # too late
        ([(1.2, "yes"), (2.2, "yes")], {"no": 1, "yes": 0.5}, {"yes": 1}, 0, -0.5),  # twice
        ([(1.8, "no")], {"no": 1, "yes": 1}, {"no": 1}, 0, None),  # another keyword
        ([(1.2, "no"), (1.9, "yes")], {"no": 1, "yes": 0.5}, {"no": 1}, 0, 0.2),
        ([(5.5, "yes")], {"no": 1, "yes": 1}, {"yes": 1}, 1, None),  # another word
    ],
)
def test_a_scene_is_scored(
    bursts: list[tuple[float, str]],
    misses: dict[str, float],
    false: dict[str, int],
    unknown: float,
    latency: float | None,
) -> None:
    found = point(heard(*bursts), UTTERANCES, LABELS, KEYS, held_out=["cat"])
    assert found.misses == misses
    assert found.missed == sum(misses.values()) / 2
    assert found.false_alarms == false
    assert found.unknown == found.held_out == unknown
    everything = point(heard(*bursts), UTTERANCES, LABELS, KEYS)
    assert everything.held_out is None
    assert everything._replace(held_out=found.held_out) == found
    never = point(heard(*bursts), UTTERANCES, LABELS, KEYS, {"yes": 1.0, "no": 1.1})
    assert never.misses["no"] == 1
    assert found.latency == (None if latency is None else pytest.approx(latency))


def test_every_detection_in_sounds_without_keywords_is_an_alarm() -> None:
    assert alarms(heard((1.0, "yes"), (1.2, "yes"), (3.0, "no")), LABELS, KEYS) == {
        "yes": 1,  # the second is in the refractory time
        "no": 1,
    }


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_poisson_interval(count: int) -> None:
    low, high = poisson_interval(count)
    assert poisson.cdf(count, high) == pytest.approx(0.025)
    if count:
        assert poisson.sf(count - 1, low) == pytest.approx(0.025)
    else:
        assert low == 0
