# SPDX-License-Identifier: MPL-2.0
"""`srnn predict` as a user calls it: folders, patterns, long recordings, silence, doubt."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import srnn
from srnn import cli
from srnn.data.audio import UnreadableError
from srnn.data.selection import select_recordings
from srnn.runs import recogniser
from srnn.runs.recogniser import Prediction
from tone_runs import train_on_tones

RATE = 8_000
SIZE = 2_000  # a clip of the tones: 0.25 s


@pytest.fixture(scope="module")
def trained(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "trained"
    return train_on_tones(tones, run, "srnn.epochs=6")


@pytest.fixture
def takes(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with a folder ``takes`` of six recordings and a note."""
    monkeypatch.chdir(tmp_path)
    one, two = (next((tones / "tones" / word).iterdir()) for word in ("low", "high"))
    samples, rate = soundfile.read(two)
    for name in ("b.wav", "a.wav", "ada/c.WAV", "ada/deep/d.wav", ".hidden/e.wav", "._b.wav"):
        Path("takes", name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(one, Path("takes", name))
    soundfile.write("takes/ada/f.flac", samples, rate)
    soundfile.write("takes/ada/g.ogg", samples, rate)
    Path("takes/note.txt").write_text("no recording")
    Path("takes/memo.m4a").write_bytes(b"nor this")
    Path("takes/ada/back").symlink_to("..")
    return tmp_path


IN_TAKES = ["a.wav", "ada/c.WAV", "ada/deep/d.wav", "ada/f.flac", "ada/g.ogg", "b.wav"]


def predict(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    assert cli.run(["predict", *map(str, arguments)]) == code
    return capsys.readouterr().out


def answers(
    capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0
) -> list[dict[str, Any]]:
    printed = predict(capsys, *arguments, "--json", code=code)
    return [json.loads(line) for line in printed.splitlines()]


@pytest.mark.usefixtures("takes")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("takes", IN_TAKES),
        ("takes/", IN_TAKES),
        ("takes/*.wav", ["a.wav", "b.wav"]),
        ("takes/**/*.wav", ["a.wav", "ada/deep/d.wav", "b.wav"]),
        ("takes/ada/?.*", ["ada/c.WAV", "ada/f.flac", "ada/g.ogg"]),
        ("tak*", IN_TAKES),
        ("takes/a*", ["a.wav", "ada/c.WAV", "ada/deep/d.wav", "ada/f.flac", "ada/g.ogg"]),
    ],
)
def test_a_folder_and_a_pattern_stand_for_all_their_recordings(
    name: str, expected: list[str]
) -> None:
    found = [str(path) for path in select_recordings(name)]
    assert [path for path in found if "back" not in path] == sorted(f"takes/{e}" for e in expected)


@pytest.mark.usefixtures("takes")
def test_a_file_whose_name_looks_like_a_pattern_is_a_file() -> None:
    shutil.copy("takes/a.wav", "take[1].wav")
    assert select_recordings("take[1].wav") == [Path("take[1].wav")]


def test_what_stands_for_no_recording_says_so(takes: Path) -> None:
    for name, found in (
        ("nothing*.wav", "nothing that matches"),
        ("takes/*.txt", "nothing that matches"),
        ("empty", "a folder without any"),
        (
            "coded",
            "a folder without any (but 2 .m4a, 1 .wma that soundfile does not read: convert them)",
        ),
    ):
        if "*" not in name:
            (takes / name).mkdir()
        if name == "coded":
            for file in ("a.m4a", "b.M4A", "c.wma"):
                (takes / name / file).write_bytes(b"coded")
        with pytest.raises(UnreadableError) as error:
            select_recordings(name)
        assert str(error.value) == f"{name}: expected a recording, found {found}"


def test_folders_files_and_patterns_are_answered_for_in_the_order_given(
    trained: Path, takes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (takes / "takes/ada/back").unlink()
    (takes / "takes/ada/bad.wav").write_bytes(b"RIFF")
    given = ["takes/b.wav", "none*", "takes", "takes/ada/*.flac"]
    found = answers(capsys, trained, *given, code=2)
    in_takes = [f"takes/{name}" for name in sorted([*IN_TAKES, "ada/bad.wav"])]
    files = ["takes/b.wav", "none*", *in_takes, "takes/ada/f.flac"]
    assert [answer["file"] for answer in found] == files
    bad = ["none*", "takes/ada/bad.wav"]
    assert [answer["file"] for answer in found if "error" in answer] == bad
    lines = predict(capsys, trained, *given, code=2).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f for f in files if f not in bad]


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_answers_do_not_depend_on_how_many_are_judged_at_a_time(
    trained: Path, takes: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(recogniser, "_BATCH", batch)
    loaded = srnn.load(trained)
    sizes: list[int] = []
    loaded.spotter.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    found = list(loaded.predict_each([takes / "takes" / name for name in IN_TAKES]))
    assert sizes == {1: [1] * 6, 3: [3, 3], 64: [6]}[batch]
    for path, answer in found:
        assert isinstance(answer, Prediction)
        alone = loaded.predict(path)
        assert answer.label == alone.label
        assert list(answer.probabilities.values()) == pytest.approx(
            list(alone.probabilities.values()), abs=1e-5
        )


def test_with_the_normalisation_of_the_reference_each_is_judged_alone(
    tones: Path, tmp_path: Path, takes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tones)
    sets = ["--set", "srnn.epochs=1", "--set", "data.normalisation=batch"]
    assert cli.run(["tones.toml", "--run-dir", str(tmp_path / "run"), *sets]) == 0
    loaded = srnn.load(tmp_path / "run")
    for path, answer in loaded.predict_each([takes / "takes"]):
        assert answer == loaded.predict(path)


@pytest.fixture
def long(tones: Path, takes: Path) -> Path:
    """Return a recording of 1.125 s: low, nothing, high (the loudest), low; and half a clip."""
    low, _ = soundfile.read(next((tones / "tones" / "low").iterdir()))
    high, _ = soundfile.read(next((tones / "tones" / "high").iterdir()))
    parts = [low, np.zeros(SIZE), 3 * high, low, 0.01 * low[: SIZE // 2]]
    soundfile.write(takes / "long.wav", np.concatenate(parts), RATE)
    return takes / "long.wav"


def test_of_a_longer_recording_it_is_said_what_was_judged(
    trained: Path, long: Path, takes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (answer,) = answers(capsys, trained, long)
    assert answer["duration"] == pytest.approx(1.125)
    assert answer["end"] - answer["start"] == pytest.approx(0.25)
    assert answer["start"] == pytest.approx(0.5, abs=0.15)
    line = predict(capsys, trained, long)
    said = f"the loudest 0.25 s of 1.12 s, from {answer['start']:.2f} s on)"
    assert line.rstrip().endswith(said)
    assert "loudest" not in predict(capsys, trained, takes / "takes/a.wav")
    (short,) = answers(capsys, trained, takes / "takes/a.wav")
    assert (short["start"], short["end"], short["duration"]) == (0, 0.25, 0.25)


def test_all_of_a_longer_recording_is_judged_window_by_window(
    trained: Path, long: Path, takes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = takes / "takes/b.wav"
    found = answers(capsys, trained, long, takes / "none.wav", short, "--all", code=2)
    windows = [answer for answer in found if answer["file"] == str(long)]
    starts = [0, 0.25, 0.5, 0.75, 0.875]  # the last one ends with the recording
    assert [answer["start"] for answer in windows] == starts
    assert [answer["end"] for answer in windows] == [start + 0.25 for start in starts]
    assert [answer["digital_silence"] for answer in windows] == [False, True, False, False, False]
    samples = soundfile.read(long, dtype="float32")[0]
    for answer, start in zip(windows, (0, 2_000, 4_000, 6_000, 7_000), strict=True):
        alone = srnn.load(trained).predict_waveform(samples[start : start + SIZE])
        assert answer["probability"] == pytest.approx(alone.probability, abs=1e-5)
    assert [answer["file"] for answer in found[5:]] == [str(takes / "none.wav"), str(short)]
    lines = predict(capsys, trained, long, "--all").splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        [str(long), f"{start:.2f} s"] for start in starts
    ]
    assert "loudest" not in "".join(lines)


@pytest.mark.parametrize("kind", ["zeros", "below 16 bits", "a constant"])
def test_digital_silence_is_named(
    trained: Path, takes: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    noise = 1e-6 * np.random.default_rng(0).normal(size=SIZE)
    samples = {"zeros": np.zeros(SIZE), "below 16 bits": noise, "a constant": np.full(SIZE, 0.1)}
    soundfile.write("still.wav", samples[kind], RATE, subtype="FLOAT")
    (answer,) = answers(capsys, trained, "still.wav")
    assert answer["digital_silence"] is True
    line = predict(capsys, trained, "still.wav")
    assert line.endswith("(digital silence: nothing to recognise)\n")
    (sound,) = answers(capsys, trained, takes / "takes/a.wav")
    assert sound["digital_silence"] is False


def test_low_confidence_is_shown(
    trained: Path, takes: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = takes / "takes/a.wav"
    (answer,) = answers(capsys, trained, clip)
    for limit, unsure in ((answer["probability"], False), (answer["probability"] + 0.01, True)):
        monkeypatch.setattr(recogniser, "UNSURE", limit)
        assert answers(capsys, trained, clip)[0]["unsure"] is unsure
        assert predict(capsys, trained, clip).endswith("(unsure)\n") is unsure
