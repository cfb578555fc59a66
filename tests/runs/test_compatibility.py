# SPDX-License-Identifier: MPL-2.0
"""A run goes on only with the recordings that it began with."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recordings import corpus_of
from srnn.data.corpus import Corpus
from srnn.data.labels import BACKGROUND
from srnn.errors import InputError
from srnn.runs.compatibility import clips_digest, expect_same_clips

RATE = 8000


def read(folder: Path) -> Corpus:
    return corpus_of(
        folder,
        ["on"],
        silence_clips=(0, 0, 0),
        seed=0,
        size=RATE,
        sample_rate=RATE,
    )


def write(path: Path, seed: int, rate: int = RATE) -> None:
    """Write a recording of always the same size and time of change."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).normal(size=100), rate)
    os.utime(path, (0, 0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a data set of two words and a background recording."""
    write(tmp_path / "set" / "on" / "ada_nohash_0.wav", 0)
    write(tmp_path / "set" / "on" / "bob_nohash_0.wav", 1)
    write(tmp_path / "set" / BACKGROUND / "hum.wav", 2)
    return tmp_path / "set"


def test_runs_of_earlier_versions_go_on(folder: Path) -> None:
    """The digest that commit 3d58395 noted of this data set."""
    saved = "2:c8578dd0eeeb9017f7fa1f3dae6627d2612c8311a07fa2eb5842b3185f057a87"
    expect_same_clips(read(folder), saved, "last.pt")


def test_recordings_in_folders_of_speakers_are_told_apart(folder: Path) -> None:
    speaker = folder / "on" / "ada"
    speaker.mkdir()
    (folder / "on" / "ada_nohash_0.wav").rename(speaker / "ada_nohash_0.wav")
    saved = clips_digest(read(folder))
    expect_same_clips(read(folder), saved, "last.pt")
    speaker.rename(speaker.with_name("eve"))
    with pytest.raises(InputError, match="found others"):
        expect_same_clips(read(folder), saved, "last.pt")


def test_a_data_set_may_move(folder: Path) -> None:
    saved = clips_digest(read(folder))
    moved = folder.rename(folder.with_name("moved"))
    expect_same_clips(read(moved), saved, "last.pt")


@pytest.mark.parametrize("name", ["on/ada_nohash_0.wav", f"{BACKGROUND}/hum.wav"])
@pytest.mark.parametrize(("seed", "rate"), [(9, RATE), (0, 2 * RATE)], ids=["sound", "rate"])
def test_other_audio_of_the_same_names_is_refused(
    folder: Path, name: str, seed: int, rate: int
) -> None:
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    write(folder / name, 0)
    saved = clips_digest(read(folder))
    write(other / name, seed, rate)
    with pytest.raises(InputError) as error:
        expect_same_clips(read(other), saved, "last.pt")
    assert str(error.value) == (
        "last.pt: expected the clips that the run began with, "
        f"found others in {other}: restore them, or start a new run"
    )


def test_swapped_audio_is_refused(folder: Path) -> None:
    saved = clips_digest(read(folder))
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    write(other / "on" / "ada_nohash_0.wav", 1)
    write(other / "on" / "bob_nohash_0.wav", 0)
    with pytest.raises(InputError, match="expected the clips that the run began with"):
        expect_same_clips(read(other), saved, "last.pt")


def test_a_run_of_an_earlier_version_is_refused_as_such(folder: Path) -> None:
    with pytest.raises(InputError) as error:
        expect_same_clips(read(folder), 64 * "0", "last.pt")
    assert str(error.value) == (
        "last.pt: expected a run that this version of srnn began, found one of an earlier version, "
        "which did not note what the recordings hold: finish it with that version, or start a new "
        "run"
    )
