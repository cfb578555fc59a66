# SPDX-License-Identifier: MPL-2.0
"""Damaged and odd recordings, in a data set that is trained on and as files to predict."""

import json
import shutil
from pathlib import Path

import pytest

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
    assert all(line.endswith("%") for line in answered)
    assert printed.err.splitlines() == [
        f"{path}: expected a recording, found {BAD[path.name]}" for path in bad[: len(files) // 2]
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
