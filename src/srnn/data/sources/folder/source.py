# SPDX-License-Identifier: MPL-2.0
"""A folder of words as a source: one's own, or Speech Commands, downloaded where it is missing.

It has the layout of Speech Commands: a folder a word with its recordings, there or in a folder a
speaker; `_background_noise_` with long recordings from which silence is cut; `validation_list.txt`
and `testing_list.txt`, which name the clips of two partitions. Every other clip is for training.
Where a list is missing, the hash of the speaker takes its place. A folder that holds `_silence_` or
`_unknown_` beside the words and has no lists is a test archive.
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from srnn.data.dataset import DataSet, Entry, File
from srnn.data.fetch.dataroot import CORPORA, corpus_name, disk_errors
from srnn.data.labels import BACKGROUND, SILENCE, UNKNOWN
from srnn.data.names import composed, speaker_of
from srnn.data.partitions import partition_of_speaker
from srnn.data.sources.folder.archives import Origin, archive_of, fetch, is_fetched
from srnn.data.sources.folder.layout import (
    are_partitions,
    folders,
    holds_speakers,
    holds_words,
    is_data_set,
    why_no_data_set,
)
from srnn.data.sources.folder.lists import LISTS, read_lists
from srnn.data.sources.folder.scanning import scan
from srnn.data.sources.speech_commands import expect_version, stand_ins, version_of
from srnn.data.task import Task
from srnn.errors import InputError, printable

_log = logging.getLogger(__name__)


def fits(url: str) -> bool:
    """Whether ``data.gsc_url`` names this source: everything that names no other one."""
    return True


def get(task: Task) -> DataSet:
    """Return the data set to train on; download and unpack it where it is missing.

    Raises
    ------
    InputError
        As `acquire` does; or a folder cannot be read, or holds partitions in place of words.
    """
    return read(acquire(Path(task.keys.dataroot), _origin(task), task.named_words))


def find(task: Task) -> DataSet:
    """Return the data set that was trained on; nothing is downloaded.

    Raises
    ------
    InputError
        There is none.
    """
    data = task.keys
    trained_on = f"data.dataroot = {data.dataroot!r}, where training was"
    return at(Path(data.dataroot), data.gsc_url, trained_on)


def missing(task: Task) -> str:
    """Return what `get` would have to download; empty: nothing."""
    there = is_at_hand(Path(task.keys.dataroot), _origin(task), task.named_words)
    return "" if there else f"data set {corpus_name(task.keys.gsc_url)}"


def at(dataroot: Path, gsc_url: str, named_by: str) -> DataSet:
    """Return the only data set in a data root, or the one called ``gsc_url`` there.

    Raises
    ------
    InputError
        There is none, or there are several; ``named_by`` is where the data root is stated.
    """
    folder = locate(dataroot, gsc_url)
    if folder is None:
        raise InputError(
            f"{named_by}: expected one data set (a folder a word with recordings in it, there or "
            f"under SpeechCommands) or one called {corpus_name(gsc_url)}, found none or several; "
            "name it with --dataroot DIR"
        )
    return read(folder)


def read(folder: Path, *, for_testing: bool = False) -> DataSet:
    """List the clips of a folder of words.

    Parameters
    ----------
    folder : Path
    for_testing : bool
        Whether it is a test archive even if it does not look like one.

    Raises
    ------
    InputError
        If a folder or a list cannot be read, or there are partitions in place of words.
    """
    files = scan(folder)
    lists = read_lists(folder, (file.name for file in files))
    by_word: dict[str, list[File]] = {}
    for file in files:
        by_word.setdefault(composed(file.name.partition("/")[0]), []).append(file)
    if not for_testing and not lists and (marks := {SILENCE, UNKNOWN} & by_word.keys()):
        _log.info(
            "%s has a folder %s and no lists: a test archive, all of it is for testing",
            *(folder, SILENCE if SILENCE in marks else UNKNOWN),
        )
        for_testing = True
    if not for_testing and len(lists) < len(LISTS):
        _warn_of_shared_speakers(folder, by_word)
    entries = [
        Entry(
            file.name,
            word,
            _partition(file.name, word, lists, for_testing),
            speaker=_speaker(file.name),
        )
        for word, some in by_word.items()
        for file in some
    ]
    return DataSet(folder, folder, tuple(files), tuple(entries), for_testing)


def _speaker(name: str) -> str:
    return speaker_of(name.partition("/")[2])


def _partition(
    name: str, word: str, lists: Mapping[str, frozenset[str]], for_testing: bool
) -> str | None:
    """Return the partition of a recording: of the list that names it; by speaker without lists."""
    if word == BACKGROUND:
        return None
    if for_testing:
        return "testing"
    for partition, listed in lists.items():
        if name in listed:
            return partition
    if len(lists) == len(LISTS):
        return "training"
    partition = partition_of_speaker(_speaker(name))
    return "training" if partition in lists else partition


def _warn_of_shared_speakers(folder: Path, by_word: Mapping[str, Iterable[File]]) -> None:
    unnamed = [
        file.name
        for word, files in by_word.items()
        if word != BACKGROUND
        for file in files
        if "_nohash_" not in file.name and file.name.count("/") == 1
    ]
    if unnamed:
        _log.warning(
            "%s: %d recordings do not name their speaker (SPEAKER_nohash_N.wav), such as %s: "
            "the same voices may be in several partitions",
            *(printable(folder), len(unnamed), printable(unnamed[0])),
        )


def _origin(task: Task) -> Origin:
    return Origin(task.keys.gsc_url, task.keys.gsc_sha256)


def locate(dataroot: Path, name: str) -> Path | None:
    """Return the folder of the data set in a data root; None: there is none, or several.

    Parameters
    ----------
    dataroot : Path
        The data root ``DIR``.
    name : str
        Name or URL of the data set that is preferred.

    Returns
    -------
    Path or None
        What `acquire` finds there; else the only folder under ``DIR/SpeechCommands`` that holds
        words, be it a test archive or synthetic.

    Raises
    ------
    InputError
        A folder cannot be read.
    """
    with disk_errors(dataroot):
        named = dataroot / CORPORA / corpus_name(name)
        corpora = _corpora(dataroot)
        for places in ([named], stand_ins(named.name, corpora), [dataroot], corpora):
            if len(places) == 1 and is_data_set(places[0]):
                return places[0]
        return None


def acquire(dataroot: Path, origin: Origin, words: Iterable[str] = ()) -> Path:
    """Return the folder of the data set to train on; download and unpack it where it is missing.

    The first that fits: the configured data set under ``DIR/SpeechCommands``; the archive in
    ``DIR``; for Speech Commands, the only data set under ``DIR/SpeechCommands``; ``DIR`` itself,
    if it holds words; a download.

    Parameters
    ----------
    dataroot : Path
        The data root ``DIR``; created if a download needs it.
    origin : Origin
        The data set configured.
    words : iterable of str
        The keywords: Speech Commands is not stood in for by folders of speakers in ``DIR`` of which
        none is a keyword's; they are something else.

    Raises
    ------
    InputError
        Another version of Speech Commands lies there, or `fetch` fails.
    """
    archive = archive_of(dataroot, origin)
    with disk_errors(dataroot):
        if is_data_set(dataroot / CORPORA / archive.name) or archive.path.is_file():
            return fetch(dataroot, origin)
        others = stand_ins(archive.name, _corpora(dataroot))
        for folder in others:
            expect_version(archive.name, folder, origin.url_key)
        if len(others) == 1:
            what = f"{origin.url_key} = {origin.url!r} is not there"
            _log.warning("using the only data set, %s: %s", others[0], what)
            return others[0]
        if holds_words(dataroot) or _holds_their_speakers(dataroot, archive.name, words):
            expect_version(archive.name, dataroot.resolve(), origin.url_key)
            _log.info("using the data set in %s", dataroot)
            return dataroot
        if reason := why_no_data_set(dataroot):
            if not archive.url:
                raise InputError(f"data.dataroot: expected a data set, found none: {reason}")
            _log.warning("data.dataroot: not used: %s", printable(reason))
    return fetch(dataroot, origin)


def is_at_hand(dataroot: Path, origin: Origin, words: Iterable[str]) -> bool:
    """Whether `acquire` would find a data set, or its archive, without a download.

    Raises
    ------
    InputError
        The name or URL is unknown, or a folder cannot be read.
    """
    if is_fetched(dataroot, origin):
        return True
    with disk_errors(dataroot):
        name = archive_of(dataroot, origin).name
        if stand_ins(name, _corpora(dataroot)):
            return True
        return holds_words(dataroot) or _holds_their_speakers(dataroot, name, words)


def _holds_their_speakers(dataroot: Path, name: str, words: Iterable[str]) -> bool:
    """Whether a data root is laid out as `WORD/SPEAKER/FILE`, and meant to be."""
    if not holds_speakers(dataroot):
        return False
    there = folders(dataroot)
    are_meant = not {composed(place.name) for place in there}.isdisjoint(words)
    return not version_of(name) or are_meant or are_partitions(there)


def _corpora(dataroot: Path) -> list[Path]:
    return [place for place in folders(dataroot / CORPORA) if is_data_set(place)]
