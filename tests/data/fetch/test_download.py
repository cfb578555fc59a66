# SPDX-License-Identifier: MPL-2.0
"""Downloads that break off, from a server on 127.0.0.1."""

import errno
import io
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tqdm import tqdm

from serving import Server, serving
from srnn.data.fetch import download as module
from srnn.data.fetch.dataroot import sole_use
from srnn.data.fetch.download import download
from srnn.errors import InputError

CHUNK = 1 << 16
BODY = np.random.default_rng(0).bytes(3 * CHUNK + 1000)
OTHER = BODY[::-1]
DROP = 2 * CHUNK + 10
MOVED = {"ETag": '"2"', "Last-Modified": "Tue, 02 Jan 2024 00:00:00 GMT"}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.body = BODY
        server.validators = {"ETag": '"1"'}
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSES", (0, 0))


def get(server: Server, folder: Path) -> bytes:
    """Download to a folder, where nothing else is then but a lock."""
    download(server.url("x.tar"), folder / "x.tar", "data.gsc_url", lambda partial: None)
    assert [path.name for path in folder.iterdir() if path.suffix != ".lock"] == ["x.tar"]
    return (folder / "x.tar").read_bytes()


def broken_off(server: Server, folder: Path) -> str:
    """Let a download end after `DROP` bytes; return what it says."""
    server.drops = [DROP, 0, 0]
    with pytest.raises(InputError) as caught:
        get(server, folder)
    server.drops, server.asked = [], []
    return str(caught.value)


def test_goes_on_where_it_broke_off(
    tmp_path: Path, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """By itself, again and again, as long as more arrives."""
    server.drops = [CHUNK, 100, 0, 1, 0, CHUNK]
    assert get(server, tmp_path) == BODY
    reached = (CHUNK, CHUNK + 100, CHUNK + 100, CHUNK + 101, CHUNK + 101, 2 * CHUNK + 101)
    assert server.asked == ["", *(f"bytes={offset}-" for offset in reached)]
    assert "was interrupted after 0.1 MB (IncompleteRead" in caplog.text
    assert "next attempt in 0 s" in caplog.text


def test_the_next_run_goes_on_where_it_stopped(
    tmp_path: Path,
    server: Server,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "srnn")
    message = broken_off(server, tmp_path)
    assert message.startswith(f"data.gsc_url: cannot download {server.url('x.tar')} (Incomplete")
    by_hand = f"put the archive at {tmp_path / 'x.tar'} by hand"
    assert message.endswith(f": run again to resume, or {by_hand}")
    assert (tmp_path / ".x.tar.part").read_bytes() == BODY[:DROP]
    assert get(server, tmp_path) == BODY
    assert server.asked == [f"bytes={DROP}-"]
    assert "resuming the download after 0.1 MB" in caplog.messages


def test_the_bar_begins_where_the_download_does(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_off(server, tmp_path)
    begun = []

    def bar(**options: Any) -> Any:
        begun.append((options["initial"], options["total"]))
        return tqdm(**options)

    monkeypatch.setattr(module, "progress_bar", bar)
    get(server, tmp_path)
    assert begun == [(DROP, len(BODY))]


def test_a_time_of_change_serves_where_there_is_no_strong_etag(
    tmp_path: Path, server: Server
) -> None:
    server.validators = {"ETag": 'W/"1"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    broken_off(server, tmp_path)
    assert get(server, tmp_path) == BODY
    assert server.asked == [f"bytes={DROP}-"]


def test_starts_anew_where_the_file_has_changed(
    tmp_path: Path, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    broken_off(server, tmp_path)
    server.body, server.validators = OTHER, MOVED
    assert get(server, tmp_path) == OTHER
    assert "cannot resume the download of" in caplog.text


@pytest.mark.parametrize(
    "content_range",
    ["bytes 0-{end}/{size}", "bytes {start}-{end}/7", "rest", "bytes {start}-{end}/99999999"],
)
def test_starts_anew_where_the_part_is_another(
    tmp_path: Path, server: Server, content_range: str
) -> None:
    broken_off(server, tmp_path)
    server.content_range = content_range
    assert get(server, tmp_path) == BODY
    assert server.asked == [f"bytes={DROP}-", ""]


def test_starts_anew_where_the_server_sends_no_parts(tmp_path: Path, server: Server) -> None:
    broken_off(server, tmp_path)
    server.parts = False
    assert get(server, tmp_path) == BODY
    assert server.asked == [f"bytes={DROP}-", ""]


def test_starts_anew_where_more_is_there_than_the_server_has(
    tmp_path: Path, server: Server
) -> None:
    """It answers 416."""
    broken_off(server, tmp_path)
    with (tmp_path / ".x.tar.part").open("ab") as file:
        file.write(BODY)
    assert get(server, tmp_path) == BODY


@pytest.mark.parametrize("note", ["", "[1, 2", '["http://elsewhere/x.tar", "1", 9]'])
def test_starts_anew_where_the_origin_is_not_known(
    tmp_path: Path, server: Server, note: str
) -> None:
    broken_off(server, tmp_path)
    (tmp_path / ".x.tar.part.json").write_text(note)
    assert get(server, tmp_path) == BODY
    assert server.asked == [""]


def test_without_anything_to_tell_versions_apart_nothing_is_kept(
    tmp_path: Path, server: Server
) -> None:
    server.validators = {}
    assert ": run again, or put" in broken_off(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_whole_file_whose_process_died_is_not_asked_for_again(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(server.url("x.tar"), tmp_path / "x.tar", "data.gsc_url", die)
    server.asked = []
    assert get(server, tmp_path) == BODY
    assert server.asked == []


def test_what_fails_its_verification_is_deleted(tmp_path: Path, server: Server) -> None:
    def verify(partial: Path) -> None:
        assert partial.read_bytes() == OTHER[:DROP] + BODY[DROP:]
        raise InputError("x.tar: expected another checksum")

    broken_off(server, tmp_path)
    (tmp_path / ".x.tar.part").write_bytes(OTHER[:DROP])
    with pytest.raises(InputError, match="another checksum"):
        download(server.url("x.tar"), tmp_path / "x.tar", "data.gsc_url", verify)
    assert list(tmp_path.iterdir()) == []


def test_what_is_packed_for_the_way_arrives_as_it_lies_there(
    tmp_path: Path, server: Server
) -> None:
    """As some servers say of every .gz file, though nobody asked them to pack it."""
    server.validators |= {"Content-Encoding": "gzip"}
    assert get(server, tmp_path) == BODY


def test_a_length_that_is_stated_twice(tmp_path: Path, server: Server) -> None:
    server.validators["Content-Length"] = str(len(BODY))
    assert get(server, tmp_path) == BODY


def test_a_full_disk_keeps_what_has_arrived(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            if self.tell() >= CHUNK:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(memoryview(data)[:CHUNK])

    real = Path.open

    def opened(path: Path, mode: str = "r", **_: str) -> object:
        return io.BufferedWriter(Full(path, mode)) if mode == "ab" else real(path, mode)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(OSError, match="No space left"):
        get(server, tmp_path)
    monkeypatch.undo()
    assert (tmp_path / ".x.tar.part").read_bytes() == BODY[:CHUNK]
    server.asked = []
    assert get(server, tmp_path) == BODY
    assert server.asked == [f"bytes={CHUNK}-"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://a..b/x.tar", "label"),
        ("http://127.0.0.1:99999/x.tar", "Failed to parse"),
        ("http:///x", "No h"),
    ],
)
def test_a_url_that_cannot_be(tmp_path: Path, url: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"^data.gsc_url: cannot download .*{reason}") as caught:
        download(url, tmp_path / "x.tar", "data.gsc_url", lambda partial: None)
    assert "\n" not in str(caught.value)


def test_a_server_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", (1, 0.05))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.tar"
        with pytest.raises(InputError, match=r"timed out.*run again, or put the archive at"):
            download(url, tmp_path / "x.tar", "data.gsc_url", lambda partial: None)


_DOWNLOADING = """
import sys
from pathlib import Path
from srnn.data.fetch import download
from srnn.data.fetch.dataroot import sole_use
from tqdm import tqdm

class Bar(tqdm):
    def update(self, n):
        super().update(n)
        print(n, flush=True)

download.progress_bar = Bar
with sole_use(Path(sys.argv[2]), "x"):
    download.download(sys.argv[1], Path(sys.argv[2], "x.tar"), "data.gsc_url", print)
"""


def test_a_killed_process_hands_over_to_one_that_waits(
    tmp_path: Path, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Two real processes: the lock and what has arrived outlive the first."""
    caplog.set_level(logging.INFO, "srnn")
    handed_over = threading.Event()
    server.drops = [DROP]
    server.after = lambda: handed_over.wait(20)
    command = [sys.executable, "-c", _DOWNLOADING, server.url("x.tar"), str(tmp_path)]
    logger = logging.getLogger("srnn.data.fetch.locks")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as first:
        assert first.stdout
        assert first.stdout.readline() == b"%d\n" % CHUNK

        def kill(record: logging.LogRecord) -> bool:
            first.kill()
            return True

        logger.addFilter(kill)
        with sole_use(tmp_path, "x"):
            handed_over.set()
            assert get(server, tmp_path) == BODY
        logger.removeFilter(kill)
    assert first.returncode == -signal.SIGKILL
    assert f"waiting for another process that prepares x in {tmp_path}" in caplog.messages
    assert server.asked[1].startswith("bytes=")
