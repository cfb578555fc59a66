# SPDX-License-Identifier: MPL-2.0
"""The command ``srnn listen``."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from srnn import cli
from tone_runs import train_on_tones

RATE, SIZE = 8000, 2000


@pytest.fixture(scope="module")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("listen") / "run"
    changes = ["mel.features=pcen", "data.normalisation=standardise", "srnn.epochs=10"]
    changes += ["listen.interval=25", "listen.average=75"]
    return train_on_tones(tones, path, *changes)


@pytest.fixture(scope="module")
def stream(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording of noise, a low tone, noise, a high one and noise, two seconds each."""
    rng = np.random.default_rng(0)
    clips = [
        soundfile.read(next((tones / "tones" / word).iterdir()))[0] for word in ("low", "high")
    ]
    parts = [rng.normal(0, 1e-3, 2 * RATE) for _ in range(3)]
    path = tmp_path_factory.mktemp("stream") / "stream.wav"
    soundfile.write(path, np.concatenate([parts[0], clips[0], parts[1], clips[1], parts[2]]), RATE)
    return path


@pytest.fixture
def listen(run: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Return a function that calls the command, and returns what it printed and logged."""

    def call(*arguments: object, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        assert cli.run(["listen", str(run), *map(str, arguments)]) == code
        captured = capsys.readouterr()
        return captured.out, captured.err

    return call


@pytest.mark.parametrize("mode", ["windows", "stateful"])
def test_words_in_a_recording_are_detected(
    listen: Callable[..., tuple[str, str]], stream: Path, mode: str
) -> None:
    out, log = listen(stream, "--mode", mode, "--threshold", 0.6, "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert [each["word"] for each in found] == ["low", "high"]
    for each, begin in zip(found, (2.0, 4.25), strict=True):
        assert begin < each["time"] < begin + 0.8
        assert 0.6 <= each["confidence"] <= 1
        assert each["file"] == str(stream)
    assert re.search(r"listened to 6\.5 s: 2 detections \(\w+ 1, \w+ 1\); real-time factor", log)


def test_each_detection_is_a_line_and_a_file_if_asked(
    listen: Callable[..., tuple[str, str]], stream: Path, tmp_path: Path
) -> None:
    out, _ = listen(stream, "--threshold", 0.6, "--save", tmp_path / "saved")
    lines = out.splitlines()
    assert re.fullmatch(rf"{stream}: [\d.]+ s: low [\d.]+%", lines[0])
    files = sorted((tmp_path / "saved").iterdir())
    assert len(files) == len(lines) == 2
    assert files[0].name.endswith("-low.wav")
    samples, rate = soundfile.read(files[0])
    assert rate == RATE
    assert len(samples) == SIZE + RATE // 2
    exact, _ = listen(stream, "--threshold", 0.6, "--json")
    end = round(json.loads(exact.splitlines()[0])["time"] * RATE)
    whole, _ = soundfile.read(stream)
    np.testing.assert_allclose(samples, whole[end - len(samples) : end], atol=2**-15)


def test_what_cannot_be_read_is_an_error_and_the_rest_is_heard(
    listen: Callable[..., tuple[str, str]], stream: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    out, log = listen(bad, stream, "--threshold", 0.6, code=2)
    assert len(out.splitlines()) == 2
    assert f"{bad}: expected a recording, found a file that soundfile cannot read" in log
    out, _ = listen(bad, "--json", code=2)
    assert json.loads(out)["error"].startswith(f"{bad}: expected a recording")


def test_keys_of_listening_can_be_overridden(
    listen: Callable[..., tuple[str, str]], stream: Path
) -> None:
    times = []
    for average in (25, 250):
        changes = ["--set", f"listen.average={average}", "--set", "listen.threshold=0.5"]
        out, _ = listen(stream, *changes, "--json")
        times.append(json.loads(out.splitlines()[0])["time"])
    assert times[0] < times[1]


def test_folders_and_patterns_name_recordings(
    listen: Callable[..., tuple[str, str]], stream: Path, tmp_path: Path
) -> None:
    for name in ("b.wav", "a.wav"):
        (tmp_path / name).symlink_to(stream)
    for place in (tmp_path, tmp_path / "*.wav"):
        out, _ = listen(place, "--threshold", 0.6, "--json")
        files = [json.loads(line)["file"] for line in out.splitlines()]
        assert files == [str(tmp_path / name) for name in ("a.wav", "a.wav", "b.wav", "b.wav")]
    (tmp_path / "empty").mkdir()
    _, log = listen(tmp_path / "empty", stream, "--threshold", 0.6, code=2)
    assert f"{tmp_path / 'empty'}: expected a recording, found a folder without any" in log
    assert "2 detections" in log


def test_recordings_of_one_name_have_files_of_their_own(
    listen: Callable[..., tuple[str, str]], stream: Path, tmp_path: Path
) -> None:
    listen(stream, stream, "--threshold", 0.6, "--save", tmp_path)
    listen(stream, "--threshold", 0.6, "--save", tmp_path)
    names = sorted(each.name for each in tmp_path.iterdir())
    assert len(names) == 6
    assert sum(name.endswith("low-3.wav") for name in names) == 1


def test_a_file_on_a_pipe_that_is_not_raw_is_an_error(
    run: Path, stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "srnn", "listen", str(run), "-"]
    with stream.open("rb") as pipe:
        done = subprocess.run(command, stdin=pipe, capture_output=True, text=True)
    assert done.returncode == 2
    assert "stdin: expected raw 16-bit samples, found a file of another format" in done.stderr
    assert "listened to" not in done.stderr


def samples(stream: Path) -> bytes:
    read: bytes = soundfile.read(stream, dtype="int16")[0].astype("<i2").tobytes()
    return read


def test_raw_samples_on_a_pipe_are_a_recording(
    listen: Callable[..., tuple[str, str]], run: Path, stream: Path
) -> None:
    by_file, _ = listen(stream, "--threshold", 0.6, "--json")
    command = [sys.executable, "-m", "srnn", "listen", str(run), "-", "--threshold", "0.6"]
    by_pipe = subprocess.run(
        [*command, "--json", "--rate", str(RATE)],
        input=samples(stream),
        capture_output=True,
        check=True,
    )
    expected = [json.loads(line) | {"file": "stdin"} for line in by_file.splitlines()]
    assert [json.loads(line) for line in by_pipe.stdout.splitlines()] == expected


def test_a_live_stream_on_a_terminal_ends_with_ctrl_c(run: Path, stream: Path) -> None:
    """Detections come as they happen, on lines of their own; Ctrl-C ends with the summary."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 80, 0, 0))
    command = [sys.executable, "-m", "srnn", "listen", str(run), "-", "--threshold", "0.6"]
    with subprocess.Popen(
        [*command, "--rate", str(RATE)], stdin=subprocess.PIPE, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        assert process.stdin
        process.stdin.write(samples(stream))
        process.stdin.flush()
        shown = b""
        while not re.search(rb"stdin: [\d.]+ s: high [\d.]+%", shown):
            assert select.select([master], [], [], 60)[0], shown
            shown += os.read(master, 4096)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        while True:
            try:
                shown += os.read(master, 4096)
            except OSError:  # its end
                break
        assert process.wait() == 130
    os.close(master)
    text = shown.decode().replace("\r\n", "\n")
    lines = [line.rsplit("\r", 1)[-1] for line in text.split("\n")]
    assert any(re.fullmatch(r"stdin: [\d.]+ s: low [\d.]+%", line.strip()) for line in lines)
    assert re.search(r"0:0[456] \[", text)
    assert re.search(r"stdin: listened to [456]\.\d s: 2 detections", text)


def evaluate(
    run: Path, tones: Path, capsys: pytest.CaptureFixture[str], *options: object, code: int = 0
) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tones)
        capsys.readouterr()
        arguments = ["evaluate", str(run), "--partition", "validation", *map(str, options)]
        assert cli.run(arguments) == code
        captured = capsys.readouterr()
        return captured.err if code else captured.out


@pytest.mark.parametrize("mode", ["windows", "stateful"])
def test_misses_and_false_alarms_on_streams(
    run: Path,
    tones: Path,
    stream: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    mode: str,
) -> None:
    picture = tmp_path / "curve.svg"
    options = ["--stream", "--mode", mode, "--negatives", stream, "--picture", picture, "--json"]
    found = json.loads(evaluate(run, tones, capsys, *options))
    scenes = ["quiet", "noise, 10 dB", "noise, 0 dB"]
    assert [scene["name"] for scene in found["scenes"]] == scenes
    thresholds = found["thresholds"]
    middle = min(range(len(thresholds)), key=lambda n: abs(thresholds[n] - 0.5))
    for scene in found["scenes"]:
        missed = [sum(each["misses"].values()) / 2 for each in scene["points"]]
        assert set(scene["points"][0]["misses"]) == {"low", "high"}
        assert missed[-1] > 0.9  # at a threshold of 0.9997
        assert missed[0] < 0.9
        assert scene["minutes"] > 0.5
    quiet = found["scenes"][0]["points"][middle]
    assert sum(quiet["misses"].values()) < 1
    background, named = found["false_alarms"]
    assert background["name"] == "background"
    assert named["name"] == str(stream)
    assert named["minutes"] == pytest.approx(6.5 / 60)
    assert named["counts"][middle] == {"high": 1, "low": 1}  # it does hold the words
    assert named["counts"][-1] == {}
    assert "<svg" in picture.read_text()


def test_the_table_of_a_stream_and_what_cannot_be_measured(
    run: Path, tones: Path, stream: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = evaluate(run, tones, capsys, "--stream", "--negatives", stream)
    assert "noise, 10 dB" in table
    assert re.search(r"stream\.wav: at most 10 an hour: threshold 0\.\d+, 0 alarms", table)
    for options, error in (
        (["--negatives", stream], "--negatives: expected --stream with it"),
        (["--mode", "windows"], "--mode: expected --stream with it"),
        (["--set", "listen.average=50"], "--set listen.average=50: expected --stream with it"),
        (["--stream", "--set", "mel.fmax=50"], "--set mel.fmax=50: expected a key of [listen]"),
        (["--stream", "--set", "listen.averag=5"], "--set listen.averag: "),
        (["--stream", "--set", "listen.average=x"], "--set listen.average: expected a number"),
        (["--stream", "--robustness"], "expected it without --stream"),
        (["--stream", "--negatives", tmp_path / "none"], "none"),
        (["--stream", "--picture", "a.nothing"], "expected a file name ending in"),
        (["--labels", tmp_path / "a.tsv"], "--labels: expected --stream FILE with it"),
        (["--stream", stream], f"--stream {stream}: expected --labels TSV with it"),
    ):
        assert error in evaluate(run, tones, capsys, *options, code=2)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    file = tmp_path / "stream.tsv"
    file.write_text("start\tend\tword\n4.25\t4.5\thigh\n2.0\t2.25\tlow\n5.5\t5.7\tother\n")
    return file


def test_misses_in_a_labelled_recording(
    run: Path,
    tones: Path,
    stream: Path,
    labels: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--stream", stream, "--labels", labels]
    found = json.loads(evaluate(run, tones, capsys, *options, "--json"))
    (scene,), (alarms,) = found["scenes"], found["false_alarms"]
    assert scene["name"] == alarms["name"] == str(stream)
    thresholds = found["thresholds"]
    middle = min(range(len(thresholds)), key=lambda n: abs(thresholds[n] - 0.5))
    assert scene["points"][middle]["misses"] == {"high": 0, "low": 0}
    assert scene["points"][middle]["unknown"] == 0
    assert alarms["counts"][middle] == {}
    assert scene["points"][-1]["misses"] == {"high": 1, "low": 1}
    # Elsewhere than where they are said, they are false alarms.
    labels.write_text("0.2\t0.4\tLow\n\\\t100.0\t200.0\n0.6\t0.8\thigh\n")
    found = json.loads(evaluate(run, tones, capsys, *options, "--json"))
    assert found["scenes"][0]["points"][middle]["misses"] == {"high": 1, "low": 1}
    assert found["false_alarms"][0]["counts"][middle] == {"high": 1, "low": 1}
    assert str(stream) in evaluate(run, tones, capsys, *options)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", ": expected keywords (low, high), found no line"),
        ("1\t2\tnothing\n", ": expected keywords (low, high), found nothing"),
        ("1\t2\n", ":1: expected start, end and word between tabs, found '1\\t2'"),
        ("start\tend\tword\n1\tx\tlow\n", ":2: expected start, end and word between tabs"),
        ("2\t1\tlow\n", ":1: expected 0 <= start < end, found 2 and 1"),
        ("nan\t1\tlow\n", ":1: expected 0 <= start < end"),
        ("1\t99\tlow\n", ": expected ends within the 6.500 s of the recording, found 99"),
    ],
)
def test_labels_that_do_not_fit_are_an_error(
    run: Path,
    tones: Path,
    stream: Path,
    labels: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    error: str,
) -> None:
    labels.write_text(text)
    options = ["--stream", stream, "--labels", labels]
    message = evaluate(run, tones, capsys, *options, code=2)
    assert f"{labels}{error}" in message
    assert len(message.strip().splitlines()) == 1
    labels.unlink()
    expected = f"{labels}: expected a file of labels, found No such file"
    assert expected in evaluate(run, tones, capsys, *options, code=2)


def test_calibrated_thresholds_are_used(
    run: Path,
    tones: Path,
    stream: Path,
    tmp_path: Path,
    listen: Callable[..., tuple[str, str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tones)
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, np.random.default_rng(1).normal(0, 1e-3, 20 * RATE), RATE)
    assert cli.run(["calibrate", str(run), "--negatives", str(quiet)]) == 0
    out, log = capsys.readouterr()
    assert "too few for 1 false alarms an hour" in log
    try:
        assert re.match(r"low: 0\.\d+\nhigh: 0\.\d+\n0 false alarms in 0\.\d min\n", out)
        calibrated, _ = listen(stream, "--json")
        thresholds = dict(re.findall(r"(\w+): (0\.\d+)", out))
        for line in calibrated.splitlines():
            each = json.loads(line)
            assert each["confidence"] > float(thresholds[each["word"]]) - 1e-3
        _, error = listen(stream, "--mode", "stateful", code=2)
        assert "expected a calibration for listen.mode = stateful" in error
        listen(stream, "--mode", "stateful", "--threshold", 0.9)
        table = evaluate(run, tones, capsys, "--stream", "--negatives", quiet)
        assert "at the calibrated thresholds: missed: quiet " in table
        assert re.search(r"quiet\.wav: 0 alarms \(0\.0 to \d+\.\d an hour\)$", table.strip())
        assert "calibrated" not in evaluate(run, tones, capsys, "--stream", "--mode", "stateful")
    finally:
        (run / "calibration.json").unlink()
    assert cli.run(["calibrate", str(tmp_path / "none")]) == 2
