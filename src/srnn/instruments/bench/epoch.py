# SPDX-License-Identifier: MPL-2.0
"""A whole epoch of training: the package's own beside a loop in the reference's manner."""

import itertools
import shutil
import statistics
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from srnn.bars import progress_bar
from srnn.config import Config
from srnn.data.names import is_recording
from srnn.data.partitions import partition_of_speaker
from srnn.data.sources.folder.layout import words_in
from srnn.data.sources.folder.source import locate
from srnn.data.workers import one_core_each
from srnn.errors import InputError
from srnn.features.normaliser import Normaliser, std
from srnn.features.reference import features
from srnn.instruments.bench.firing import calibrate
from srnn.instruments.bench.plan import Plan
from srnn.instruments.bench.report import Record
from srnn.instruments.bench.sound import noise
from srnn.instruments.bench.subjects import CALIBRATED, CLASSES, SPEC, eager_loop
from srnn.instruments.bench.timing import TORCH, finish, fresh_process_context
from srnn.runs.checkpoint import Checkpoint
from srnn.runs.directory import RunDirectory
from srnn.runs.parts import network_of
from srnn.runs.results import metrics_of
from srnn.runs.start import Start
from srnn.runs.train import train
from srnn.training.spotter import Spotter

_WORKERS = 2  # of the loop's data loader
_MIN_RECORDINGS = 3  # of a word: one for each partition
_CLIPS_TO_CALIBRATE = 64
_LEARNING_RATE = 1e-12  # so low that the firing rates stay


class Recordings(NamedTuple):
    """A corpus to train on: its words, and its training clips with the index of their word."""

    folder: Path
    words: list[str]
    training: list[tuple[Path, int]]


def write_recordings(folder: Path, clips: int, dataroot: Path | None) -> Recordings:
    """Fill a folder with training clips, equally many of each word, and two a word to evaluate.

    Parameters
    ----------
    folder : Path
        Empty.
    clips : int
        Training clips; fewer where ``dataroot`` holds fewer.
    dataroot : Path, optional
        Data set whose clips are copied. Without it they are noise, in as many words as there are
        classes.

    Raises
    ------
    InputError
        If ``dataroot`` holds no data set.
    """
    words, sources = _recorded(dataroot) if dataroot else _noises()
    for word in words:
        (folder / word).mkdir()
    rng = np.random.default_rng(0)
    partitions = ["validation"] * len(words) + ["testing"] * len(words) + ["training"] * clips
    speakers = {partition: _speakers(partition) for partition in partitions}
    training = []
    for (word, source), partition in zip(sources, partitions, strict=False):
        path = folder / word / f"{next(speakers[partition])}_nohash_0.wav"
        if source:
            shutil.copyfile(source, path)
        else:
            soundfile.write(path, noise(rng), SPEC.sample_rate)
        if partition == "training":
            training.append((path, words.index(word)))
    return Recordings(folder, words, training)


def epoch_records(recordings: Recordings, device: torch.device, plan: Plan) -> list[Record]:
    """Return a record for the loop and one for the package: the training part of an epoch.

    All train with the same weights, in turns. The loop reads the recordings and has librosa make
    features of them in two data workers, every epoch. The package's is a second epoch, of packed
    recordings: ``package`` makes the features of each batch, ``kept`` has them in memory, as
    training does where they fit. The networks fire at `CALIBRATED` on these features.
    """
    config = _config(recordings, device, plan)
    spotter = _calibrated_spotter(config, recordings)
    start = Checkpoint(
        config.model_dump(mode="json"), recordings.words, "", 0, spotter.state_dict()
    )
    spotter.to(device)
    eager: dict[int, list[float]] = {place: [] for place in range(len(TORCH))}
    own: dict[str, list[float]] = {"package": [], "kept": []}
    rates: list[float] = []
    for epoch in progress_bar(range(plan.epochs), "epochs"):
        for place, regime in enumerate(TORCH):
            with regime():
                eager[place].append(_eager_epoch(spotter, recordings, device, plan))
        for name, memory_budget in (("package", 0), ("kept", None)):
            path = recordings.folder.parent / f"{device.type}-{name}{epoch}"
            line = _own_epoch(config, start, path, memory_budget)
            own[name].append(line["samples_per_second"])
            rates = line["firing_rate"]
    speeds = {
        "eager": max(statistics.median(speed) for speed in eager.values()),
    } | {name: statistics.median(speed) for name, speed in own.items()}
    return [
        {
            "loop": name,
            "neurons": plan.typical[0],
            "batch": plan.typical[1],
            "clips": len(recordings.training),
            "rate_1": rates[0],
            "rate_2": rates[1],
            "clips_per_second": speed,
            "epoch_s": len(recordings.training) / speed,
            "eager_ratio": speed / speeds["eager"],
        }
        for name, speed in speeds.items()
    ]


_Sources = Iterable[tuple[str, Path | None]]  # word, and the recording to copy: none makes noise


def _noises() -> tuple[list[str], _Sources]:
    words = [f"word{number:02}" for number in range(CLASSES)]
    return words, itertools.cycle((word, None) for word in words)


def _recorded(dataroot: Path) -> tuple[list[str], _Sources]:
    """Return the words of a data set and its recordings, a random one of each word in turn."""
    folder = locate(dataroot, Config().data.gsc_url)
    if folder is None:
        raise InputError(f"--dataroot {dataroot}: expected a data set, found none or several")
    every = {
        word.name: sorted(path for path in word.rglob("*") if is_recording(path.name))
        for word in words_in(folder)
    }
    found = {word: paths for word, paths in every.items() if len(paths) >= _MIN_RECORDINGS}
    word_of = {path: word for word, paths in found.items() for path in paths}
    rng = np.random.default_rng(0)
    shuffled = [[paths[k] for k in rng.permutation(len(paths))] for paths in found.values()]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*shuffled))
    return list(found), [(word_of[path], path) for path in turns if path]


def _speakers(partition: str) -> Iterator[str]:
    """Yield names of speakers that belong to a partition."""
    names = (f"{number:08x}" for number in itertools.count())
    return (name for name in names if partition_of_speaker(name) == partition)


def _config(recordings: Recordings, device: torch.device, plan: Plan) -> Config:
    neurons, batch = plan.typical
    data = {"dataroot": str(recordings.folder), "words": "all", "silence": False}
    srnn = {
        "network_size": neurons,
        "batch_size": batch,
        "epochs": 2,
        "learning_rate": _LEARNING_RATE,
    }
    cuda = {"cuda": device.type == "cuda"}
    return Config.model_validate({"data": data, "srnn": srnn, "cuda": cuda})


def _calibrated_spotter(config: Config, recordings: Recordings) -> Spotter:
    clips = _LibrosaClips(recordings.training[:_CLIPS_TO_CALIBRATE])
    features = torch.stack([clips[place][0] for place in range(len(clips))])
    torch.manual_seed(0)
    network = network_of(config, len(recordings.words))
    normaliser = Normaliser(std([features]))
    calibrate(network, normaliser(features), CALIBRATED)
    return Spotter(normaliser, network)


def _own_epoch(
    config: Config, start: Checkpoint, path: Path, memory_budget: int | None
) -> dict[str, Any]:
    """Train two epochs; return the metrics of the second."""
    directory = RunDirectory(path)
    with directory.prepared(resume=False):
        train(config, directory, Start(weights=start), memory_budget=memory_budget)
    return metrics_of(directory)[-1]


def _eager_epoch(
    spotter: Spotter, recordings: Recordings, device: torch.device, plan: Plan
) -> float:
    """Return the clips that the loop trains a second, from the arrival of the first batch on."""
    batch = plan.typical[1]
    loader = DataLoader(
        _LibrosaClips(recordings.training),
        batch,
        shuffle=True,
        num_workers=_WORKERS,
        multiprocessing_context=fresh_process_context(),
    )
    subject = eager_loop(spotter.network)
    with one_core_each():
        batches = iter(loader)
        next(batches)  # the workers have started
    started, trained, loss = time.perf_counter(), 0, 0.0
    for batch_features, labels in batches:
        normalised = spotter.normaliser(batch_features.to(device))
        step_loss = subject.step(normalised, labels.to(device))
        assert step_loss is not None
        loss += step_loss.item()
        trained += len(labels)
    finish(device)
    return trained / (time.perf_counter() - started)


class _LibrosaClips(Dataset[tuple[Tensor, int]]):
    """Clips that are read, and their features computed, on each access."""

    def __init__(self, clips: list[tuple[Path, int]]) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        path, label = self.clips[place]
        samples, _ = soundfile.read(path, dtype="float32")
        return torch.from_numpy(features(samples, SPEC)), label
