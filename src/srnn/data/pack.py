# SPDX-License-Identifier: MPL-2.0
"""The packed corpus: every recording of a data set, decoded once into one memory-mapped file.

A pack holds what the recordings hold, 16-bit samples at the rate of each file, and knows nothing of
labels, clip lengths or features: whatever is trained on a data set, it is decoded once. Its file
name is a digest of the names, sizes, times of change and permissions of the recordings, so that a
data set that has changed is packed anew. A recording that cannot be decoded is no error: the pack
says why.

Layout of the file, little-endian: a header (`_HEADER`), the samples, the index (JSON: a `Recording`
for each that is readable; name and reason of each that is not). Header and index are checked when a
pack is opened. The samples are not: that would read gigabytes before every run, and a pack gets its
name only when all of it is on the disk. Their checksums tell whether data sets sound the same.
"""

import contextlib
import hashlib
import json
import logging
import mmap
import multiprocessing
import os
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from srnn.caches import user_cache
from srnn.data import audio
from srnn.data.audio import OTHER_SUFFIXES, suffix_of
from srnn.data.layout import NOT_WORDS, composed, expect_words_on_top, is_recording
from srnn.data.locks import locked
from srnn.data.workers import (
    available_cores,
    deaf_to_interruption,
    end_with_parent,
    one_core_each,
    without_main,
)
from srnn.errors import InputError, printable
from srnn.files import remedy, sync_directory, sync_file

_MAGIC = b"srnnpack"
_VERSION = 4  # of the layout and of what `audio.decode` makes of a file
_HEADER = struct.Struct("<8s32sQQI4x")  # magic, key, samples, bytes of the index, their CRC-32
_SAMPLE = np.dtype("<i2")

_NAMED = 3  # recordings in a message about many

_RECORDINGS_A_TASK = 64
_RECORDINGS_WORTH_A_POOL = 5000  # fewer are done sooner than worker processes have started

_log = logging.getLogger(__name__)


class Recording(NamedTuple):
    """Where a recording lies in a pack."""

    name: str  # `word/file.wav`, or `word/speaker/file.wav`
    offset: int  # its first sample
    frames: int  # its samples
    sample_rate: int  # of the file, and of the samples (Hz)
    checksum: int  # CRC-32 of the samples
    problem: str = ""  # what is wrong with the sound, see `audio.decode`; empty: nothing

    @property
    def word(self) -> str:
        """The folder in the data set, in the composed form of Unicode (NFC)."""
        return composed(self.name.partition("/")[0])


class _Decoded(NamedTuple):
    """What became of some recordings; the index of a pack, for all of them."""

    recordings: list[Recording]
    unreadable: dict[str, str]


@dataclass(frozen=True, eq=False)
class Pack:
    """The recordings of a data set as one array.

    Attributes
    ----------
    folder : Path
        The data set.
    path : Path
    samples : array, int16
        All samples, mapped into memory: what is read of them is loaded from disk, and may be
        dropped from memory again.
    recordings : dict
        By `word/file.wav`, sorted by word, then by file.
    unreadable : dict
        What was found in place of a recording, by `word/file.wav`, in the same order.
    """

    folder: Path
    path: Path
    samples: NDArray[np.int16]
    recordings: dict[str, Recording]
    unreadable: dict[str, str]

    def __getitem__(self, name: str) -> NDArray[np.int16]:
        """Return the samples of a recording, at its own rate; a view."""
        recording = self.recordings[name]
        return self.samples[recording.offset : recording.offset + recording.frames]


def open_pack(folder: Path, cache: str = "auto", workers: int | Literal["auto"] = "auto") -> Pack:
    """Open the pack of a data set; on first use, and when the data set has changed, make it.

    Of several processes that need a pack one makes it, while the others wait. Packs of an earlier
    state of the folder are deleted, a damaged one is made anew.

    Parameters
    ----------
    folder : Path
        Word folders with recordings, there or in folders of speakers: files whose names end as in
        `audio.SUFFIXES`, in any letter case; hidden ones are ignored.
    cache : str
        Directory for packs, created where missing. "auto": `.cache` in `folder`, or, where that
        cannot be written, `srnn.caches.user_cache`.
    workers : int >= 0 or "auto"
        Processes that decode: 0 decodes in this one, "auto" takes one a core.

    Raises
    ------
    InputError
        If a folder cannot be read, the cache cannot be written, the disk is full, or a worker
        process dies.
    """
    listing = _scan(folder)
    key = hashlib.sha256(json.dumps([_VERSION, listing]).encode()).digest()
    names = [name for name, *_ in listing]
    refusals = []
    for directory in _directories(folder, cache):
        stem = f"{folder.resolve().name}-{_digest_of_place(folder, directory)}"
        path = directory / f"{stem}-{key.hex()[:16]}.pack"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = locked(
                directory / f"{stem}.lock",
                f"waiting for another process that packs the recordings of {printable(folder)}",
            )
        except OSError as error:
            refusals.append(f"{directory} ({error.strerror})")
            if pack := _read(path, key, folder):
                return pack
            continue
        with lock:
            return _read(path, key, folder) or _make(folder, names, path, key, stem, workers)
    raise InputError(
        f"data.cache: expected a directory that can be written, found {' and '.join(refusals)}: "
        "name another"
    )


def expect_readable(pack: Pack, most: float) -> None:
    """Warn of the recordings that are unreadable, and allow only a share of them.

    Parameters
    ----------
    pack : Pack
    most : float, 0 <= most <= 1
        Largest share of all recordings.

    Raises
    ------
    InputError
        If more are unreadable.
    """
    _warn_of_problems(pack)
    if not pack.unreadable:
        return
    count, total = len(pack.unreadable), len(pack.recordings) + len(pack.unreadable)
    reasons = [f"{printable(name)}: {found}" for name, found in pack.unreadable.items()]
    _log.warning(
        "%s: %s of %s recordings are unreadable and skipped (to try them again, delete %s):\n%s",
        *(printable(pack.folder), f"{count:,}", f"{total:,}", printable(pack.path)),
        "\n".join(reasons),
    )
    if count > most * total:
        raise InputError(
            f"data.max_unreadable: expected at most {most:.2%} unreadable recordings in "
            f"{pack.folder}, found {count:,} of {total:,} ({'; '.join(reasons[:3])}"
            f"{'; ...' if count > 3 else ''}): repair or remove them, or allow more"
        )


def _warn_of_problems(pack: Pack) -> None:
    """Warn, on one line, of recordings that can be read but do not hold what was recorded."""
    doubtful = [recording for recording in pack.recordings.values() if recording.problem]
    if doubtful:
        some = [f"{printable(each.name)}: {each.problem}" for each in doubtful[:_NAMED]]
        _log.warning(
            "%s: %s of %s recordings do not sound as recorded (%s%s)",
            *(printable(pack.folder), f"{len(doubtful):,}", f"{len(pack.recordings):,}"),
            "; ".join(some),
            "; ..." if len(doubtful) > _NAMED else "",
        )


def _scan(folder: Path) -> list[tuple[str, int, int, int]]:
    """List the recordings of all words and of the background, each with its `_state`.

    What looks like sound but is not listed is warned of, on one line.
    """
    found: list[tuple[str, int, int, int]] = []
    unused: Counter[str] = Counter()
    speakers: dict[str, list[str]] = {}
    try:
        with os.scandir(folder) as entries:
            top = [entry for entry in entries if entry.name[0] != "."]
        words = sorted(entry.name for entry in top if _is_folder(entry))
        stray = sum(is_recording(entry.name) and not _is_folder(entry) for entry in top)
        for word in words:
            if word not in NOT_WORDS:
                inner: list[str] = []
                some = sorted(_recordings(folder / word, word, unused, inner))
                speakers |= {word: inner} if some else {}
                found += some
    except OSError as error:
        raise InputError(f"data.dataroot: {error.filename}: {error.strerror}") from error
    expect_words_on_top(folder, speakers)
    if stray or unused:
        others = [
            f"{n:,} .{suffix} that soundfile does not read" for suffix, n in sorted(unused.items())
        ]
        outside = [f"{stray:,} outside the folders of words"] if stray else []
        total = f"{stray + unused.total():,}"
        what = ", ".join([*others, *outside])
        _log.warning("%s: %s files of sound are not used: %s", printable(folder), total, what)
    return found


def _recordings(
    folder: Path,
    name: str,
    unused: Counter[str],
    inner: list[str],
    within: tuple[str, ...] = (),
) -> Iterator[tuple[str, int, int, int]]:
    """Yield the recordings in a folder and in the folders in it, each with its `_state`.

    Parameters
    ----------
    folder : Path
    name : str
        Its path in the data set.
    unused : Counter
        Counts, by suffix, the files of sound that cannot be read.
    inner : list of str
        Receives the names of the folders in it that hold recordings.
    within : tuple of str
        The folders around it, as they are named.
    """
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            file = entry.name
            # Nearly all of a hundred thousand files, hence first.
            if (file.endswith(".wav") and file[0] != ".") or is_recording(file):
                yield (f"{name}/{file}", *_state(entry))
            elif file[0] == ".":
                continue
            elif _is_folder(entry):
                folders.append(entry)
            elif (suffix := suffix_of(file)) in OTHER_SUFFIXES:
                unused[suffix] += 1
    within += (os.fspath(folder),)
    for entry in folders:
        # A link may lead back to where it lies, round and round.
        if entry.is_symlink() and os.path.realpath(entry.path) in map(os.path.realpath, within):
            continue
        found = _recordings(Path(entry.path), f"{name}/{entry.name}", unused, [], within)
        for number, recording in enumerate(found):
            if not number:
                inner.append(entry.name)
            yield recording


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere
        return False


def _state(entry: os.DirEntry[str]) -> tuple[int, int, int]:
    """Return size, time of change and permissions: whether a recording is still what it was."""
    try:
        status = entry.stat()
    except OSError:  # a link to nothing; what is wrong, `audio.decode` will tell
        return -1, -1, -1
    return status.st_size, status.st_mtime_ns, status.st_mode


def _directories(folder: Path, cache: str) -> Iterator[Path]:
    """Yield the directories that a pack may lie in, the preferred one first."""
    if cache == "auto":
        yield folder / ".cache"
        yield user_cache()
        return
    try:
        yield Path(cache).expanduser()
    except RuntimeError as error:
        raise InputError(f"data.cache: {cache}: no home directory is known: name it") from error


def _digest_of_place(folder: Path, directory: Path) -> str:
    """Tell folders of one name apart, by the way from the cache: both may be moved together."""
    way = os.path.relpath(folder.resolve(), directory.resolve())
    return hashlib.sha256(os.fsencode(way)).hexdigest()[:8]


def _read(path: Path, key: bytes, folder: Path) -> Pack | None:
    """Map a pack into memory; None where there is none, or a damaged one."""
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"data.cache: {path}: {error.strerror}") from error
    try:
        with file:
            pack = _read_file(file, path, key, folder)
    except (OSError, MemoryError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "it does not fit into memory"
        raise InputError(f"data.cache: {path}: {reason}: name another directory") from error
    if pack is None:
        _log.warning("%s is damaged or was cut off: packing the recordings anew", printable(path))
    return pack


def _read_file(file: BinaryIO, path: Path, key: bytes, folder: Path) -> Pack | None:
    """Read header and index of a pack and map its samples; None if it is damaged."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(_HEADER.size)
    header = _HEADER.unpack(start) if len(start) == _HEADER.size else (b"", b"", 0, 0, 0)
    magic, found_key, count, length, checksum = header
    end = _HEADER.size + count * _SAMPLE.itemsize
    if (magic, found_key, end + length) != (_MAGIC, key, size):
        return None
    file.seek(end)
    index = file.read()
    if zlib.crc32(index) != checksum:
        return None
    samples: NDArray[np.int16] = np.frombuffer(_mapped(file, path), _SAMPLE, count, _HEADER.size)
    rows, unreadable = json.loads(index)
    recordings = {row[0]: Recording(*row) for row in rows}
    return Pack(folder, path, samples, recordings, unreadable)


def _mapped(file: BinaryIO, path: Path) -> mmap.mmap | bytes:
    """Map a file into memory, or read it where the file system cannot map it."""
    try:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        _log.warning(
            "data.cache: %s cannot be mapped into memory (%s) and is read into it, %.1f MB; name "
            "a directory on another disk to save that memory",
            printable(path),
            error.strerror,
            os.fstat(file.fileno()).st_size / 1e6,
        )
        file.seek(0)
        return file.read()


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
    place = printable(path)
    _log.info("packing %s recordings of %s into %s", f"{len(names):,}", printable(folder), place)
    started = time.monotonic()
    temporary = path.with_name(f"{stem}.{os.getpid()}.part")  # no name that another process knows
    try:
        for leftover in path.parent.iterdir():
            if leftover.name.startswith(f"{stem}.") and leftover.suffix == ".part":
                _discard(leftover)
        with temporary.open("wb") as file:
            _write(file, key, _decode(folder, names, temporary, workers))
        temporary.replace(path)
        sync_directory(path.parent)
        for old in path.parent.iterdir():
            if old.name.startswith(f"{stem}-") and old != path:
                _discard(old)
        size = path.stat().st_size
    except OSError as error:
        raise InputError(
            f"data.cache: {path}: cannot be written ({error.strerror}): "
            f"{remedy(error, 'name another directory')}"
        ) from error
    finally:
        _discard(temporary)
    seconds = time.monotonic() - started
    _log.info("packed %.1f MB in %.1f s; may be deleted at any time", size / 1e6, seconds)
    pack = _read(path, key, folder)
    assert pack
    return pack


def _discard(path: Path) -> None:
    """Delete a file. One that cannot be deleted yet does no harm, and the next process tries."""
    with contextlib.suppress(OSError):
        path.unlink()


def _write(file: BinaryIO, key: bytes, decoded: _Decoded) -> None:
    """Complete a pack, whose samples are written, by index and header."""
    count = sum(recording.frames for recording in decoded.recordings)
    index = json.dumps(decoded).encode()
    file.seek(_HEADER.size + count * _SAMPLE.itemsize)
    file.write(index)
    file.seek(0)
    file.write(_HEADER.pack(_MAGIC, key, count, len(index), zlib.crc32(index)))
    sync_file(file)


def _decode(
    folder: Path, names: Sequence[str], target: Path, workers: int | Literal["auto"]
) -> _Decoded:
    """Write the samples of all recordings into ``target``; return where each lies, in order."""
    processes = available_cores() if workers == "auto" else workers
    tasks = [
        names[first : first + _RECORDINGS_A_TASK]
        for first in range(0, len(names), _RECORDINGS_A_TASK)
    ]
    job = partial(_decode_some, folder=folder, target=target)
    results = None
    if processes and len(names) >= _RECORDINGS_WORTH_A_POOL:
        try:
            results = _in_processes(processes, job, tasks)
        # Semaphores that a system lacks or has no room for, as in /dev/shm; too many processes.
        except (OSError, ImportError, NotImplementedError) as error:
            _log.warning("data.workers: no worker processes (%s): this one decodes alone", error)
    if results is None:
        alone = partial(job, taken=_Counter())
        results = (alone(task) for task in tasks)
    decoded = _Decoded([], {})
    bar = tqdm(desc="packing", total=len(names), unit="clip", leave=False, disable=None)
    with contextlib.closing(results), bar:
        for some in results:
            decoded.recordings.extend(some.recordings)
            decoded.unreadable.update(some.unreadable)
            bar.update(len(some.recordings) + len(some.unreadable))
    return decoded


@dataclass
class _Counter:
    """A number as processes would share it, for one that is alone."""

    value: int = 0

    def get_lock(self) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()


def _decode_some(
    names: Sequence[str], folder: Path, target: Path, taken: "Synchronized[int] | _Counter"
) -> _Decoded:
    """Decode a few recordings and write them behind the samples that have taken a place so far."""
    decoded = _Decoded([], {})
    with target.open("rb+") as file:
        for name in names:
            problems: list[str] = []
            try:
                samples, rate = audio.decode(folder / name, problems.append)
            except audio.UnreadableError as error:
                decoded.unreadable[name] = error.found
                continue
            with taken.get_lock():
                offset = taken.value
                taken.value += len(samples)
            file.seek(_HEADER.size + offset * _SAMPLE.itemsize)
            content = samples.astype(_SAMPLE, copy=False).data
            file.write(content)
            checksum = zlib.crc32(content)
            place = name, offset, len(samples), rate, checksum
            decoded.recordings.append(Recording(*place, "; ".join(problems)))
    return decoded


_Job = Callable[[Sequence[str]], _Decoded]


def _in_processes(
    processes: int, job: Callable[..., _Decoded], tasks: Iterable[Sequence[str]]
) -> Generator[_Decoded, None, None]:
    """Do ``job`` for each task in worker processes; return what yields its results, in order.

    Raises
    ------
    OSError, ImportError, NotImplementedError
        If there can be no worker processes.
    """
    # Spawned, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with deaf_to_interruption():  # starts a process, too
        shared = partial(job, taken=context.Value("q", 0))
    pool = ProcessPoolExecutor(processes, context, _take_on, (shared,))
    try:
        with one_core_each(), deaf_to_interruption(), without_main():
            results = pool.map(_work, tasks)
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    return _results(pool, results)


def _results(
    pool: ProcessPoolExecutor, results: Iterator[_Decoded]
) -> Generator[_Decoded, None, None]:
    try:
        yield from results
    except BrokenProcessPool as error:
        raise InputError(
            "data.workers: expected worker processes that finish, found one that died (killed, or "
            "out of memory): run again, with fewer if memory is short"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_job: _Job  # of this worker process: shared memory can be handed over only as a process starts


def _take_on(job: _Job) -> None:
    global _job
    _job = job
    end_with_parent()


def _work(names: Sequence[str]) -> _Decoded:
    return _job(names)
