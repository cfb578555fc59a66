# SPDX-License-Identifier: MPL-2.0
"""The synthetic data set as a source, ``data.gsc_url = "synthetic"``: no download, no recordings.

A speaker is a voice of eSpeak NG with an accent, and a vocal tract, pitch, rate and intonation of
its own; a clip is a speaker saying a word in a room, with noise.
"""

from pathlib import Path

from srnn.data.dataset import DataSet
from srnn.data.sources.folder import source as folder
from srnn.data.sources.speech_commands import WORDS
from srnn.data.sources.synthetic.corpus import SpokenCorpus
from srnn.data.sources.synthetic.installation import is_installed
from srnn.data.sources.synthetic.keys import NAME
from srnn.data.task import Task
from srnn.errors import InputError


def fits(url: str) -> bool:
    """Whether ``data.gsc_url`` names this source."""
    return url == NAME


def get(task: Task) -> DataSet:
    """Return the data set; synthesise it where it is missing.

    Raises
    ------
    InputError
        As `SpokenCorpus.make` does.
    """
    return folder.read(corpus_of(task).make(Path(task.keys.dataroot)))


def find(task: Task) -> DataSet:
    """Return the data set that was trained on; nothing is synthesised.

    Without the synthesiser, whose version is part of its name, it is the only one that is there.

    Raises
    ------
    InputError
        It is not there.
    """
    if not is_installed():
        return folder.find(task)
    place = corpus_of(task).folder(Path(task.keys.dataroot))
    if not place.is_dir():
        raise InputError(
            f"data.dataroot = {task.keys.dataroot!r}, where training was: expected the synthetic "
            f"data set {place.name} that it made, found none; train again, or name a data set with "
            "--dataroot DIR"
        )
    return folder.read(place)


def missing(task: Task) -> str:
    """Return what `get` would synthesise; empty: nothing."""
    place = corpus_of(task).folder(Path(task.keys.dataroot))
    return "" if place.is_dir() else f"synthetic data set {place.name}"


def corpus_of(task: Task) -> SpokenCorpus:
    """Return the definition of the data set: the keywords, and words for `_unknown_`."""
    keys = task.keys
    return SpokenCorpus(
        WORDS if keys.words == "all" else keys.words,
        keys.synthetic_clips,
        task.sample_rate,
        task.size,
        task.seed,
        others=WORDS if keys.unknown else (),
    )
