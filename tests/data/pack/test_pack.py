# SPDX-License-Identifier: MPL-2.0
"""Packs: what they hold, when they are made anew, where they lie, and what is refused."""

import errno
import logging
import multiprocessing
import os
import resource
import signal
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import numpy as np
import pytest
import soundfile
from filelock import FileLock
from numpy.typing import NDArray

from recordings import BAD, bad_recordings, odd_recordings
from srnn.data import audio
from srnn.data.pack import decoding
from srnn.data.pack import file as pack_file
from srnn.data.pack.file import Decoded
from srnn.data.pack.opening import expect_readable, open_pack
from srnn.data.sources.folder import source as folders
from srnn.errors import InputError

RATE = 8000
NOISE = np.random.default_rng(0).integers(-(2**15), 2**15, 3000).astype(np.int16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a data set of two words and a background recording, of several formats."""
    folder = tmp_path / "set"
    for word in ("go", "no", "_background_noise_", ".git"):
        (folder / word).mkdir(parents=True)
    soundfile.write(folder / "go" / "ada_nohash_0.wav", NOISE, RATE)
    soundfile.write(folder / "go" / "bob_nohash_0.WAV", NOISE[:77], 2 * RATE)
    soundfile.write(folder / "no" / "ada_nohash_1.wav", NOISE.reshape(-1, 2), RATE)
    soundfile.write(folder / "_background_noise_" / "hum.wav", NOISE / 2**16, RATE, "PCM_24")
    (folder / "no" / "._ada_nohash_1.wav").write_text("of macOS")
    (folder / ".git" / "x.wav").write_text("none of ours")
    (folder / "go" / "notes.txt").write_text("no sound")
    return folder


def packs(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.pack"))


def messages(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records)


def test_a_pack_holds_every_recording_at_its_own_rate(folder: Path) -> None:
    opened = open_pack(folders.read(folder))
    assert [(r.name, r.frames, r.sample_rate) for r in opened.recordings.values()] == [
        ("_background_noise_/hum.wav", 3000, RATE),
        ("go/ada_nohash_0.wav", 3000, RATE),
        ("go/bob_nohash_0.WAV", 77, 2 * RATE),
        ("no/ada_nohash_1.wav", 1500, RATE),
    ]
    assert opened.folder == folder
    assert opened.unreadable == {}
    np.testing.assert_array_equal(opened["go/ada_nohash_0.wav"], NOISE)
    for name in opened.recordings:
        assert opened[name].dtype == np.int16
        assert zlib.crc32(opened[name].data) == opened.recordings[name].checksum
        np.testing.assert_array_equal(opened[name], audio.decode(folder / name)[0])


def test_recordings_are_sorted_by_word_then_by_file(folder: Path) -> None:
    (folder / "go-go").mkdir()
    soundfile.write(folder / "go-go" / "ada_nohash_0.wav", NOISE, RATE)
    words = [name.partition("/")[0] for name in open_pack(folders.read(folder)).recordings]
    assert words == ["_background_noise_", "go", "go", "go-go", "no"]


def test_the_samples_are_mapped_not_read(folder: Path) -> None:
    samples = open_pack(folders.read(folder)).samples
    assert not samples.flags.owndata
    assert not samples.flags.writeable


def test_a_pack_is_made_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first = open_pack(folders.read(folder))
    made = first.path.stat()
    caplog.clear()
    again = open_pack(folders.read(folder))
    assert again.path == first.path
    assert again.path.stat() == made
    assert again.recordings == first.recordings
    assert messages(caplog) == ""


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_worker_processes_change_no_sample(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(decoding, "_RECORDINGS_WORTH_A_POOL", 1)
    monkeypatch.setattr(decoding, "_RECORDINGS_A_TASK", 1)
    (folder / "go" / "bad.wav").write_text("no sound")
    opened = open_pack(folders.read(folder), str(tmp_path / "cache"), workers)
    assert list(opened.unreadable) == ["go/bad.wav"]
    assert list(opened.recordings) == [
        "_background_noise_/hum.wav",
        "go/ada_nohash_0.wav",
        "go/bob_nohash_0.WAV",
        "no/ada_nohash_1.wav",
    ]
    for name in opened.recordings:
        np.testing.assert_array_equal(opened[name], audio.decode(folder / name)[0])


def _die(names: Sequence[str], folder: Path, target: Path, taken: "Synchronized[int]") -> Decoded:
    with taken.get_lock():  # others wait for it
        os.kill(os.getpid(), signal.SIGKILL)
    return Decoded([], {})


def test_a_worker_that_dies_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_RECORDINGS_WORTH_A_POOL", 1)
    monkeypatch.setattr(decoding, "_RECORDINGS_A_TASK", 1)
    monkeypatch.setattr(decoding, "_decode_some", _die)
    with pytest.raises(InputError) as error:
        open_pack(folders.read(folder), workers=2)
    assert str(error.value) == (
        "data.workers: expected worker processes that finish, found one that died (killed, or out "
        "of memory): run again, with fewer if memory is short"
    )
    assert {path.suffix for path in (folder / ".cache").iterdir()} <= {".lock"}
    assert multiprocessing.active_children() == []


def no_semaphores(patch: pytest.MonkeyPatch) -> None:
    """Have /dev/shm take nothing, as where it is read-only or tiny."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    patch.setattr("multiprocessing.synchronize.SemLock.__init__", refuse)


@pytest.mark.parametrize("error", [OSError(errno.EROFS, "no"), ImportError("no"), None])
def test_without_worker_processes_this_one_decodes(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception | None,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error or NotImplementedError("no")

    monkeypatch.setattr(decoding, "_RECORDINGS_WORTH_A_POOL", 1)
    if isinstance(error, OSError):
        no_semaphores(monkeypatch)
        reason = "[Errno 28] No space left on device"
    else:
        monkeypatch.setattr(decoding, "ProcessPoolExecutor", refuse)
        reason = "no"
    opened = open_pack(folders.read(folder), workers=2)
    np.testing.assert_array_equal(opened["go/ada_nohash_0.wav"], NOISE)
    assert (
        f"data.workers: cannot start worker processes ({reason}): the main process decodes"
        in messages(caplog)
    )


def test_shared_memory_is_needed_by_worker_processes_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(decoding, "_RECORDINGS_WORTH_A_POOL", 1)
    no_semaphores(monkeypatch)
    np.testing.assert_array_equal(
        open_pack(folders.read(folder), workers=0)["go/ada_nohash_0.wav"], NOISE
    )
    assert not [each for each in caplog.records if each.levelno > logging.INFO]


@pytest.mark.parametrize("number", [errno.ENODEV, errno.EINVAL, errno.EACCES, errno.ENOMEM])
def test_where_a_pack_cannot_be_mapped_it_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("mmap.mmap", refuse)
    opened = open_pack(folders.read(folder))
    np.testing.assert_array_equal(opened["go/ada_nohash_0.wav"], NOISE)
    assert not opened.samples.flags.writeable
    assert f"data.cache: {opened.path} cannot be mapped into memory ({os.strerror(number)})" in (
        messages(caplog)
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"),
        (OSError(errno.ESTALE, os.strerror(errno.ESTALE)), "Stale file handle"),
        (MemoryError(), "it does not fit into memory"),
    ],
)
def test_a_pack_that_cannot_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def refuse(*_: object) -> None:
        raise error

    path = open_pack(folders.read(folder)).path
    monkeypatch.setattr(pack_file, "_mapped", refuse)
    with pytest.raises(InputError) as raised:
        open_pack(folders.read(folder))
    assert str(raised.value) == f"data.cache: {path}: {reason}: name another directory"


def test_old_packs_that_cannot_be_deleted_stay(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, while another process has them open."""
    first = open_pack(folders.read(folder)).path
    soundfile.write(folder / "go" / "cy_nohash_0.wav", NOISE[:5], RATE)

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(Path, "unlink", refuse)
    second = open_pack(folders.read(folder))
    np.testing.assert_array_equal(second["go/cy_nohash_0.wav"], NOISE[:5])
    assert first.exists()


def test_a_home_that_is_not_known(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(InputError) as error:
        open_pack(folders.read(folder), "~/cache")
    assert str(error.value) == "data.cache: ~/cache: no home directory is known: name it"


def test_a_changed_data_set_is_packed_anew_and_the_old_pack_deleted(folder: Path) -> None:
    (folder / ".cache").mkdir()
    another = folder / ".cache" / "other-12345678-1234567812345678.pack"
    another.touch()
    first = open_pack(folders.read(folder)).path
    soundfile.write(folder / "go" / "cy_nohash_0.wav", NOISE[:5], RATE)
    second = open_pack(folders.read(folder))
    np.testing.assert_array_equal(second["go/cy_nohash_0.wav"], NOISE[:5])
    assert not first.exists()

    os.utime(folder / "go" / "cy_nohash_0.wav", (0, 0))
    third = open_pack(folders.read(folder)).path
    assert third not in (first, second.path)
    assert packs(folder / ".cache") == [another, third]

    (folder / "go" / "cy_nohash_0.wav").chmod(0o600)
    assert open_pack(folders.read(folder)).path not in (first, second.path, third)


def test_data_sets_of_one_name_share_a_cache(folder: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    first = open_pack(folders.read(folder), cache)
    (tmp_path / "else").mkdir()
    twin = folder.rename(tmp_path / "else" / "set")
    second = open_pack(folders.read(twin), cache)
    assert packs(tmp_path / "cache") == sorted([first.path, second.path])


def test_a_data_set_may_move_with_its_pack(folder: Path, tmp_path: Path) -> None:
    made = open_pack(folders.read(folder)).path.stat()
    (tmp_path / "else").mkdir()
    moved = folder.rename(tmp_path / "else" / "set")
    assert open_pack(folders.read(moved)).path.stat() == made


@pytest.mark.parametrize("damage", ["cut", "longer", "empty", "header", "index", "other"])
def test_a_damaged_pack_is_made_anew(
    folder: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = open_pack(folders.read(folder)).path
    content = path.read_bytes()
    damaged = {
        "cut": content[:-1000],
        "longer": content + b"\0",
        "empty": b"",
        "header": content[:20] + b"\0\0\0\0" + content[24:],
        "index": content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
        "other": b"something else entirely, and longer than a header would be" * 9,
    }
    path.write_bytes(damaged[damage])
    opened = open_pack(folders.read(folder))
    np.testing.assert_array_equal(opened["go/ada_nohash_0.wav"], NOISE)
    assert path.read_bytes() == content
    assert f"{path} is damaged or truncated: packing the recordings again" in messages(caplog)


@pytest.mark.parametrize("suffix", [".part", ".1.part"])  # the first is of an earlier version
def test_what_a_killed_process_left_does_no_harm(
    folder: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """Even if somebody writes on into it."""
    path = open_pack(folders.read(folder)).path
    content = path.read_bytes()
    path.unlink()
    leftover = path.parent / f"{path.name.rpartition('-')[0]}{suffix}"
    leftover.write_bytes(content[:500])
    decode = audio.decode

    def write_on(
        recording: Path, report: Callable[[str], None] | None = None
    ) -> tuple[NDArray[np.int16], int]:
        file.seek(100)
        file.write(b"wrong")
        file.flush()
        return decode(recording, report)

    monkeypatch.setattr(audio, "decode", write_on)
    with leftover.open("rb+") as file:
        assert open_pack(folders.read(folder)).path.read_bytes() == content
    assert not leftover.exists()


@contextmanager
def cache_in_use(folder: Path) -> Iterator[None]:
    path = open_pack(folders.read(folder)).path
    path.unlink()
    with FileLock(path.parent / f"{path.name.rpartition('-')[0]}.lock"):
        yield


def test_while_another_process_packs_one_waits(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with cache_in_use(folder):
        caplog.set_level(logging.INFO)
        waiting = threading.Thread(target=open_pack, args=(folders.read(folder),))
        waiting.start()
        while f"waiting for another process that packs the recordings of {folder}" not in messages(
            caplog
        ):
            waiting.join(0.01)
        assert packs(folder / ".cache") == []
    waiting.join()
    assert len(packs(folder / ".cache")) == 1


def test_of_two_processes_one_packs(folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=open_pack, args=(folders.read(folder),)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(packs(folder / ".cache")) == 1


def test_where_the_folder_cannot_be_written_the_users_cache_is_used(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    (folder / ".cache").touch()
    opened = open_pack(folders.read(folder))
    assert opened.path.parent == tmp_path / "xdg" / "srnn"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert open_pack(folders.read(folder)).path.parent == tmp_path / "home" / ".cache" / "srnn"


def test_a_pack_that_may_only_be_read_serves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = open_pack(folders.read(folder)).path

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert open_pack(folders.read(folder)).path == path


def test_a_cache_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as error:
        open_pack(folders.read(folder), str(tmp_path / "file"))
    assert str(error.value) == (
        "data.cache: expected a writable directory, "
        f"found {tmp_path / 'file'} (File exists): name another"
    )


def test_a_full_disk(folder: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, before[1]))
    try:
        with pytest.raises(InputError) as error:
            open_pack(folders.read(folder))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(error.value).startswith(f"data.cache: {folder / '.cache' / 'set-'}")
    assert str(error.value).endswith(
        ".pack: cannot be written (File too large): free some space there, or name another "
        "directory"
    )
    assert {path.suffix for path in (folder / ".cache").iterdir()} <= {".lock"}


def test_a_disk_that_turns_read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(InputError) as error:
        open_pack(folders.read(folder))
    assert str(error.value).endswith(
        ".pack: cannot be written (Read-only file system): allow it, or name another directory"
    )


def test_a_pack_says_why_a_recording_is_unreadable(folder: Path) -> None:
    bad_recordings(folder / "no")
    reasons = {f"no/{name}": found for name, found in BAD.items()}
    for _ in range(2):  # made, and read again
        opened = open_pack(folders.read(folder))
        assert opened.unreadable == reasons
        assert len(opened.recordings) == 4


def test_odd_recordings_are_packed(folder: Path) -> None:
    names = {f"go/{path.name}" for path in odd_recordings(folder / "go")}
    for _ in range(2):
        opened = open_pack(folders.read(folder))
        assert opened.unreadable == {}
        assert names < set(opened.recordings)
        for name in names:
            np.testing.assert_array_equal(opened[name], audio.decode(folder / name)[0])


def test_unreadable_recordings_are_warned_of_each_time(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "no" / "b.wav").touch()
    (folder / "no" / "a\n.wav").mkdir()
    for _ in range(2):
        data_set = folders.read(folder)
        caplog.clear()
        opened = open_pack(data_set)
        expect_readable(opened, 2 / 6)
        (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
        assert warning.getMessage() == (
            f"{folder}: 2 of 6 recordings are unreadable and skipped (to try them again, delete "
            f"{opened.path}):\n"
            "no/a\\n.wav: a folder\n"
            "no/b.wav: a file that soundfile cannot read (Format not recognised)"
        )


def test_too_many_unreadable_recordings(folder: Path) -> None:
    for number in range(4):
        (folder / "no" / f"{number}.wav").mkdir()
    with pytest.raises(InputError) as error:
        expect_readable(open_pack(folders.read(folder)), 0.4999)
    assert str(error.value) == (
        f"data.max_unreadable: expected at most 49.99% unreadable recordings in {folder}, found "
        "4 of 8 (no/0.wav: a folder; no/1.wav: a folder; no/2.wav: a folder; ...): repair or "
        "remove them, or allow more"
    )


def test_without_unreadable_recordings_nothing_is_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened = open_pack(folders.read(folder))
    caplog.clear()
    expect_readable(opened, 0)
    assert messages(caplog) == ""


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        open_pack(folders.read(tmp_path / "none"))
    assert str(error.value) == f"data.dataroot: {tmp_path / 'none'}: No such file or directory"
