# SPDX-License-Identifier: MPL-2.0
"""Find a data set on disk, or fetch, verify and unpack its archive.

The layout is torchaudio's: the archive lies at ``DIR/<name>.tar.gz`` and its content in
``DIR/SpeechCommands/<name>/``, one folder of recordings per word. Archive and data set appear under
their names only when they are whole. Of several processes that want one that is not there, one
prepares it; for one that is there nothing is written.
"""

import hashlib
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from torchaudio.datasets.speechcommands import _CHECKSUMS

from srnn.data.archive import extract
from srnn.data.dataroot import CORPORA, disk_errors, publish, scratch, sole_use
from srnn.data.download import download
from srnn.data.layout import (
    are_partitions,
    composed,
    folders,
    holds_speakers,
    holds_words,
    is_data_set,
    why_no_data_set,
)
from srnn.errors import InputError, printable

_log = logging.getLogger(__name__)

# SHA-256 by URL of the official archives.
CHECKSUMS: dict[str, str] = dict(_CHECKSUMS)

_SUFFIXES = (".tar.gz", ".tgz", ".tar")


@dataclass(frozen=True)
class Source:
    """Where a data set comes from, and the configuration keys that say so.

    Attributes
    ----------
    url : str
        A name in `URLS`, an http, https or file URL of a tar archive, or the name of a folder
        under ``DIR/SpeechCommands``.
    sha256 : str
        SHA-256 of the archive in hexadecimal; empty: the one in `CHECKSUMS`, if any.
    url_key, sha256_key : str
        The configuration keys of the two, for messages.
    """

    url: str
    sha256: str = ""
    url_key: str = "data.gsc_url"
    sha256_key: str = "data.gsc_sha256"


def corpus_name(url: str) -> str:
    """Return the name of a data set: the file name of its URL without the archive's suffix."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


# Official names and their URLs; the test archives lie beside the data sets.
URLS: dict[str, str] = {
    corpus_name(url): url
    for data_set in CHECKSUMS
    for url in (data_set, data_set.replace("commands_v", "commands_test_set_v"))
}


def locate(dataroot: Path, name: str) -> Path | None:
    """Find the data set that lies in a data root.

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
        stand_ins = _for_training(corpora) if _version(named.name) else []
        for places in ([named], stand_ins, [dataroot], corpora):
            if len(places) == 1 and is_data_set(places[0]):
                return places[0]
        return None


def acquire(dataroot: Path, source: Source, words: Iterable[str] = ()) -> Path:
    """Return the folder of the data set to train on; download and unpack it where necessary.

    The first that fits: the configured data set under ``DIR/SpeechCommands``; the archive in
    ``DIR``; for an official name, the only data set under ``DIR/SpeechCommands``; ``DIR`` itself,
    if it holds words; a download.

    Parameters
    ----------
    dataroot : Path
        The data root ``DIR``; created if a download needs it.
    source : Source
        The data set configured.
    words : iterable of str
        Those to recognise: an official data set is not stood in for by folders of speakers in
        ``DIR`` of which none is a word's; they are something else.

    Raises
    ------
    InputError
        Another version of Speech Commands lies there, or `fetch` fails.
    """
    archive = _archive(dataroot, source)
    with disk_errors(dataroot):
        if is_data_set(dataroot / CORPORA / archive.name) or archive.path.is_file():
            return fetch(dataroot, source)
        if _version(archive.name):
            others = _for_training(_corpora(dataroot))
            for folder in others:
                _expect_version(archive.name, folder, source)
            if len(others) == 1:
                what = f"{source.url_key} = {source.url!r} is not there"
                _log.warning("using the only data set, %s: %s", others[0], what)
                return others[0]
        if holds_words(dataroot) or _holds_their_speakers(dataroot, archive.name, words):
            _expect_version(archive.name, dataroot.resolve(), source)
            _log.info("using the data set in %s", dataroot)
            return dataroot
        if reason := why_no_data_set(dataroot):
            if not archive.url:
                raise InputError(f"data.dataroot: expected a data set, found none: {reason}")
            _log.warning("data.dataroot: not used: %s", printable(reason))
    return fetch(dataroot, source)


def _holds_their_speakers(dataroot: Path, name: str, words: Iterable[str]) -> bool:
    """Whether a data root is laid out as `WORD/SPEAKER/FILE`, and meant to be."""
    if not holds_speakers(dataroot):
        return False
    there = folders(dataroot)
    are_meant = not {composed(place.name) for place in there}.isdisjoint(words)
    return not _version(name) or are_meant or are_partitions(there)


def is_at_hand(dataroot: Path, source: Source, words: Iterable[str]) -> bool:
    """Whether `acquire` would find a data set, or its archive, without a download.

    Raises
    ------
    InputError
        The name or URL is unknown, or a folder cannot be read.
    """
    if is_fetched(dataroot, source):
        return True
    with disk_errors(dataroot):
        name = _archive(dataroot, source).name
        if _version(name) and _for_training(_corpora(dataroot)):
            return True
        return holds_words(dataroot) or _holds_their_speakers(dataroot, name, words)


def is_fetched(dataroot: Path, source: Source) -> bool:
    """Whether `fetch` would find a data set, or its archive, without a download.

    Raises
    ------
    InputError
        The name or URL is unknown, or a folder cannot be read.
    """
    archive = _archive(dataroot, source)
    with disk_errors(dataroot):
        return archive.path.is_file() or is_data_set(dataroot / CORPORA / archive.name)


def fetch(dataroot: Path, source: Source) -> Path:
    """Return ``DIR/SpeechCommands/<name>``, unpacked from ``DIR``'s archive or a download.

    Nothing else that lies in the data root is looked at: this is how a test archive is got, whose
    place no other data set can take. The archive is kept.

    Parameters
    ----------
    dataroot : Path
        The data root ``DIR``; created as needed.
    source : Source
        The data set configured.

    Raises
    ------
    InputError
        The name or URL is unknown, the download fails, the checksum differs, the archive is
        damaged or holds no words, or the disk cannot be written.
    """
    archive = _archive(dataroot, source)
    folder = dataroot / CORPORA / archive.name
    with disk_errors(dataroot):
        if not _is_there(folder):
            if not archive.path.is_file() and not archive.url:
                raise _unknown_source(dataroot, source, archive.path)
            if dataroot.exists() and not dataroot.is_dir():
                raise InputError(f"data.dataroot: expected a folder, found the file {dataroot}")
            with sole_use(dataroot, archive.name):
                if not _is_there(folder):  # another process may just have finished it
                    _prepare(folder, archive, source)
    _log.info("using the data set in %s", folder)
    return folder


class _Archive(NamedTuple):
    name: str
    url: str  # empty: it cannot be downloaded
    path: Path  # where it lies, or will lie once downloaded
    sha256: str  # empty: not known


def _archive(dataroot: Path, source: Source) -> _Archive:
    """Work out what a source stands for; raises InputError if it is no name and no such URL."""
    url = URLS.get(source.url, source.url)
    try:
        parts = urlsplit(url)
        name = corpus_name(url)
    except ValueError as error:  # such as an unclosed bracket in the host
        raise _unknown_source(dataroot, source) from error
    file_name = PurePosixPath(unquote(parts.path)).name
    if not parts.scheme and name == url:
        url, path = "", dataroot / f"{name}.tar.gz"
    elif parts.scheme == "file":
        url, path = "", Path(url2pathname(parts.path))
    elif parts.scheme in ("http", "https"):
        path = dataroot / file_name
    else:
        raise _unknown_source(dataroot, source)
    impossible = not name or name.startswith(".") or re.search(r"[\0-\x1f]", name)
    if impossible or (parts.scheme and name == file_name):
        raise _unknown_source(dataroot, source)
    return _Archive(name, url, path, (source.sha256 or CHECKSUMS.get(url, "")).lower())


def _unknown_source(dataroot: Path, source: Source, path: Path | None = None) -> InputError:
    nowhere = f" and no archive at {path}" if path else ""
    return InputError(
        f"{source.url_key}: expected one of {', '.join(URLS)}, an http, https or file URL that "
        f"ends in {', '.join(_SUFFIXES)}, or a folder's name under {dataroot / CORPORA}; "
        f"found {source.url!r}{nowhere}"
    )


def _is_there(folder: Path) -> bool:
    """Whether a data set lies there; raises InputError if something else does."""
    if is_data_set(folder):
        return True
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(
            f"{folder}: expected a folder of recordings for each word, found none: "
            f"{why_no_data_set(folder) or 'delete it and run again'}"
        )
    return False


def _prepare(folder: Path, archive: _Archive, source: Source) -> None:
    """Make a data set out of its archive, which is downloaded where it is missing."""
    if archive.path.is_file():
        _verify(archive.path, archive, source, "delete or replace it and run again")
    else:
        _download(archive, source)
    _unpack(archive.path, folder)


def _download(archive: _Archive, source: Source) -> None:
    """Download an archive into the data root, whole and verified."""
    remedy = f"the download from {archive.url} was not kept, run again"
    download(
        archive.url,
        archive.path,
        source.url_key,
        lambda partial: _verify(partial, archive, source, remedy),
    )


def _verify(file: Path, archive: _Archive, source: Source, remedy: str) -> None:
    """Compare a file's SHA-256 with the one expected of the archive; warn if there is none."""
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if not archive.sha256:
        _log.warning(
            '%s is unverified, no checksum is known: to have it verified set %s = "%s"',
            archive.path,
            source.sha256_key,
            found,
        )
    elif found != archive.sha256:
        raise InputError(
            f"{archive.path}: expected SHA-256 {archive.sha256} ({source.sha256_key}), "
            f"found {found}: {remedy}"
        )
    else:
        _log.info("verified %s", archive.path)


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into ``folder``, which appears when it is whole."""
    _log.info("unpacking %s", archive)
    with scratch(folder) as content:
        files = extract(archive, content)
        # The official archives hold the words themselves, others enclose them in one folder.
        inner = folders(content)
        corpora = [content] if holds_words(content) else list(filter(is_data_set, inner))
        # Words with folders of speakers look like data sets: what lies beside them tells.
        if len(corpora) > 1 and any(place.name[0] == place.name[-1] == "_" for place in inner):
            corpora = [content]
        if len(corpora) != 1:
            found = ", ".join(corpus.name for corpus in corpora) or "none"
            if len(corpora) > 1:
                found += " (words that have folders of speakers must lie in one folder)"
            raise InputError(
                f"{archive}: expected one data set, a folder of recordings for each word, "
                f"found {found}"
            )
        publish(corpora[0], folder)
    megabytes = archive.stat().st_size / 1e6
    _log.info("unpacked %d files into %s", files, folder)
    _log.info("the archive %s (%.0f MB) is kept and may be deleted", archive, megabytes)


def _corpora(dataroot: Path) -> list[Path]:
    return [place for place in folders(dataroot / CORPORA) if is_data_set(place)]


def _for_training(corpora: list[Path]) -> list[Path]:
    """Return those that may take the place of an official data set."""
    return [
        corpus
        for corpus in corpora
        if not corpus.name.startswith("synthetic-") and "_test_set_" not in corpus.name
    ]


def _version(name: str) -> str:
    """Return the version that a name of Speech Commands states, or an empty string."""
    found = re.search(r"speech_commands_(v\d+\.\d+)", name)
    return found[1] if found else ""


def _expect_version(wanted: str, folder: Path, source: Source) -> None:
    versions = {_version(wanted), _version(folder.name)} - {""}
    if len(versions) == 2:
        raise InputError(
            f"data.dataroot: expected {wanted} ({source.url_key}), found {folder}: "
            f'set {source.url_key} = "{folder.name}" or another data.dataroot'
        )
