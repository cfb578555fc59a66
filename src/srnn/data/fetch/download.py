# SPDX-License-Identifier: MPL-2.0
"""Download a large file, and resume after broken connections and killed processes.

The bytes received lie beside the target as ``.NAME.part``; ``.NAME.part.json`` identifies the file
on the server that they are the beginning of. The next attempt asks for the rest of that file, and
begins anew where the server has another one or cannot send parts.
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
from tqdm import tqdm
from urllib3.exceptions import HTTPError as TransportError

from srnn.errors import InputError
from srnn.files import sync_directory, sync_file

_CHUNK = 1 << 16  # bytes received at once
_TIMEOUT = (10, 60)  # until there is a connection, and between two pieces of the answer (s)
_PAUSES = (1, 5, 20)  # before the attempts that follow one that gained nothing (s)

_log = logging.getLogger(__name__)


class _Origin(NamedTuple):
    """The file on a server that a partial file is the beginning of."""

    url: str
    validator: str  # ETag or time of change: another file at this URL has another one
    length: int | None  # bytes of the whole file, if the server states it


def download(url: str, target: Path, key: str, verify: Callable[[Path], None]) -> None:
    """Download a file, which appears under its name when it is whole and verified.

    A broken connection is resumed as long as each attempt gains bytes.

    Parameters
    ----------
    url : str
        With http or https.
    target : Path
        In a folder that exists. No other process may download it at the same time.
    key : str
        The configuration key of the URL, for messages.
    verify : function
        Takes the path of the whole file and raises `InputError` if it is not the right one; it is
        deleted then.

    Raises
    ------
    InputError
        If it cannot be downloaded; the bytes received are kept where the server can send the rest.
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
            remedy = "run again to go on where it stopped"
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
    """Receive until the file is whole, or as long as trying again helps."""
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
                "the download of %s broke off after %.1f MB (%s): trying again in %d s",
                url,
                reached / 1e6,
                _reason(error),
                _PAUSES[fruitless],
            )
            time.sleep(_PAUSES[fruitless])
        else:
            return


def _receive(url: str, partial: Path, note: Path) -> None:
    """Receive the rest of the file, or all of it, over one connection."""
    known = _read(note, url)
    offset = _size(partial)
    if known and offset == known.length:
        return
    if known and offset:
        wanted = {"Range": f"bytes={offset}-", "If-Range": known.validator}
        with _get(url, wanted) as response:
            if _continues(response, known, offset):
                _log.info("going on where the download stopped, after %.1f MB", offset / 1e6)
                _save(response, partial, known.length)
                return
        _log.warning("the server does not send the rest of what came from %s", url)
    with _get(url, {}) as response:
        if response.status_code != 200:
            raise HTTPError(response=response)
        _discard(partial, note)
        origin = _Origin(url, _validator(response), response.raw.length_remaining)
        if origin.validator:  # else a later attempt could not know that it gets the same file
            note.write_text(json.dumps(origin), encoding="utf-8")
        _save(response, partial, origin.length)


def _get(url: str, headers: dict[str, str]) -> requests.Response:
    # The archive itself is verified, not a compressed transfer of it.
    headers = {"Accept-Encoding": "identity"} | headers
    return requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT)


def _validator(response: requests.Response) -> str:
    """Return what identifies this version of the file; empty: the server states nothing."""
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):  # a weak one promises no equal bytes
        return etag
    return response.headers.get("Last-Modified", "")


def _continues(response: requests.Response, known: _Origin, offset: int) -> bool:
    """Whether an answer holds what follows the first ``offset`` bytes of the file known."""
    content_range = response.headers.get("Content-Range", "")
    parts = re.fullmatch(rf"bytes {offset}-\d+/(\d+|\*)", content_range)
    return (
        response.status_code == 206
        and parts is not None
        and (known.length is None or parts[1] in ("*", str(known.length)))
        and _validator(response) in ("", known.validator)
    )


def _save(response: requests.Response, partial: Path, length: int | None) -> None:
    """Append what a server sends to the partial file."""
    with (
        partial.open("ab") as file,
        tqdm(
            desc=f"downloading {partial.name[1:].removesuffix('.part')}",
            initial=file.tell(),
            total=length,
            unit="B",
            unit_scale=True,
            leave=False,
            disable=None,
        ) as bar,
    ):
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            file.write(chunk)
            bar.update(len(chunk))
    if length not in (None, _size(partial)):  # as of a server that sends less than was asked for
        raise ConnectionBroke(f"{_size(partial)} of {length} bytes received")


def _read(note: Path, url: str) -> _Origin | None:
    """Read the origin of the partial file; None where there is none, or it is another URL."""
    try:
        known = _Origin(*json.loads(note.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):  # ValueError: not written to its end
        return None
    return known if known.url == url else None


def _size(partial: Path) -> int:
    return partial.stat().st_size if partial.exists() else 0


def _discard(partial: Path, note: Path) -> None:
    # In this order: a note without a file is harmless, a file of unknown origin is useless.
    partial.unlink(missing_ok=True)
    note.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    """Return the innermost cause: requests wraps it in several layers of messages."""
    if isinstance(error, HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    root: BaseException = error
    while inner := root.__cause__ or root.__context__:
        root = inner
    return (isinstance(root, OSError) and root.strerror) or str(root)
