# SPDX-License-Identifier: MPL-2.0
"""Find a data set on disk, or fetch, verify and unpack its archive.

The layout is torchaudio's: the archive lies at ``DIR/<name>.tar.gz`` and its content in
``DIR/SpeechCommands/<name>/``, one folder of wav files per word. A data set appears under its name
only when it is whole: downloads and unpacking happen under a temporary name beside the target.
"""

import hashlib
import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from pooch import HTTPDownloader
from requests.exceptions import HTTPError, RequestException
from torchaudio.datasets.speechcommands import _CHECKSUMS, FOLDER_IN_ARCHIVE
from tqdm import tqdm

from srnn.data.archive import extract
from srnn.errors import InputError

_log = logging.getLogger(__name__)

# SHA-256 by URL of the official archives.
CHECKSUMS: dict[str, str] = dict(_CHECKSUMS)

_CORPORA: str = FOLDER_IN_ARCHIVE  # the folder in a data root that the data sets lie in
_SUFFIXES = (".tar.gz", ".tgz", ".tar")
_CHUNK = 1 << 16  # bytes read or received at once


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
        The first that holds words: ``DIR/SpeechCommands/<name>/``, the only data set under
        ``DIR/SpeechCommands/``, ``DIR`` itself.

    Raises
    ------
    InputError
        A folder cannot be read.
    """
    with _disk_errors(dataroot):
        preferred = dataroot / _CORPORA / corpus_name(name)
        corpora = _corpora(dataroot)
        if preferred not in corpora and len(corpora) == 1:
            preferred = corpora[0]
        return next((folder for folder in (preferred, dataroot) if _holds_words(folder)), None)


def acquire(dataroot: Path, source: Source) -> Path:
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

    Raises
    ------
    InputError
        Another version of Speech Commands lies there, or `fetch` fails.
    """
    archive = _archive(dataroot, source)
    with _disk_errors(dataroot):
        if _holds_words(dataroot / _CORPORA / archive.name) or archive.path.is_file():
            return fetch(dataroot, source)
        if _version(archive.name):
            others = [folder for folder in _corpora(dataroot) if _is_for_training(folder)]
            for folder in others:
                _expect_version(archive.name, folder, source)
            if len(others) == 1:
                what = f"{source.url_key} = {source.url!r} is not there"
                _log.warning("using the only data set, %s: %s", others[0], what)
                return others[0]
        if _holds_words(dataroot):
            _expect_version(archive.name, dataroot.resolve(), source)
            _log.info("using the data set in %s", dataroot)
            return dataroot
    return fetch(dataroot, source)


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
    folder = dataroot / _CORPORA / archive.name
    with _disk_errors(dataroot):
        if _holds_words(folder):
            _log.info("using the data set in %s", folder)
            return folder
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(
                f"{folder}: expected a folder of *.wav files for each word, found none: "
                "delete it and run again"
            )
        if archive.path.is_file():
            _verify(archive.path, archive, source, "delete or replace it and run again")
        elif archive.url:
            _download(dataroot, archive, source)
        else:
            raise _unknown_source(dataroot, source, archive.path)
        _unpack(archive.path, folder)
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
    if not name or name.startswith(".") or (parts.scheme and name == file_name):
        raise _unknown_source(dataroot, source)
    return _Archive(name, url, path, (source.sha256 or CHECKSUMS.get(url, "")).lower())


def _unknown_source(dataroot: Path, source: Source, path: Path | None = None) -> InputError:
    nowhere = f" and no archive at {path}" if path else ""
    return InputError(
        f"{source.url_key}: expected one of {', '.join(URLS)}, an http, https or file URL that "
        f"ends in {', '.join(_SUFFIXES)}, or a folder's name under {dataroot / _CORPORA}; "
        f"found {source.url!r}{nowhere}"
    )


def _download(dataroot: Path, archive: _Archive, source: Source) -> None:
    """Download an archive into the data root; a wrong or broken download is not kept."""
    if dataroot.exists() and not dataroot.is_dir():
        raise InputError(f"data.dataroot: expected a folder, found the file {dataroot}")
    dataroot.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{archive.name}-", dir=dataroot) as temporary:
        partial = Path(temporary) / archive.path.name
        _log.info("downloading %s to %s", archive.url, archive.path)
        # pooch asks whether the bar is true, and tqdm wants a total to answer; pooch then sets it.
        with tqdm(
            desc=f"downloading {archive.name}",
            total=1,
            unit="B",
            unit_scale=True,
            leave=False,
            disable=None,
        ) as bar:
            download = HTTPDownloader(progressbar=bar, chunk_size=_CHUNK)
            try:
                download(archive.url, str(partial), None)
            except RequestException as error:
                if error.response is not None:  # pooch leaves it open
                    error.response.close()
                raise InputError(
                    f"{source.url_key}: cannot download {archive.url} ({_reason(error)}): "
                    f"run again, or put the archive at {archive.path} by hand"
                ) from error
        remedy = f"the download from {archive.url} was not kept, run again"
        _verify(partial, archive, source, remedy)
        partial.replace(archive.path)


def _reason(error: RequestException) -> str:
    """Return the innermost cause: requests wraps it in several layers of its own words."""
    if isinstance(error, HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    root: BaseException = error
    while inner := root.__cause__ or root.__context__:
        root = inner
    return (isinstance(root, OSError) and root.strerror) or str(root)


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
    """Unpack an archive beside ``folder`` and rename the result into place."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        _log.info("unpacking %s", archive)
        content = Path(temporary) / "content"
        content.mkdir()
        files = extract(archive, content)
        # The official archives hold the words themselves, others enclose them in one folder.
        corpora = (
            [content] if _holds_words(content) else list(filter(_holds_words, _folders(content)))
        )
        if len(corpora) != 1:
            found = ", ".join(corpus.name for corpus in corpora) or "none"
            raise InputError(
                f"{archive}: expected one data set, a folder of *.wav files for each word, "
                f"found {found}"
            )
        try:
            corpora[0].rename(folder)
        except OSError:
            if not _holds_words(folder):  # else another process was quicker
                raise
    megabytes = archive.stat().st_size / 1e6
    _log.info("unpacked %d files into %s", files, folder)
    _log.info("the archive %s (%.0f MB) is kept and may be deleted", archive, megabytes)


def _corpora(dataroot: Path) -> list[Path]:
    return [place for place in _folders(dataroot / _CORPORA) if _holds_words(place)]


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted; hidden ones are leftovers of an unpacking."""
    if not folder.is_dir():
        return []
    return sorted(
        place for place in folder.iterdir() if place.is_dir() and not place.name.startswith(".")
    )


def _holds_words(folder: Path) -> bool:
    """Whether a folder holds word folders; `_silence_` and its like alone are no words."""
    return any(_holds_wav(place) for place in _folders(folder) if not place.name.startswith("_"))


def _holds_wav(folder: Path) -> bool:
    try:
        return any(file.suffix.lower() == ".wav" for file in folder.iterdir())
    except PermissionError:  # someone else's folder, such as lost+found
        return False


def _is_for_training(corpus: Path) -> bool:
    return not corpus.name.startswith("synthetic-") and "_test_set_" not in corpus.name


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


@contextmanager
def _disk_errors(dataroot: Path) -> Iterator[None]:
    """Turn what the disk says (full, read-only, not a folder) into an InputError."""
    try:
        yield
    except OSError as error:
        place = error.filename or dataroot
        raise InputError(f"data.dataroot: {place}: {error.strerror or error}") from error
