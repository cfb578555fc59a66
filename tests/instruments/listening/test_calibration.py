# SPDX-License-Identifier: MPL-2.0
"""The thresholds that calibration chooses, and the file that keeps them."""

from pathlib import Path

import numpy as np
import pytest

from srnn.detection import ListenKeys
from srnn.errors import InputError
from srnn.instruments.listening.calibration import FILE, Calibration, calibrate
from srnn.instruments.listening.tradeoff import THRESHOLDS, Trace

LABELS = ("yes", "no", "_silence_", "_unknown_")
KEYS = ListenKeys(average=100, refractory=0)


def hour(yes: list[float], no: list[float]) -> Trace:
    """Return an hour of silence in which the keywords have some probabilities, once each."""
    averaged = np.zeros((36_000, 4))
    averaged[: len(yes), 0] = yes
    averaged[len(yes) : len(yes) + len(no), 1] = no
    return Trace(np.arange(1, 36_001) / 10, averaged, 3600.0, 0.0)


def test_thresholds_are_the_lowest_that_the_false_alarms_allow() -> None:
    trace = hour(yes=[0.95, 0.9, 0.7], no=[0.6, 0.5])
    found = calibrate([trace], LABELS, KEYS, 1)
    assert found.alarms == 1
    assert found.minutes == 60
    below = [each for each in THRESHOLDS if each <= 0.9]
    assert found.thresholds["yes"] == THRESHOLDS[len(below)]  # the lowest above 0.9
    # No false alarm of "no" is left: its threshold goes as far down as one below another may.
    assert found.thresholds["no"] == THRESHOLDS[len(below) - 10]
    assert calibrate([trace], LABELS, KEYS, 2).alarms == 2
    assert calibrate([trace, trace], LABELS, KEYS, 1).alarms == 2  # in two hours


def test_too_few_false_alarms_are_an_error() -> None:
    with pytest.raises(InputError, match=r"--false-alarms: expected .* found 1 an hour"):
        calibrate([hour([1.0, 1.0, 1.0], [])], LABELS, KEYS, 1)


def test_a_calibration_is_kept_with_the_run(tmp_path: Path) -> None:
    assert Calibration.of(tmp_path) is None
    checkpoint = tmp_path / "best.safetensors"
    checkpoint.write_bytes(b"weights")
    made = calibrate([hour([0.9], [])], LABELS, KEYS, 1)
    path = made.save(tmp_path)
    assert path == tmp_path / FILE
    found = Calibration.of(tmp_path)
    assert found
    assert found.network
    assert found.model_copy(update={"network": ""}) == made
    other = KEYS.model_copy(update={"interval": 50.0})
    assert found.holds_for(KEYS, tmp_path)
    found.expect(KEYS, tmp_path, "calibrate anew")
    assert not found.holds_for(other, tmp_path)
    with pytest.raises(
        InputError, match=r"listen\.interval = 50\.0, found one for 100\.0: calibrate anew"
    ):
        found.expect(other, tmp_path, "calibrate anew")
    checkpoint.write_bytes(b"other weights")
    assert not found.holds_for(KEYS, tmp_path)
    with pytest.raises(
        InputError, match=r"expected a calibration of the network in .* of another: calibrate anew"
    ):
        found.expect(KEYS, tmp_path, "calibrate anew")
    for content in (b'{"thresholds": {"yes": 2}}', b"\xff", b"{", b"[]"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"expected a calibration, found [^:]"):
            Calibration.of(tmp_path)


def test_thresholds_are_at_least_a_half() -> None:
    """Where hardly anything is heard, there would be no alarm at any threshold."""
    found = calibrate([hour([], [])], LABELS, KEYS, 1)
    assert set(found.thresholds.values()) == {min(each for each in THRESHOLDS if each >= 0.5)}
