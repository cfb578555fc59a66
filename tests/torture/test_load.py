# SPDX-License-Identifier: MPL-2.0
"""What training takes: nothing more with every epoch, and little for a corpus of full size."""

import os
import shutil
import time
from collections import Counter
from pathlib import Path
from statistics import median

import numpy as np
import pytest
import soundfile
from processes import exit_code, say, training

from run_results import metrics
from srnn.data.sources.speech_commands import WORDS

MIB, GIB = 2**20, 2**30

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="memory is read from /proc"
)


def memory(pid: int) -> Counter[str]:
    """Return how much memory of each kind a process has (bytes)."""
    fields = [line.split() for line in about(pid, "status").splitlines()]
    kinds = [each for each in fields if each[0].startswith(("VmRSS", "Rss"))]
    return Counter({name.rstrip(":"): int(kib) * 1024 for name, kib, _ in kinds})


def children(pid: int) -> list[int]:
    return [int(child) for child in about(pid, f"task/{pid}/children").split()]


def about(pid: int, what: str) -> str:
    """Read a file of /proc on a process; "" once the process has ended."""
    try:
        return Path(f"/proc/{pid}/{what}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def open_files(pid: int) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return 0


def test_nothing_grows_over_epochs(
    tones: Path, tmp_path: Path, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch leaves a line of history, a kilobyte; by 2 MiB the allocator may waver."""
    monkeypatch.chdir(tones)
    epochs, run = 50 if full else 8, tmp_path / "run"
    arguments = ["tones.toml", "--run-dir", str(run), "--set", f"srnn.epochs={epochs}"]
    seen: dict[int, list[tuple[int, int]]] = {epoch: [] for epoch in range(epochs + 1)}
    with training(arguments, tmp_path / "out", fork=not full) as process:
        while process.ended(0.002) is None:
            done = len(metrics(run)) if (run / "metrics.jsonl").exists() else 0
            seen[done].append((memory(process.pid)["RssAnon"], open_files(process.pid)))
        assert exit_code(process) == 0
    sizes, files = (
        {epoch: median(each[kind] for each in seen[epoch]) for epoch in (1, epochs - 1)}
        for kind in (0, 1)
    )
    for epoch in (1, epochs - 1):
        place = f"after epoch {epoch:2}: RssAnon {sizes[epoch] / MIB:.1f} MiB, "
        say(f"{place}{files[epoch]:.0f} open files ({len(seen[epoch])} samples)")
    say("")
    assert sizes[epochs - 1] - sizes[1] < 2 * MIB
    assert files[epochs - 1] == files[1]


def make_corpus(folder: Path, count: int) -> None:
    """Make distinct recordings of one second: for each word a tone of its own in noise."""
    rng, rate = np.random.default_rng(0), 16_000
    noise = (500 * rng.normal(size=2**21)).astype(np.int16)
    time = np.arange(rate) / rate
    header = wav_header(folder.parent / "header.wav", rate)
    tones = []
    for pitch, word in enumerate(WORDS):
        (folder / word).mkdir(parents=True)
        burst = np.exp(-(((time - 0.5) / 0.1) ** 2))
        tone = np.sin(2 * np.pi * (200 + 100 * pitch) * time)
        tones.append((8_000 * burst * tone).astype(np.int16))
    for number in range(count):
        take, which = divmod(number, len(tones))
        start = number * 17 % (len(noise) - rate)
        samples = np.roll(tones[which], 8 * take % 4_000) + noise[start : start + rate]
        name = f"{take % 2_600:08x}_nohash_{take // 2_600}.wav"
        (folder / WORDS[which] / name).write_bytes(header + samples.tobytes())
    (folder / "_background_noise_").mkdir()
    for number in range(6):
        samples = noise[number * rate :][: 60 * rate]
        soundfile.write(folder / "_background_noise_" / f"{number}.wav", samples, rate)


def wav_header(path: Path, frames: int) -> bytes:
    soundfile.write(path, np.zeros(frames, np.int16), frames)
    return path.read_bytes()[: -2 * frames]


def test_the_corpus_of_full_size(full: bool, tmp_path: Path) -> None:
    """Of 105,829 recordings, packed and heard for one epoch by the network of the paper."""
    if not full:
        pytest.skip("takes minutes: only with --full")
    if shutil.disk_usage(tmp_path).free < 8e9:
        pytest.skip(f"{tmp_path}: needs 8 GB of free disk")
    try:
        pack_and_train(tmp_path, 105_829)
    finally:
        shutil.rmtree(tmp_path / "corpus")


def pack_and_train(folder: Path, count: int) -> None:
    started = time.monotonic()
    make_corpus(folder / "corpus", count)
    say(f"{count:,} recordings made in {time.monotonic() - started:.0f} s")
    config = folder / "full.toml"
    config.write_text(f"[data]\ndataroot = {str(folder / 'corpus')!r}\n[srnn]\nepochs = 1\n")
    arguments = [str(config), "--run-dir", str(folder / "run"), "--set", "cuda.cuda=false"]
    peak, workers = Counter[str](), Counter[str]()
    started = time.monotonic()
    output = folder / "out"
    with training(arguments, output, fork=False, threads=os.cpu_count() or 1) as process:
        while process.ended(0.1) is None:
            peak |= memory(process.pid)
            workers |= sum(map(memory, children(process.pid)), Counter())
            assert time.monotonic() - started < 3_600
        assert exit_code(process) == 0, output.read_text()
    log = output.read_text().splitlines()
    for line in log:
        if any(
            word in line for word in ("packed ", "kept in", "computed for", "epoch 1/1", "best")
        ):
            say(line)
    say(f"packed and trained in {time.monotonic() - started:.0f} s; peaks, sampled every 0.1 s:")
    for name, peaks in (("training", peak), ("workers", workers)):
        kinds = ", ".join(f"{kind} {size / GIB:.2f} GiB" for kind, size in sorted(peaks.items()))
        say(f"  {name}: {kinds}")
    say("")
    assert peak["RssAnon"] < 2 * GIB
    assert peak["VmRSS"] < 6 * GIB
