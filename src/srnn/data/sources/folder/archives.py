# SPDX-License-Identifier: MPL-2.0
"""A folder of words that comes as a tar archive: downloaded, verified and unpacked, once.

The layout is torchaudio's: the archive lies at ``DIR/<name>.tar.gz`` and its content in
``DIR/SpeechCommands/<name>/``. Archive and data set appear under their names only when they are
whole. Of several processes that need one that is not there, one prepares it; for one that is there
nothing is written.
"""

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from srnn.data.fetch.archive import extract
from srnn.data.fetch.dataroot import (
    ARCHIVES,
    CORPORA,
    corpus_name,
    disk_errors,
    publish,
    scratch,
    sole_use,
)
from srnn.data.fetch.download import download
from srnn.data.sources.folder.layout import folders, holds_words, is_data_set, why_no_data_set
from srnn.data.sources.speech_commands import CHECKSUMS, URLS
from srnn.errors import InputError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
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


def is_fetched(dataroot: Path, origin: Origin) -> bool:
    """Whether `fetch` would find a data set, or its archive, without a download.

    Raises
    ------
    InputError
        The name or URL is unknown, or a folder cannot be read.
    """
    archive = archive_of(dataroot, origin)
    with disk_errors(dataroot):
        return archive.path.is_file() or is_data_set(dataroot / CORPORA / archive.name)


def fetch(dataroot: Path, origin: Origin) -> Path:
    """Return ``DIR/SpeechCommands/<name>``, unpacked from ``DIR``'s archive or a download.

    No other data set in the data root takes its place, which is what a test archive needs. The
    archive is kept.

    Parameters
    ----------
    dataroot : Path
        The data root ``DIR``; created as needed.
    origin : Origin
        The data set configured.

    Raises
    ------
    InputError
        The name or URL is unknown, the download fails, the checksum differs, the archive is
        damaged or holds no words, or the disk cannot be written.
    """
    archive = archive_of(dataroot, origin)
    folder = dataroot / CORPORA / archive.name
    with disk_errors(dataroot):
        if not _is_there(folder):
            if not archive.path.is_file() and not archive.url:
                raise _unknown_source(dataroot, origin, archive.path)
            if dataroot.exists() and not dataroot.is_dir():
                raise InputError(f"data.dataroot: expected a folder, found the file {dataroot}")
            with sole_use(dataroot, archive.name):
                if not _is_there(folder):  # another process may just have finished it
                    _prepare(folder, archive, origin)
    _log.info("using the data set in %s", folder)
    return folder


class Archive(NamedTuple):
    """The archive of a data set."""

    name: str
    url: str  # empty: it cannot be downloaded
    path: Path  # where it lies, or will lie once downloaded
    sha256: str  # empty: not known


def archive_of(dataroot: Path, origin: Origin) -> Archive:
    """Return the archive that an origin names.

    Raises
    ------
    InputError
        If its URL is neither a name nor the URL of an archive.
    """
    url = URLS.get(origin.url, origin.url)
    try:
        parts = urlsplit(url)
        name = corpus_name(url)
    except ValueError as error:  # such as an unclosed bracket in the host
        raise _unknown_source(dataroot, origin) from error
    file_name = PurePosixPath(unquote(parts.path)).name
    if not parts.scheme and name == url:
        url, path = "", dataroot / f"{name}.tar.gz"
    elif parts.scheme == "file":
        url, path = "", Path(url2pathname(parts.path))
    elif parts.scheme in ("http", "https"):
        path = dataroot / file_name
    else:
        raise _unknown_source(dataroot, origin)
    impossible = not name or name.startswith(".") or re.search(r"[\0-\x1f]", name)
    if impossible or (parts.scheme and name == file_name):
        raise _unknown_source(dataroot, origin)
    return Archive(name, url, path, (origin.sha256 or CHECKSUMS.get(url, "")).lower())


def _unknown_source(dataroot: Path, origin: Origin, path: Path | None = None) -> InputError:
    nowhere = f" and no archive at {path}" if path else ""
    return InputError(
        f"{origin.url_key}: expected one of {', '.join(URLS)}, an http, https or file URL that "
        f"ends in {', '.join(ARCHIVES)}, or a folder's name under {dataroot / CORPORA}; "
        f"found {origin.url!r}{nowhere}"
    )


def _is_there(folder: Path) -> bool:
    """Whether a folder is a data set; raises InputError if it is something else."""
    if is_data_set(folder):
        return True
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(
            f"{folder}: expected a folder of recordings for each word, found none: "
            f"{why_no_data_set(folder) or 'delete it and run again'}"
        )
    return False


def _prepare(folder: Path, archive: Archive, origin: Origin) -> None:
    """Unpack a data set from its archive, which is downloaded where it is missing."""
    if archive.path.is_file():
        _verify(archive.path, archive, origin, "delete or replace it and run again")
    else:
        _download(archive, origin)
    _unpack(archive.path, folder)


def _download(archive: Archive, origin: Origin) -> None:
    """Download an archive into the data root, whole and verified."""
    remedy = f"the download from {archive.url} was not kept, run again"
    download(
        archive.url,
        archive.path,
        origin.url_key,
        lambda partial: _verify(partial, archive, origin, remedy),
    )


def _verify(file: Path, archive: Archive, origin: Origin, remedy: str) -> None:
    """Compare a file's SHA-256 with the one expected of the archive; warn if there is none."""
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if not archive.sha256:
        _log.warning(
            '%s is unverified, no checksum is known: to have it verified set %s = "%s"',
            archive.path,
            origin.sha256_key,
            found,
        )
    elif found != archive.sha256:
        raise InputError(
            f"{archive.path}: expected SHA-256 {archive.sha256} ({origin.sha256_key}), "
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
        # Words with folders of speakers look like data sets, but for `_background_noise_` there.
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
