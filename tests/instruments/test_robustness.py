# SPDX-License-Identifier: MPL-2.0
"""Each alteration of recordings does what its name says, and the measurement covers all of them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from srnn import cli
from srnn.data.silence import Background
from srnn.instruments.robustness.alterations import conditions
from tone_runs import train_on_tones

RATE, SIZE = 16_000, 16_000
TIME = (torch.arange(SIZE) - SIZE / 2) / RATE
STEP = 2.0**-15


class _WhiteNoise(Background):
    """Two recordings of white noise, without a pack."""

    def __init__(self) -> None:
        self.names = ["one", "two"]
        generator = torch.Generator().manual_seed(0)
        self.noise = 0.1 * torch.randn(2, SIZE, generator=generator)

    def cuts(self, recordings: Tensor, places: Tensor, peaks: Tensor | None = None) -> Tensor:
        return self.noise[recordings]


def tone(frequency: float, width: float = 0.05) -> Tensor:
    """Return a burst in the middle of a clip, three times, (3, S)."""
    burst = 0.2 * torch.cos(2 * torch.pi * frequency * TIME) * torch.exp(-((TIME / width) ** 2))
    return burst.expand(3, SIZE).clone()


CONDITIONS = {str(each): each for each in conditions(_WhiteNoise(), RATE)}


def altered(name: str, waveforms: Tensor) -> Tensor:
    clips = torch.arange(len(waveforms))
    found = CONDITIONS[name].alter(waveforms, clips)
    assert found.shape == waveforms.shape
    assert found.dtype == torch.float32
    assert torch.equal(found, CONDITIONS[name].alter(waveforms, clips))  # always the same draws
    return found


def pitch(waveform: Tensor) -> float:
    return float(torch.fft.rfft(waveform).abs().argmax()) * RATE / SIZE


def centre(waveform: Tensor) -> float:
    """Return where the energy of a waveform is (s, 0 is the middle)."""
    energy = waveform.double().square()
    return float((energy * TIME).sum() / energy.sum())


def decibels(waveform: Tensor, reference: Tensor) -> float:
    return float(10 * torch.log10(waveform.square().sum() / reference.square().sum()))


def test_every_condition_is_named_once() -> None:
    assert next(iter(CONDITIONS)) == "clean"
    assert {"input gain -40 dB", "time shift +100 ms", "low-pass 4000 Hz"} < CONDITIONS.keys()
    assert len(CONDITIONS) == len(conditions(_WhiteNoise(), RATE)) == 19


@pytest.mark.parametrize("gain", [-40, -20, -10, 10])
def test_gain(gain: int) -> None:
    found = altered(f"input gain {gain:+d} dB", tone(500))
    assert decibels(found[0], tone(500)[0]) == pytest.approx(gain, abs=0.1)
    assert torch.equal(found / STEP, (found / STEP).round())


def test_a_high_gain_clips_at_full_scale() -> None:
    found = altered("input gain +20 dB", tone(500))
    assert found.max() == 1 - STEP
    assert found.min() == -1


@pytest.mark.parametrize("snr", [20, 10, 5, 0])
def test_noise(snr: int) -> None:
    clean = tone(500)
    found = altered(f"signal-to-noise ratio {snr} dB", clean)
    for row in range(3):
        assert decibels(clean[row], found[row] - clean[row]) == pytest.approx(snr, abs=0.01)


def test_digital_silence_gets_no_noise() -> None:
    assert not altered("signal-to-noise ratio 0 dB", torch.zeros(3, SIZE)).any()


@pytest.mark.parametrize("shift", [-200, -100, 100, 200])
def test_shift(shift: int) -> None:
    found = altered(f"time shift {shift:+d} ms", tone(500))
    assert centre(found[0]) == pytest.approx(shift / 1000, abs=1e-3)
    assert pitch(found[0]) == 500


@pytest.mark.parametrize("change", [-10, 10])
def test_speed_changes_pitch_and_leaves_the_middle(change: int) -> None:
    found = altered(f"speed {change:+d} %", tone(500))
    assert pitch(found[0]) == pytest.approx(500 * (1 + change / 100), abs=1)
    assert centre(found[0]) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(("frequency", "low", "high"), [(1000, -0.1, 0.1), (6000, -200.0, -60.0)])
def test_low_pass(frequency: float, low: float, high: float) -> None:
    found = altered("low-pass 4000 Hz", tone(frequency))
    assert low < decibels(found[0], tone(frequency)[0]) < high


@pytest.mark.parametrize("seconds", [0.3, 0.6])
def test_reverberation_decays_by_60_decibels_in_its_time(seconds: float) -> None:
    click = torch.zeros(3, SIZE)
    click[:, 0] = 1
    found = altered(f"reverberation time {seconds} s", click)
    assert torch.allclose(found[:, 0], torch.ones(3), atol=1e-5)
    tail = found[0, 1:].square()
    assert float(tail.sum()) == pytest.approx(0.5, rel=1e-3)  # of the direct sound
    early, late = (tail[round(part * seconds * RATE) :][: RATE // 50].mean() for part in (0.1, 0.6))
    assert float(10 * torch.log10(late / early)) == pytest.approx(-30, abs=2)
    assert not torch.equal(found[0], found[1])  # another room


@pytest.fixture(scope="module")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("robustness") / "run"
    return train_on_tones(tones, path, "srnn.epochs=1")


@pytest.fixture
def evaluate(
    run: Path, tones: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Return a function that measures the run, and returns what is printed."""
    monkeypatch.chdir(tones)

    def call(*options: str, code: int = 0) -> str:
        arguments = ["evaluate", str(run), "--partition", "validation", *options]
        assert cli.run(arguments) == code
        captured = capsys.readouterr()
        return captured.out if code == 0 else captured.err

    return call


def test_the_measurement_begins_with_what_the_official_protocol_finds(
    evaluate: Callable[..., str],
) -> None:
    official = json.loads(evaluate("--protocol", "official", "--json"))
    clean, *rest = json.loads(evaluate("--robustness", "--json"))
    assert clean["name"] == "clean"
    assert clean["words"] == pytest.approx(official["accuracy_without_silence"])
    assert clean["silence"] == pytest.approx(official["per_class"]["_silence_"])
    assert official["counts"]["_silence_"] == 100
    peaks = [each["value"] for each in rest if each["kind"] == "peak of silence"]
    assert peaks == [0, 0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 1]
    assert {each["kind"] for each in rest if each["words"] is not None} == {
        "input gain",
        "signal-to-noise ratio",
        "time shift",
        "speed",
        "reverberation time",
    }  # at 8 kHz there is nothing above 4 kHz


def test_it_prints_a_table_and_draws_a_picture(
    evaluate: Callable[..., str], tmp_path: Path
) -> None:
    picture = tmp_path / "robustness.png"
    lines = evaluate("--robustness", "--picture", str(picture)).splitlines()
    assert lines[0].split() == ["words", "silence"]
    assert lines[1].startswith("clean ")
    assert len(lines) == 1 + 18 + 8
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_no_known_format_is_an_error(
    evaluate: Callable[..., str], tmp_path: Path
) -> None:
    error = evaluate("--robustness", "--picture", str(tmp_path / "x.tune"), code=2)
    assert "x.tune: expected a file name ending in one of " in error
    assert ".png" in error
    error = evaluate("--robustness", "--picture", str(tmp_path / "no" / "x.png"), code=2)
    assert f"--picture: expected a folder at {tmp_path / 'no'}, found none" in error
    error = evaluate("--picture", str(tmp_path / "x.png"), code=2)
    assert "--picture: expected --robustness or --stream with it" in error


def test_the_draws_are_spread_over_the_recordings() -> None:
    clean = torch.full((64, SIZE), 0.1)
    found = CONDITIONS["signal-to-noise ratio 0 dB"].alter(clean, torch.arange(64)) - clean
    first = [np.corrcoef(row, _WhiteNoise().noise[0])[0, 1] > 0.9 for row in found.numpy()]
    assert 16 < sum(first) < 48
