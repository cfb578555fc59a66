# SPDX-License-Identifier: MPL-2.0
"""The packed corpus: every recording of a data set, decoded once into one memory-mapped file.

A pack holds what the recordings hold, 16-bit samples at the rate of each file, and knows nothing of
labels, clip lengths or features: whatever is trained on a data set, it is decoded once. Its file
name is a digest of the names, sizes and times of change of the recordings, so that a data set that
has changed is packed anew.

Layout of the file, little-endian: a header (`_HEADER`), the samples, the index (JSON: name, offset,
frames and rate of each recording).
"""

import errno
import hashlib
import json
import logging
import mmap
import multiprocessing
import os
import struct
import time
import zlib
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from multiprocessing.context import SpawnContext
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from tqdm import tqdm

from srnn.data import audio
from srnn.data.corpus import is_recording, speaker_of
from srnn.data.workers import deaf_to_interruption, one_core_each
from srnn.errors import InputError

_MAGIC = b"srnnpack"
_VERSION = 1  # of the layout and of what `audio.decode` makes of a file
_HEADER = struct.Struct("<8s32sQQI4x")  # magic, key, samples, bytes of the index, their CRC-32
_SAMPLE = np.dtype("<i2")

_RECORDINGS_A_TASK = 64
_RECORDINGS_WORTH_A_POOL = 5000  # fewer are done sooner than worker processes have started

_log = logging.getLogger(__name__)


class Recording(NamedTuple):
    """Where a recording lies in a pack."""

    name: str  # `word/file.wav`
    offset: int  # its first sample
    frames: int  # its samples
    sample_rate: int  # of the file, and of the samples (Hz)

    @property
    def word(self) -> str:
        """The folder of the recording."""
        return self.name.partition("/")[0]

    @property
    def speaker(self) -> str:
        """Who speaks, as far as the file name tells."""
        return speaker_of(self.name.partition("/")[2])


@dataclass(frozen=True)
class Pack:
    """The recordings of a data set as one array.

    Attributes
    ----------
    path : Path
    samples : array, int16
        All samples, mapped into memory: what is read of them is loaded from disk, and may be
        dropped from memory again.
    recordings : dict
        By `word/file.wav`, sorted.
    """

    path: Path
    samples: NDArray[np.int16]
    recordings: dict[str, Recording]

    def __getitem__(self, name: str) -> NDArray[np.int16]:
        """Return the samples of a recording, at its own rate; a view."""
        _, offset, frames, _ = self.recordings[name]
        return self.samples[offset : offset + frames]


def open_pack(folder: Path, cache: str = "auto", workers: int | Literal["auto"] = "auto") -> Pack:
    """Open the pack of a data set; on first use, and when the data set has changed, make it.

    Of several processes that need a pack one makes it, while the others wait. Packs of an earlier
    state of the folder are deleted, a damaged one is made anew.

    Parameters
    ----------
    folder : Path
        Word folders with recordings, as `srnn.data.corpus.read_corpus` takes it.
    cache : str
        Directory for packs, created where missing. "auto": `.cache` in `folder`, or, where that
        cannot be written, ``$XDG_CACHE_HOME/srnn`` (``~/.cache/srnn`` without such a variable).
    workers : int >= 0 or "auto"
        Processes that decode: 0 decodes in this one, "auto" takes one a core.

    Raises
    ------
    InputError
        If a recording or folder cannot be read, or the cache cannot be written or the disk is full.
    """
    listing = _scan(folder)
    key = hashlib.sha256(json.dumps([_VERSION, listing]).encode()).digest()
    names = [name for name, _, _ in listing]
    refusals = []
    for directory in _directories(folder, cache):
        stem = f"{folder.resolve().name}-{_digest_of_place(folder, directory)}"
        path = directory / f"{stem}-{key.hex()[:16]}.pack"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = _locked(directory / f"{stem}.lock", folder)
        except OSError as error:
            refusals.append(f"{directory} ({error.strerror})")
            if pack := _read(path, key):
                return pack
            continue
        try:
            return _read(path, key) or _make(folder, names, path, key, stem, workers)
        finally:
            lock.release()
    raise InputError(
        f"data.cache: expected a directory that can be written, found {' and '.join(refusals)}"
    )


def _scan(folder: Path) -> list[tuple[str, int, int]]:
    """List the recordings of all words and of the background: name, size and time of change."""
    found = []
    try:
        with os.scandir(folder) as entries:
            words = sorted(e.name for e in entries if e.name[0] != "." and e.is_dir())
        for word in words:
            with os.scandir(folder / word) as entries:
                for entry in entries:
                    if is_recording(entry.name):
                        status = entry.stat()
                        found.append((f"{word}/{entry.name}", status.st_size, status.st_mtime_ns))
    except OSError as error:
        raise InputError(f"data.dataroot: {error.filename}: {error.strerror}") from error
    return sorted(found)


def _directories(folder: Path, cache: str) -> list[Path]:
    """Return the directories that a pack may lie in, the preferred one first."""
    if cache != "auto":
        return [Path(cache).expanduser()]
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return [folder / ".cache", Path(home) / "srnn"]


def _digest_of_place(folder: Path, directory: Path) -> str:
    """Tell folders of one name apart, by the way from the cache: both may be moved together."""
    way = os.path.relpath(folder.resolve(), directory.resolve())
    return hashlib.sha256(os.fsencode(way)).hexdigest()[:8]


def _locked(path: Path, folder: Path) -> FileLock:
    """Return a lock that is held; while another process holds it, wait."""
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        _log.info("waiting for another process that packs the recordings of %s", folder)
        lock.acquire()
    return lock


def _read(path: Path, key: bytes) -> Pack | None:
    """Map a pack into memory; None where there is none, or a damaged one."""
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"data.cache: {path}: {error.strerror}") from error
    with file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(_HEADER.size)
        header = _HEADER.unpack(start) if len(start) == _HEADER.size else (b"", b"", 0, 0, 0)
        magic, found_key, count, length, checksum = header
        end = _HEADER.size + count * _SAMPLE.itemsize
        if (magic, found_key, end + length) == (_MAGIC, key, size):
            file.seek(end)
            index = file.read()
            if zlib.crc32(index) == checksum:
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                samples: NDArray[np.int16] = np.frombuffer(memory, _SAMPLE, count, _HEADER.size)
                return Pack(path, samples, {row[0]: Recording(*row) for row in json.loads(index)})
    _log.warning("%s is damaged or was cut off: packing the recordings anew", path)
    return None


def _make(
    folder: Path,
    names: Sequence[str],
    path: Path,
    key: bytes,
    stem: str,
    workers: int | Literal["auto"],
) -> Pack:
    """Decode all recordings into a pack, which appears under its name when it is whole.

    The lock of ``stem`` is held: whatever else bears this stem is out of date.
    """
    _log.info("packing %s recordings of %s into %s", f"{len(names):,}", folder, path)
    started = time.monotonic()
    temporary = path.with_name(f"{stem}.part")
    try:
        with temporary.open("wb") as file:
            _write(file, key, _decode(folder, names, temporary, workers))
        temporary.replace(path)
        _sync(path.parent)
        for old in path.parent.iterdir():
            if old.name.startswith(f"{stem}-") and old != path:
                old.unlink()
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"data.cache: {path}: cannot be written ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)
    seconds = time.monotonic() - started
    _log.info("packed %.1f MB in %.1f s; %s may be deleted at any time", size / 1e6, seconds, path)
    pack = _read(path, key)
    assert pack
    return pack


def _write(file: BinaryIO, key: bytes, recordings: list[Recording]) -> None:
    """Complete a pack, whose samples are written, by index and header."""
    count = sum(recording.frames for recording in recordings)
    index = json.dumps(recordings).encode()
    file.seek(_HEADER.size + count * _SAMPLE.itemsize)
    file.write(index)
    file.seek(0)
    file.write(_HEADER.pack(_MAGIC, key, count, len(index), zlib.crc32(index)))
    file.flush()
    os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    """Have a new name survive a loss of power."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:  # not every file system can
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(handle)


def _decode(
    folder: Path, names: Sequence[str], target: Path, workers: int | Literal["auto"]
) -> list[Recording]:
    """Write the samples of all recordings into ``target``; return where each lies, sorted."""
    processes = (os.cpu_count() or 1) if workers == "auto" else workers
    tasks = [
        names[first : first + _RECORDINGS_A_TASK]
        for first in range(0, len(names), _RECORDINGS_A_TASK)
    ]
    # Spawned, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    job = partial(_decode_some, folder=folder, target=target, taken=context.Value("q", 0))
    if processes and len(names) >= _RECORDINGS_WORTH_A_POOL:
        results = _in_processes(processes, context, job, tasks)
    else:
        results = (job(task) for task in tasks)
    recordings = []
    bar = tqdm(desc="packing", total=len(names), unit="clip", leave=False, disable=None)
    with closing(results), bar:
        for some in results:
            recordings += some
            bar.update(len(some))
    return recordings


def _decode_some(
    names: Sequence[str], folder: Path, target: Path, taken: "Synchronized[int]"
) -> list[Recording]:
    """Decode a few recordings and write them behind the samples that have taken a place so far."""
    decoded = [audio.decode(folder / name) for name in names]
    with taken.get_lock():
        first = offset = taken.value
        taken.value += sum(len(samples) for samples, _ in decoded)
    recordings = []
    with target.open("rb+") as file:
        file.seek(_HEADER.size + first * _SAMPLE.itemsize)
        for name, (samples, rate) in zip(names, decoded, strict=True):
            file.write(samples.astype(_SAMPLE, copy=False).tobytes())
            recordings.append(Recording(name, offset, len(samples), rate))
            offset += len(samples)
    return recordings


_Job = Callable[[Sequence[str]], list[Recording]]


def _in_processes(
    processes: int, context: SpawnContext, job: _Job, tasks: Iterable[Sequence[str]]
) -> Generator[list[Recording], None, None]:
    """Do ``job`` for each task in worker processes; yield what it returns, in order."""
    pool = ProcessPoolExecutor(processes, context, _take_on, (job,))
    try:
        with one_core_each(), deaf_to_interruption():
            results = pool.map(_work, tasks)
        yield from results
    finally:
        pool.shutdown(cancel_futures=True)


_job: _Job  # of this worker process: shared memory can be handed over only as a process starts


def _take_on(job: _Job) -> None:
    global _job
    _job = job


def _work(names: Sequence[str]) -> list[Recording]:
    return _job(names)
