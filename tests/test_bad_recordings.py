# SPDX-License-Identifier: MPL-2.0
"""Damaged and odd recordings, in a data set that is trained on and as files to predict."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recordings import BAD, bad_recordings, odd_recordings
from srnn import cli


@pytest.fixture(scope="module")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run on the tones, with damaged and odd ones among those of `low`."""
    place = tmp_path_factory.mktemp("bad")
    shutil.copytree(tones / "tones", place / "tones", ignore=shutil.ignore_patterns(".cache"))
    shutil.copy(tones / "tones.toml", place)
    bad_recordings(place / "tones" / "low")
    odd_recordings(place / "tones" / "low")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        changes = ["--set", "srnn.epochs=1", "--set", "data.max_unreadable=0.5"]
        assert cli.run(["tones.toml", "--run-dir", "run", *changes]) == 0
    return place / "run"


@pytest.fixture(autouse=True)
def _here(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent)


def test_a_run_skips_and_names_what_is_unreadable(run: Path) -> None:
    log = (run / "train.log").read_text()
    assert log.count(f"{len(BAD)} of 154 recordings are unreadable and skipped") == 1
    for name, found in BAD.items():
        assert f"\nlow/{name}: {found}\n" in log


def test_evaluation_names_them_too(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["evaluate", str(run)]) == 0
    log = capfd.readouterr().err
    assert log.count("recordings are unreadable and skipped") == 1
    for name, found in BAD.items():
        assert f"low/{name}: {found}\n" in log


def test_too_many_end_the_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["tones.toml", "--run-dir", str(tmp_path / "run")]) == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith("data.max_unreadable: expected at most 1.00% unreadable recordings in ")
    assert f"found {len(BAD)} of " in line
    assert (
        "(low/cut.wav: data that is cut off (3,000 bytes are missing); low/cut_flac.wav: " in line
    )
    assert line.endswith("; ...): repair or remove them, or allow more")


def test_predict_answers_for_what_can_be_read(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad_recordings(tmp_path)
    (tmp_path / "odd").mkdir()
    odd = odd_recordings(tmp_path / "odd")
    bad = [tmp_path / name for name in BAD]
    files = [str(file) for pair in zip(bad, odd, strict=False) for file in pair]
    assert len(files) == 2 * min(len(bad), len(odd)) >= 24
    assert cli.run(["predict", str(run), *files]) == 2
    printed = capfd.readouterr()
    answered = printed.out.splitlines()
    assert len(answered) == len(files) // 2
    assert any(line.startswith(f"{tmp_path}/odd/no_utf8_\\udcff.wav: ") for line in answered)
    assert all(re.search(r": \w+ \d+\.\d%(  \(.+\))?$", line) for line in answered)
    found = BAD | {"folder.wav": "a folder without any"}
    assert printed.err.splitlines() == [
        f"{path}: expected a recording, found {found[path.name]}" for path in bad[: len(files) // 2]
    ]


def test_predict_in_json_answers_for_every_file(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad_recordings(tmp_path)
    (tmp_path / "odd").mkdir()
    odd = odd_recordings(tmp_path / "odd")
    files = [*(tmp_path / name for name in BAD), *odd]
    assert cli.run(["predict", str(run), "--json", *map(str, files)]) == 2
    answers = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [answer["file"] for answer in answers] == [str(file) for file in files]
    for file, answer in zip(files, answers, strict=True):
        assert ("label" in answer) == (file in odd)
        assert ("error" in answer) == (file.name in BAD and file.parent == tmp_path)


def test_predict_names_what_does_not_sound_as_recorded(run: Path, tmp_path: Path) -> None:
    """In a process of its own, whose log goes where a user sees it."""
    tone = np.sin(np.arange(2_000))
    soundfile.write(tmp_path / "loud.wav", 32_767 * tone, 8_000, subtype="FLOAT")
    soundfile.write(tmp_path / "inverted.wav", np.stack([tone, -tone], 1), 8_000)
    soundfile.write(tmp_path / "good.wav", tone, 8_000)
    files = [str(tmp_path / f"{name}.wav") for name in ("loud", "inverted", "good")]
    done = subprocess.run(
        [sys.executable, "-m", "srnn", "predict", str(run), "--json", *files],
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["file"] for answer in answers] == files
    assert all("label" in answer for answer in answers)
    assert done.stderr.count(f"{files[0]}: samples of up to 32,767, where full scale is 1, ") == 1
    assert done.stderr.count(f"{files[1]}: its channels cancel out") == 1
    assert files[2] not in done.stderr


def test_a_run_names_what_does_not_sound_as_recorded(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tones / "tones", tmp_path / "tones", ignore=shutil.ignore_patterns(".cache"))
    monkeypatch.chdir(tmp_path)
    soundfile.write("tones/low/loud.wav", 9_999 * np.sin(np.arange(2_000)), 8_000, subtype="FLOAT")
    for name in ("first", "second"):  # from the pack, too
        command = [str(tones / "tones.toml"), "--run-dir", name, "--set", "srnn.epochs=1"]
        assert cli.run(command) == 0
        log = capfd.readouterr().err
        assert log.count("tones: 1 of 122 recordings do not sound as recorded (low/loud.wav: ") == 1
