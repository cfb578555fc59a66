# SPDX-License-Identifier: MPL-2.0
"""Download a large file, and resume after broken connections and killed processes.

Received bytes are stored beside the target in ``.NAME.part``; ``.NAME.part.json`` identifies the
file on the server. The next attempt requests the remaining bytes. It starts again if the file on
the server has changed or the server does not support range requests.
"""

import json
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import requests
from requests.exceptions import ConnectionError as ConnectionBroke
from requests.exceptions import HTTPError, RequestException
from urllib3.exceptions import HTTPError as TransportError

from srnn.bars import progress_bar
from srnn.errors import InputError
from srnn.files import sync_directory, sync_file

_CHUNK = 1 << 16  # bytes received at once
_TIMEOUT = (10, 60)  # for connecting, and between two chunks (s)
_PAUSES = (1, 5, 20)  # before attempts after one without progress (s)

_log = logging.getLogger(__name__)


class _Origin(NamedTuple):
    """The file on a server that is being downloaded."""

    url: str
    validator: str  # ETag or Last-Modified: it changes with the file
    length: int | None  # bytes of the whole file, if the server states it


def download(url: str, target: Path, key: str, verify: Callable[[Path], None]) -> None:
    """Download a file; it gets its name after it is complete and verified.

    After a broken connection the download is resumed as long as it makes progress.

    Parameters
    ----------
    url : str
        http or https.
    target : Path
        In an existing folder. No other process may download it at the same time.
    key : str
        The configuration key of the URL, for messages.
    verify : function
        Raises `InputError` if the file at a path is wrong; the file is then deleted.

    Raises
    ------
    InputError
        If the download fails; received bytes are kept if it can be resumed.
    OSError
        If the disk is full or cannot be written.
    """
    partial = target.with_name(f".{target.name}.part")
    note = partial.with_name(f"{partial.name}.json")
    _log.info("downloading %s to %s", url, target)
    try:
        _receive_all(url, partial, note)
    except (RequestException, TransportError) as error:
        if _size(partial) and _read(note, url):
            remedy = "run again to resume"
        else:
            _discard(partial, note)
            remedy = "run again"
        raise InputError(
            f"{key}: cannot download {url} ({_reason(error)}): {remedy}, "
            f"or put the archive at {target} by hand"
        ) from error
    try:
        verify(partial)
    except InputError:
        _discard(partial, note)
        raise
    with partial.open("rb+") as file:
        sync_file(file)
    partial.replace(target)
    sync_directory(target.parent)
    note.unlink(missing_ok=True)


def _receive_all(url: str, partial: Path, note: Path) -> None:
    """Receive until the file is complete; retry as long as attempts make progress."""
    start = furthest = _size(partial)
    fruitless = 0  # attempts in a row
    while True:
        try:
            _receive(url, partial, note)
        except (RequestException, TransportError) as error:
            reached = _size(partial)
            fruitless = 0 if reached > furthest else fruitless + 1
            furthest = max(reached, furthest)
            if furthest == start or fruitless == len(_PAUSES):
                raise
            _log.warning(
                "the download of %s was interrupted after %.1f MB (%s): next attempt in %d s",
                url,
                reached / 1e6,
                _reason(error),
                _PAUSES[fruitless],
            )
            time.sleep(_PAUSES[fruitless])
        else:
            return


def _receive(url: str, partial: Path, note: Path) -> None:
    """Receive the remaining bytes, or the whole file, over one connection."""
    known = _read(note, url)
    offset = _size(partial)
    if known and offset == known.length:
        return
    if known and offset:
        headers = {"Range": f"bytes={offset}-", "If-Range": known.validator}
        with _get(url, headers) as response:
            if _continues(response, known, offset):
                _log.info("resuming the download after %.1f MB", offset / 1e6)
                _save(response, partial, known.length)
                return
        _log.warning("cannot resume the download of %s: starting again", url)
    with _get(url, {}) as response:
        if response.status_code != 200:
            raise HTTPError(response=response)
        _discard(partial, note)
        origin = _Origin(url, _validator(response), response.raw.length_remaining)
        if origin.validator:  # otherwise a later attempt cannot identify the file
            note.write_text(json.dumps(origin), encoding="utf-8")
        _save(response, partial, origin.length)


def _get(url: str, headers: dict[str, str]) -> requests.Response:
    # Without compression in transit: offsets and checksum are those of the file.
    headers = {"Accept-Encoding": "identity"} | headers
    return requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT)


def _validator(response: requests.Response) -> str:
    """Return the identifier of this version of the file; empty if the server sends none."""
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):  # a weak ETag does not guarantee equal bytes
        return etag
    return response.headers.get("Last-Modified", "")


def _continues(response: requests.Response, known: _Origin, offset: int) -> bool:
    """Whether a response continues the known file after its first ``offset`` bytes."""
    content_range = response.headers.get("Content-Range", "")
    parts = re.fullmatch(rf"bytes {offset}-\d+/(\d+|\*)", content_range)
    return (
        response.status_code == 206
        and parts is not None
        and (known.length is None or parts[1] in ("*", str(known.length)))
        and _validator(response) in ("", known.validator)
    )


def _save(response: requests.Response, partial: Path, length: int | None) -> None:
    """Append the body of a response to the partial file."""
    with (
        partial.open("ab") as file,
        progress_bar(
            desc=f"downloading {partial.name[1:].removesuffix('.part')}",
            initial=file.tell(),
            total=length,
            unit="B",
            unit_scale=True,
        ) as bar,
    ):
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            file.write(chunk)
            bar.update(len(chunk))
    if length not in (None, _size(partial)):  # a server may close the connection early
        raise ConnectionBroke(f"{_size(partial)} of {length} bytes received")


def _read(note: Path, url: str) -> _Origin | None:
    """Read the origin of the partial file; None if it is missing, damaged or of another URL."""
    try:
        known = _Origin(*json.loads(note.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):  # ValueError: truncated
        return None
    return known if known.url == url else None


def _size(partial: Path) -> int:
    return partial.stat().st_size if partial.exists() else 0


def _discard(partial: Path, note: Path) -> None:
    # In this order: a note without a file is harmless, a file of unknown origin is useless.
    partial.unlink(missing_ok=True)
    note.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    """Return the message of the innermost cause."""
    if isinstance(error, HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    root: BaseException = error
    while inner := root.__cause__ or root.__context__:
        root = inner
    return (isinstance(root, OSError) and root.strerror) or str(root)
