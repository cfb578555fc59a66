# SPDX-License-Identifier: MPL-2.0
"""Finding a data set, and fetching it from an archive served on 127.0.0.1."""

import errno
import gzip
import hashlib
import io
import logging
import os
import re
import socket
import tarfile
import threading
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from serving import Server, serving
from srnn.data.fetch import download
from srnn.data.fetch.dataroot import corpus_name
from srnn.data.sources.folder.archives import Origin, fetch
from srnn.data.sources.folder.source import acquire, locate
from srnn.data.sources.speech_commands import CHECKSUMS, URLS
from srnn.errors import InputError

V1, V2 = "speech_commands_v0.01", "speech_commands_v0.02"
TEST_SET = "speech_commands_test_set_v0.01"


def wav(seed: int) -> bytes:
    samples = np.random.default_rng(seed).integers(-999, 999, 4000, dtype=np.int16)
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return content.getvalue()


# Laid out as the official archives are: no folder encloses the words.
FILES = {"./validation_list.txt": b"yes/1_nohash_0.wav\n"} | {
    f"./{word}/{clip}_nohash_0.wav": wav(clip)
    for word in ("yes", "no", "_background_noise_")
    for clip in range(2)
}


def tar_of(files: dict[str, bytes], *extra: tarfile.TarInfo) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in extra:
            tar.addfile(member)
    return content.getvalue()


GOOD = gzip.compress(tar_of(FILES))
DIGEST = hashlib.sha256(GOOD).hexdigest()


def write(folder: Path, *words: str) -> Path:
    """A data set of one clip a word."""
    for word in words or ("yes", "no"):
        (folder / word).mkdir(parents=True)
        (folder / word / "1_nohash_0.WAV").write_bytes(wav(1))
    return folder


def whole(folder: Path) -> bool:
    """Whether everything that `FILES` holds lies in a folder, and nothing else."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    found = {f"./{file.relative_to(folder).as_posix()}": file.read_bytes() for file in files}
    return found == FILES


def names(folder: Path) -> list[str]:
    """All that lies in a folder, hidden things too; locks aside, which stay."""
    paths = [path for path in folder.rglob("*") if path.suffix != ".lock"]
    return sorted(path.relative_to(folder).as_posix() for path in paths)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_PAUSES", (0, 0))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.body = GOOD
        yield server


@pytest.fixture
def official(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The official names, served from here: both data sets with a checksum, a test set without."""
    for name in (V1, V2, TEST_SET):
        monkeypatch.setitem(URLS, name, server.url(f"{name}.tar.gz"))
    for name in (V1, V2):
        monkeypatch.setitem(CHECKSUMS, URLS[name], DIGEST)
    return server


def refused(dataroot: Path, source: Origin, *expected: str) -> None:
    """An InputError of one line that says all that is expected, and nothing unpacked."""
    with pytest.raises(InputError) as caught:
        acquire(dataroot, source)
    message = str(caught.value)
    assert "\n" not in message
    assert [text for text in expected if text not in message] == []
    assert [name for name in names(dataroot) if name.startswith(("SpeechCommands/", "."))] == []


class TestDownload:
    def test_verifies_unpacks_and_keeps_the_archive(
        self, tmp_path: Path, official: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "srnn")
        root = tmp_path / "not" / "there"
        folder = acquire(root, Origin(V1))
        assert folder == root / "SpeechCommands" / V1
        assert whole(folder)
        assert (root / f"{V1}.tar.gz").read_bytes() == GOOD
        assert not [name for name in names(root) if "/." in name or name.startswith(".")]
        for text in ("downloading http", "verified", "unpacking", "unpacked 7 files", "is kept"):
            assert text in caplog.text
        assert acquire(root, Origin(V1)) == folder
        assert "using the data set" in caplog.text
        assert len(official.asked) == 1

    def test_says_that_an_archive_without_a_checksum_is_unverified(
        self, tmp_path: Path, official: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        fetch(tmp_path, Origin(TEST_SET, "", "data.test_url", "data.test_sha256"))
        assert "unverified" in caplog.text
        assert f'data.test_sha256 = "{DIGEST}"' in caplog.text

    def test_takes_a_url_and_a_checksum_of_ones_own(
        self, tmp_path: Path, server: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = Origin(server.url("my%20words.tgz?download=1"), DIGEST.upper())
        folder = acquire(tmp_path, source)
        assert folder == tmp_path / "SpeechCommands" / "my words"
        assert whole(folder)
        assert "unverified" not in caplog.text
        assert sorted(tmp_path.glob("*")) == [
            tmp_path / ".my words.lock",
            tmp_path / "SpeechCommands",
            tmp_path / "my words.tgz",
        ]

    def test_the_users_checksum_wins(self, tmp_path: Path, official: Server) -> None:
        refused(tmp_path, Origin(V1, "0" * 64), V1, "0" * 64, DIGEST, "data.gsc_sha256", "not kept")
        assert names(tmp_path) == []

    @pytest.mark.parametrize("sha256", [DIGEST, ""])
    def test_broken_off_is_an_error(self, tmp_path: Path, server: Server, sha256: str) -> None:
        url = server.url("broken/x.tar.gz")
        refused(tmp_path, Origin(url, sha256), "data.gsc_url", url, "IncompleteRead", "run again")
        assert names(tmp_path) == []

    def test_broken_off_without_length_or_checksum_is_no_data_set(
        self, tmp_path: Path, server: Server
    ) -> None:
        refused(tmp_path, Origin(server.url("unsized/x.tar.gz")), "x.tar.gz", "truncated")

    def test_broken_off_without_length_is_found_by_the_checksum(
        self, tmp_path: Path, server: Server
    ) -> None:
        url = server.url("unsized/x.tar.gz")
        refused(tmp_path, Origin(url, DIGEST), f"expected SHA-256 {DIGEST}", url, "not kept, run")
        assert names(tmp_path) == []

    def test_a_full_disk_says_what_to_do(
        self, tmp_path: Path, official: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At the rename; in the middle of the download in test_download."""

        def fail(path: Path, target: Path) -> None:
            raise full()

        monkeypatch.setattr(Path, "replace", fail)
        message = f"data.dataroot: {tmp_path}: No space left on device: free some space there"
        with pytest.raises(InputError, match=f"^{re.escape(message)}"):
            acquire(tmp_path, Origin(V1))
        assert names(tmp_path) == [f".{V1}.tar.gz.part"]
        monkeypatch.undo()
        monkeypatch.setitem(URLS, V1, official.url(f"{V1}.tar.gz"))
        assert whole(acquire(tmp_path, Origin(V1)))
        assert sorted(tmp_path.glob(".*.part*")) == []

    def test_gone(self, tmp_path: Path, server: Server) -> None:
        url = server.url("gone/x.tar.gz")
        by_hand = str(tmp_path / "x.tar.gz")
        refused(tmp_path, Origin(url), "data.gsc_url", url, "HTTP 404", by_hand)
        assert len(server.asked) == 1

    def test_nobody_listens(self, tmp_path: Path) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}/x.tar.gz"
            refused(tmp_path, Origin(url), "data.gsc_url", url, "Connection refused")

    def test_unknown_host(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def nowhere(*_: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", nowhere)
        refused(tmp_path, Origin("http://nowhere.invalid/x.tar.gz"), "nowhere.invalid", "not known")

    def test_a_page_instead_of_an_archive(self, tmp_path: Path, server: Server) -> None:
        server.body = b"<html>Please log in</html>" * 100
        refused(tmp_path, Origin(server.url("x.tar.gz")), "x.tar.gz", "damaged", "run again")

    @pytest.mark.parametrize(
        "url",
        [
            *("", ".", "nonsense", "../x", "x.tar.gz", "file:///nowhere/x.tar.gz"),
            *("ftp://host/x.tar.gz", "https://host/x.zip", "https://host/"),
            *("https://host/.tar.gz", "https://host/...tar.gz", "http://[host/x.tar.gz"),
            *("mine\0", "https://host/a%00b.tar.gz", "https://host/a%0Ab.tar.gz"),
        ],
    )
    def test_neither_a_name_nor_an_archive(self, tmp_path: Path, url: str) -> None:
        refused(tmp_path, Origin(url), "data.gsc_url: expected", V1, "https", f"found {url!r}")


class TestArchive:
    """What lies in the data root already; the server of these tests would answer."""

    @pytest.fixture
    def put(self, tmp_path: Path, official: Server) -> Iterator[Path]:
        yield tmp_path / f"{V1}.tar.gz"
        assert official.asked == []

    def test_is_verified_and_unpacked(self, tmp_path: Path, put: Path) -> None:
        put.write_bytes(GOOD)
        assert whole(acquire(tmp_path, Origin(V1)))

    def test_with_the_wrong_checksum_is_not_deleted(self, tmp_path: Path, put: Path) -> None:
        other = gzip.compress(tar_of(FILES), mtime=1)
        put.write_bytes(other)
        refused(tmp_path, Origin(V1), str(put), DIGEST, hashlib.sha256(other).hexdigest())
        assert put.read_bytes() == other

    def test_by_file_url_stays_where_it_is(self, tmp_path: Path) -> None:
        archive = tmp_path / "my words.tar"
        archive.write_bytes(tar_of({name.replace("./", "all/"): FILES[name] for name in FILES}))
        folder = acquire(tmp_path / "root", Origin(archive.as_uri()))
        assert folder == tmp_path / "root" / "SpeechCommands" / "my words"
        assert whole(folder)
        assert archive.exists()

    @pytest.mark.parametrize("kept", [0, 1, 600, len(GOOD) // 2, len(GOOD) - 1])
    def test_truncated(self, tmp_path: Path, kept: int) -> None:
        archive = tmp_path / "mine.tar.gz"
        archive.write_bytes(GOOD[:kept])
        refused(tmp_path, Origin("mine"), str(archive), "truncated or damaged", "run again")
        assert archive.exists()

    def test_truncated_uncompressed(self, tmp_path: Path) -> None:
        """Wherever it ends, between two members too, where tarfile finds nothing amiss."""
        tar = tar_of(FILES)
        header = tar.index(b"./no/")
        for end in (header, header + 100, header + tarfile.BLOCKSIZE + 100):
            (tmp_path / "mine.tar.gz").write_bytes(tar[:end])
            refused(tmp_path, Origin("mine"), "truncated or damaged")

    def test_damaged_data(self, tmp_path: Path) -> None:
        """Stored without compression, so that gzip's checksum alone can tell."""
        stored = bytearray(gzip.compress(tar_of(FILES), 0))
        stored[len(stored) // 2] ^= 1
        (tmp_path / "mine.tar.gz").write_bytes(stored)
        refused(tmp_path, Origin("mine"), "truncated or damaged", "CRC")

    def test_damaged_header(self, tmp_path: Path) -> None:
        tar = bytearray(tar_of(FILES))
        tar[tar.index(b"./no/")] ^= 1
        (tmp_path / "mine.tar.gz").write_bytes(tar)
        refused(tmp_path, Origin("mine"), "truncated or damaged")

    @pytest.mark.parametrize(
        ("name", "kind", "link", "reason"),
        [
            ("/tmp/evil.wav", tarfile.REGTYPE, "", "its path leaves the folder"),
            ("//evil.wav", tarfile.REGTYPE, "", "its path leaves the folder"),
            ("yes/../../evil.wav", tarfile.REGTYPE, "", "its path leaves the folder"),
            ("..", tarfile.DIRTYPE, "", "its path leaves the folder"),
            ("yes/link.wav", tarfile.SYMTYPE, "/etc/passwd", "it is a link to '/etc/passwd'"),
            ("yes/link.wav", tarfile.SYMTYPE, "../../x", "it is a link to '../../x'"),
            ("yes/link.wav", tarfile.LNKTYPE, "/etc/passwd", "it is a link to '/etc/passwd'"),
            ("yes/link.wav", tarfile.LNKTYPE, "../x", "it is a link to '../x'"),
            (
                "yes/link.wav",
                tarfile.LNKTYPE,
                "x",
                "which the archive does not hold",
            ),
            ("yes/pipe.wav", tarfile.FIFOTYPE, "", "neither file, folder nor link"),
            ("yes/disk.wav", tarfile.BLKTYPE, "", "neither file, folder nor link"),
            ("yes/odd.wav", b"Z", "", "neither file, folder nor link"),
            ("yes/tty.wav", tarfile.CHRTYPE, "", "neither file, folder nor link"),
            ("yes", tarfile.REGTYPE, "", "Is a directory"),
            (
                "yes/1_nohash_0.wav/x.wav",
                tarfile.REGTYPE,
                "",
                "x.wav': ",
            ),  # then "Not a directory" or "File exists"
            (f"yes/{'x' * 300}.wav", tarfile.REGTYPE, "", "...': File name too long"),
            ("yes/a\0b.wav", tarfile.REGTYPE, "", "embedded null byte"),
        ],
    )
    def test_hostile_members_are_refused_by_name(
        self, tmp_path: Path, name: str, kind: bytes, link: str, reason: str
    ) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        if "\0" in name:  # a classic header ends a name there
            member.pax_headers = {"path": name}
        (tmp_path / "mine.tar.gz").write_bytes(gzip.compress(tar_of(FILES, member)))
        found = f"mine.tar.gz: expected files inside one folder, found {name[:200]!r}"[:-1]
        refused(tmp_path, Origin("mine"), found, reason, "replace the archive and run")
        assert names(tmp_path) == ["SpeechCommands", "mine.tar.gz"]

    def test_a_link_within_its_folder_is_no_harm(self, tmp_path: Path) -> None:
        link = tarfile.TarInfo("yes/link.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "1_nohash_0.wav"
        (tmp_path / "mine.tar.gz").write_bytes(tar_of(FILES, link))
        assert (acquire(tmp_path, Origin("mine")) / link.name).read_bytes() == wav(1)

    @pytest.mark.parametrize(
        ("headers", "reason"),
        [
            ({"mtime": "1e300"}, "out of range"),
            ({"mtime": "nan"}, "NaN"),
            ({"GNU.sparse.size": str(2**40), "GNU.sparse.map": "0,0"}, "it is a sparse file"),
        ],
    )
    def test_extended_headers_that_make_no_sense(
        self, tmp_path: Path, headers: dict[str, str], reason: str
    ) -> None:
        member = tarfile.TarInfo("yes/x.wav")
        member.pax_headers = headers
        (tmp_path / "mine.tar.gz").write_bytes(tar_of(FILES, member))
        refused(tmp_path, Origin("mine"), "found 'yes/x.wav'", reason)

    def test_a_negative_size_does_not_go_round_and_round(self, tmp_path: Path) -> None:
        member = tarfile.TarInfo("yes/x.wav")
        member.pax_headers = {"size": "-1024"}
        (tmp_path / "mine.tar.gz").write_bytes(tar_of(FILES, member))
        refused(tmp_path, Origin("mine"), "damaged", "negative size")

    @pytest.mark.parametrize("archive", [b"PK\3\4" * 500, b"no archive", GOOD + b"garbage"])
    def test_what_is_no_archive(self, tmp_path: Path, archive: bytes) -> None:
        (tmp_path / "mine.tar.gz").write_bytes(archive)
        refused(tmp_path, Origin("mine"), "expected a whole tar archive", "damaged", "run again")

    @pytest.mark.parametrize(
        ("files", "found"),
        [
            ({}, "none"),
            ({"README": b"words"}, "none"),
            ({"yes/1.m4a": b"", "_silence_/1.wav": b""}, "none"),
            ({"a/yes/1.wav": b"", "b/yes/1.wav": b""}, "a, b"),
        ],
    )
    def test_without_a_data_set(self, tmp_path: Path, files: dict[str, bytes], found: str) -> None:
        (tmp_path / "mine.tar.gz").write_bytes(tar_of(files))
        refused(tmp_path, Origin("mine"), "expected one data set", f"found {found}")


def full(number: int = errno.ENOSPC) -> OSError:
    return OSError(number, os.strerror(number))


class TestUnpacking:
    @pytest.mark.parametrize("error", [KeyboardInterrupt(), full(), full(errno.EFBIG)])
    @pytest.mark.parametrize("method", ["extract", "rename"])
    def test_interrupted_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, error: BaseException
    ) -> None:
        def fail(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, **options: str) -> None:
            if member.name.startswith("./_background"):
                raise error
            extract(tar, member, path, filter="data")

        def fail_to_rename(path: Path, target: Path) -> None:
            raise error

        extract = tarfile.TarFile.extract
        if method == "extract":
            monkeypatch.setattr(tarfile.TarFile, "extract", fail)
        else:
            monkeypatch.setattr(Path, "rename", fail_to_rename)
        (tmp_path / "mine.tar.gz").write_bytes(GOOD)
        found = getattr(error, "strerror", "")
        message = f"data.dataroot: {tmp_path}: {found}: free some space there"
        with pytest.raises((KeyboardInterrupt, InputError), match=f"^$|{re.escape(message)}"):
            acquire(tmp_path, Origin("mine"))
        assert names(tmp_path) == ["SpeechCommands", "mine.tar.gz"]
        monkeypatch.undo()
        assert whole(acquire(tmp_path, Origin("mine")))

    def test_what_a_killed_process_left_is_removed(self, tmp_path: Path) -> None:
        corpora = tmp_path / "SpeechCommands"
        write(corpora / ".mine.part", "yes", "up")
        (tmp_path / "mine.tar.gz").write_bytes(GOOD)
        assert locate(tmp_path, "mine") is None
        assert whole(acquire(tmp_path, Origin("mine")))
        assert [path.name for path in corpora.iterdir()] == ["mine"]

    def test_leftovers_are_no_data_set(self, tmp_path: Path, official: Server) -> None:
        corpora = tmp_path / "SpeechCommands"
        write(corpora / f".{V2}-killed" / "content")
        (corpora / V1).mkdir()
        assert locate(tmp_path, V1) is None
        assert whole(acquire(tmp_path, Origin(V1)))

    def test_a_folder_of_something_else_is_left_alone(self, tmp_path: Path) -> None:
        theirs = tmp_path / "SpeechCommands" / "mine"
        theirs.mkdir(parents=True)
        (theirs / "notes.txt").touch()
        (tmp_path / "mine.tar.gz").write_bytes(GOOD)
        (theirs.parent / "file").touch()
        with pytest.raises(InputError, match="file: expected a folder"):
            acquire(tmp_path, Origin("https://127.0.0.1:9/file.tar"))
        with pytest.raises(InputError, match=f"{re.escape(str(theirs))}: expected .* found none"):
            acquire(tmp_path, Origin("mine"))
        assert (theirs / "notes.txt").exists()

    @pytest.mark.parametrize("root", ["file", "file/below"])
    def test_a_data_root_that_cannot_be(self, tmp_path: Path, official: Server, root: str) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match=r"^data\.dataroot: .*file") as caught:
            acquire(tmp_path / root, Origin(V1))
        assert "\n" not in str(caught.value)
        assert locate(tmp_path / root, V1) is None


class TestWhatIsThere:
    """Nothing is downloaded: nobody answers at the official addresses of these tests."""

    @pytest.fixture(autouse=True)
    def nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in list(URLS):
            monkeypatch.setitem(URLS, name, f"http://127.0.0.1:9/{name}.tar.gz")

    def test_the_folder_of_the_name_comes_first(self, tmp_path: Path) -> None:
        corpora = tmp_path / "SpeechCommands"
        for name in (V1, V2, "mine"):
            write(corpora / name)
            assert acquire(tmp_path, Origin(name)) == locate(tmp_path, name) == corpora / name
        url = "https://127.0.0.1:9/mine.tar.gz"
        assert acquire(tmp_path, Origin(url)) == locate(tmp_path, url) == corpora / "mine"

    @pytest.mark.parametrize("name", [V1, "mine"])
    @pytest.mark.parametrize("beside", ["synthetic-0123", "speech_commands_test_set_v0.01"])
    def test_evaluation_finds_what_training_found(
        self, tmp_path: Path, name: str, beside: str
    ) -> None:
        corpora = tmp_path / "SpeechCommands"
        write(corpora / beside)
        write(tmp_path, "stop")
        assert acquire(tmp_path, Origin(name)) == locate(tmp_path, name) == tmp_path
        part = write(corpora / "part")
        expected = part if name == V1 else tmp_path
        assert acquire(tmp_path, Origin(name)) == locate(tmp_path, name) == expected

    def test_the_only_folder_of_any_kind_comes_last(self, tmp_path: Path) -> None:
        only = write(tmp_path / "SpeechCommands" / "speech_commands_test_set_v0.01")
        assert locate(tmp_path, "mine") == locate(tmp_path, V1) == only
        write(tmp_path / "SpeechCommands" / "synthetic-0123")
        assert locate(tmp_path, V1) is None

    def test_training_takes_an_only_folder_that_names_no_version(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        only = write(tmp_path / "SpeechCommands" / "mine")
        assert acquire(tmp_path, Origin(V1)) == only
        assert "data.gsc_url = 'speech_commands_v0.01' is not there" in caplog.text

    def test_the_data_root_itself(self, tmp_path: Path) -> None:
        root = write(tmp_path / V1, "yes", "_silence_", "_unknown_")
        assert acquire(root, Origin(V1)) == locate(root, V2) == root

    @pytest.mark.parametrize("word", ["_silence_", "_background_noise_", ".hidden"])
    def test_what_is_no_word(self, tmp_path: Path, word: str) -> None:
        write(tmp_path, word)
        (tmp_path / "notes").mkdir()
        (tmp_path / "notes" / "wav").touch()
        assert locate(tmp_path, V1) is None

    @pytest.mark.parametrize("place", [f"SpeechCommands/{V2}", V2])
    def test_another_version_is_an_error(self, tmp_path: Path, place: str) -> None:
        folder = write(tmp_path / place)
        root = tmp_path if "/" in place else folder
        with pytest.raises(InputError) as caught:
            acquire(root, Origin(V1))
        for text in (f"expected {V1}", str(folder), f'data.gsc_url = "{V2}"', "data.dataroot"):
            assert text in str(caught.value)
        assert locate(root, V1) == folder

    def test_another_version_does_not_matter_where_the_archive_lies(self, tmp_path: Path) -> None:
        write(tmp_path / "SpeechCommands" / V2)
        (tmp_path / f"{V1}.tar.gz").write_bytes(GOOD)
        assert whole(acquire(tmp_path, Origin(V1, DIGEST)))

    @pytest.mark.parametrize("name", ["synthetic-0123", TEST_SET, f".{V2}"])
    def test_what_is_no_other_version(self, tmp_path: Path, name: str) -> None:
        write(tmp_path / "SpeechCommands" / name)
        with pytest.raises(InputError, match="cannot download"):
            acquire(tmp_path, Origin(V1))

    def test_a_test_archive_has_no_stand_in(self, tmp_path: Path) -> None:
        write(tmp_path, "yes")
        write(tmp_path / "SpeechCommands" / V1)
        with pytest.raises(InputError, match="cannot download"):
            fetch(tmp_path, Origin(TEST_SET))


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have the whole disk refuse to be written; real permissions do not hold up root."""

    def refuse(name: str) -> None:
        function = getattr(os, name)

        def guarded(path: str, *more: object, **options: object) -> object:
            if name == "open" and not (more and int(str(more[0])) & (os.O_RDWR | os.O_CREAT)):
                return function(path, *more, **options)
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fspath(path))

        monkeypatch.setattr(os, name, guarded)

    def switch() -> None:
        for name in ("mkdir", "open", "rename", "replace", "unlink"):
            refuse(name)

    return switch


class TestReadOnly:
    def test_a_data_set_that_is_there_needs_no_lock(
        self, tmp_path: Path, read_only: Callable[[], None]
    ) -> None:
        folder = write(tmp_path / "SpeechCommands" / V1)
        before = names(tmp_path)
        read_only()
        assert acquire(tmp_path, Origin(V1)) == fetch(tmp_path, Origin(V1)) == folder
        assert sorted(path.name for path in tmp_path.iterdir()) == ["SpeechCommands"]
        assert names(tmp_path) == before

    @pytest.mark.parametrize("root", ["", "not/there"])
    def test_without_one_it_says_what_to_do(
        self, tmp_path: Path, official: Server, read_only: Callable[[], None], root: str
    ) -> None:
        (tmp_path / f"{V1}.tar.gz").write_bytes(GOOD)
        read_only()
        place = f"data.dataroot: {tmp_path / 'not' if root else tmp_path / f'.{V1}.lock'}"
        remedy = "allow it, or set data.dataroot to a folder that is writable"
        refused(tmp_path / root, Origin(V1), place, "Read-only file system", remedy)
        assert official.asked == []


class TestTwoAtOnce:
    def test_one_prepares_while_the_other_says_that_it_waits(
        self, tmp_path: Path, official: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The server answers only once the other waits."""
        caplog.set_level(logging.INFO, "srnn")
        asked, waits = threading.Event(), threading.Event()

        def answer() -> None:
            asked.set()
            waits.wait(20)

        class Watch(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                waits.set()

        official.before, watch = answer, Watch()
        logger = logging.getLogger("srnn.data.fetch.locks")
        logger.addHandler(watch)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(acquire, tmp_path, Origin(V1))
            assert asked.wait(20)
            second = pool.submit(acquire, tmp_path, Origin(V1))
            assert first.result() == second.result()
        logger.removeHandler(watch)
        assert whole(first.result())
        assert len(official.asked) == 1
        waiting = f"waiting for another process that prepares {V1} in {tmp_path}"
        assert caplog.messages.count(waiting) == 1
        assert len([text for text in caplog.messages if text.startswith("unpacking")]) == 1


def test_official_addresses_and_checksums() -> None:
    assert sorted(URLS) == sorted(
        f"speech_commands_{kind}{version}"
        for kind in ("v", "test_set_v")
        for version in ("0.01", "0.02")
    )
    for name, url in URLS.items():
        assert url == f"http://download.tensorflow.org/data/{name}.tar.gz"
        assert corpus_name(url) == corpus_name(name) == name
    assert {URLS[V1], URLS[V2]} == set(CHECKSUMS)
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in CHECKSUMS.values())
