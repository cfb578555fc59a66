# SPDX-License-Identifier: MPL-2.0
"""What a report tells of a run: its files, and one pass over a partition.

Legend: N clips, K classes, L hidden layers, H neurons, S samples of a clip.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.config import Config
from srnn.data.corpus import Clip, Corpus
from srnn.data.labels import keywords
from srnn.errors import InputError
from srnn.network.layers import AdaptiveLIF
from srnn.network.model import Output, SpikingNetwork
from srnn.runs.checkpoint import Checkpoint, checkpoint_path, load_checkpoint
from srnn.runs.directory import RunDirectory
from srnn.runs.evaluation import Partition, corpus_of, evaluate_corpus
from srnn.runs.parts import network_of
from srnn.runs.recogniser import Recogniser
from srnn.runs.restore import restore_spotter
from srnn.training.batch import Batch
from srnn.training.evaluation import Evaluation
from srnn.training.sources import as_floats
from srnn.training.waveforms import Waveforms

Json = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A run, as its files tell.

    Attributes
    ----------
    name : str
    recogniser : Recogniser
    checkpoint : Checkpoint
        Its best one.
    metrics : list of dict
        Content of ``metrics.jsonl``; empty where there is only a checkpoint.
    test : dict or None
        Content of ``test.json``.
    initial : SpikingNetwork
        The network before training.
    """

    name: str
    recogniser: Recogniser
    checkpoint: Checkpoint
    metrics: list[Json]
    test: Json | None
    initial: SpikingNetwork

    @property
    def config(self) -> Config:
        """The configuration."""
        return self.recogniser.config

    @property
    def parameters(self) -> int:
        """Number of parameters of the network in training."""
        return sum(each.numel() for each in self.initial.parameters())


@dataclass(frozen=True)
class Heard:
    """A clip, and what the network made of it.

    Attributes
    ----------
    name : str
        Its recording.
    samples : array, shape (S,), float32 in [-1, 1)
    label : str or None
        The true label; None: unknown, as of a file of the user's.
    predicted : str
    probability : float
        That of the predicted label.
    """

    name: str
    samples: NDArray[np.float32]
    label: str | None
    predicted: str
    probability: float


@dataclass(frozen=True)
class Measured:
    """One pass over a partition.

    Attributes
    ----------
    evaluation : Evaluation
    place : Path
        The data set.
    firing : tuple of arrays of shape (K, H), one a hidden layer
        Mean spikes per time step of each neuron on the clips of each class; NaN without clips.
    wrong : tuple of Heard
        The clips most surely wrong, the surest first.
    typical : Heard or None
        A recognised keyword with the median number of spikes; None where none is recognised.
    """

    evaluation: Evaluation
    place: Path
    firing: tuple[NDArray[np.float64], ...]
    wrong: tuple[Heard, ...]
    typical: Heard | None

    @property
    def mean_firing(self) -> tuple[NDArray[np.float64], ...]:
        """Mean spikes per time step of each neuron over all clips, (H,) for each layer."""
        weights = np.array(self.evaluation.counts) / sum(self.evaluation.counts)
        return tuple(np.nan_to_num(each).T @ weights for each in self.firing)


def read_run(path: Path) -> Run:
    """Read a run directory, or a checkpoint file.

    Raises
    ------
    InputError
        If there is none, or a file of it is damaged.
    """
    file = checkpoint_path(path)
    checkpoint = load_checkpoint(file)
    recogniser = Recogniser(checkpoint, str(file))
    directory = RunDirectory(path)
    metrics, test, initial = [], None, None
    if path.is_dir():
        if directory.metrics.exists():
            lines = directory.metrics.read_text("utf-8").splitlines()
            metrics = [_json(line, directory.metrics) for line in lines]
        if directory.test.exists():
            test = _json(directory.test.read_text("utf-8"), directory.test)
        if directory.init.exists():
            first = load_checkpoint(directory.init)
            initial = restore_spotter(first, str(directory.init)).network
    name = path.resolve().name if path.is_dir() else file.stem
    return Run(name, recogniser, checkpoint, metrics, test, initial or _initial(recogniser))


def measure(run: Run, partition: Partition, dataroot: Path | None, max_wrong: int) -> Measured:
    """Evaluate a run on a partition, and look at its clips.

    Raises
    ------
    InputError
        If there is no data set, or no clip in the partition.
    """
    recogniser = run.recogniser
    corpus = corpus_of(recogniser, partition, dataroot, "plain")
    counter = _Counter(recogniser.spotter.network.hidden_sizes, len(recogniser.labels))
    evaluation = evaluate_corpus(recogniser, corpus, partition, observe=counter)
    clips = corpus.partitions[partition]
    predicted = np.array(evaluation.predicted)
    labels = np.array([clip.label for clip in clips])
    sureness = counter.sureness()
    surest = np.argsort(np.where(predicted != labels, -sureness, 1), kind="stable")
    wrong = surest[: min(max_wrong, int((predicted != labels).sum()))]
    chosen = [*wrong.tolist(), *_typical(counter.spikes(), labels, predicted, recogniser.labels)]
    heard = _heard(recogniser, corpus, partition, clips, chosen, evaluation.predicted, sureness)
    return Measured(
        evaluation,
        corpus.place,
        counter.firing(),
        tuple(heard[: len(wrong)]),
        heard[-1] if len(heard) > len(wrong) else None,
    )


class _Counter:
    """Collects spikes and probabilities of all clips, batch by batch."""

    def __init__(self, sizes: Sequence[int], classes: int) -> None:
        self._fired = [torch.zeros(classes, size, dtype=torch.float64) for size in sizes]
        self._clips = torch.zeros(classes, dtype=torch.float64)
        self._sureness: list[Tensor] = []
        self._spikes: list[Tensor] = []

    def __call__(self, batch: Batch, output: Output) -> None:
        labels = batch.labels.cpu()
        for fired, spikes in zip(self._fired, output.hidden, strict=True):
            fired.index_add_(0, labels, spikes.mean(dim=0).cpu().double())
        self._clips += torch.bincount(labels, minlength=len(self._clips))
        self._sureness.append(output.log_probabilities.amax(dim=1).exp().cpu())
        self._spikes.append(output.spikes.sum(dim=0).cpu())

    def firing(self) -> tuple[NDArray[np.float64], ...]:
        """Return the mean spikes per time step of each neuron by class, (K, H) for each layer."""
        return tuple((each / self._clips[:, None]).numpy() for each in self._fired)

    def sureness(self) -> NDArray[np.float32]:
        """Return the probability of the predicted label of each clip, (N,)."""
        return torch.cat(self._sureness).numpy()

    def spikes(self) -> NDArray[np.float32]:
        """Return the spikes of each clip, (N,)."""
        return torch.cat(self._spikes).numpy()


def _typical(
    spikes: NDArray[np.float32],
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    names: Sequence[str],
) -> list[int]:
    """Return the index of the recognised keyword with the median number of spikes, if any."""
    words = [index for index, name in enumerate(names) if name in keywords(tuple(names))]
    right = np.flatnonzero((predicted == labels) & np.isin(labels, words))
    if not len(right):
        return []
    ordered = right[np.argsort(spikes[right], kind="stable")]
    return [int(ordered[len(ordered) // 2])]


def _heard(
    recogniser: Recogniser,
    corpus: Corpus,
    partition: Partition,
    clips: Sequence[Clip],
    chosen: Sequence[int],
    predicted: Sequence[int],
    sureness: NDArray[np.float32],
) -> list[Heard]:
    """Read the waveforms of some clips."""
    if not chosen:
        return []
    config, labels = recogniser.config, recogniser.labels
    some = [clips[index] for index in chosen]
    size, rate = config.srnn.size, config.srnn.sample_rate
    waveforms = Waveforms(corpus.packs_of(partition), some, size, rate)
    samples = as_floats(waveforms[torch.arange(len(some))]).numpy()
    return [
        Heard(clip.name, each, labels[clip.label], labels[predicted[index]], float(sureness[index]))
        for clip, each, index in zip(some, samples, chosen, strict=True)
    ]


def hear(recogniser: Recogniser, file: Path) -> Heard:
    """Return a recording of the user's, its loudest stretch where it is longer than a clip.

    Raises
    ------
    InputError
        If the file is no recording.
    """
    samples = recogniser.waveform(file)
    prediction = recogniser.predict_waveform(samples)
    return Heard(file.name, samples, None, prediction.label, prediction.probability)


def features_of(run: Run, heard: Heard) -> NDArray[np.float32]:
    """Return the features of a clip, those of the first channel, shape (T, M)."""
    features = run.recogniser.extract(torch.from_numpy(heard.samples)[None])
    first: NDArray[np.float32] = features[0, 0].numpy(force=True)
    return first


def time_constants(network: SpikingNetwork) -> dict[str, NDArray[np.float32]]:
    """Return the time constants (time steps) by name and layer, such as "tau_mem, layer 1"."""
    found = {}
    for number, layer in enumerate(network.hidden, start=1):
        assert isinstance(layer, AdaptiveLIF)
        parameters = {name: getattr(layer, name) for name in layer.neuron.learnable}
        for name, values in layer.neuron.time_constants(parameters).items():
            found[f"{name}, layer {number}"] = values.numpy(force=True)
    found["tau_mem, readout"] = network.readout.tau_mem.numpy(force=True)
    return found


def _initial(recogniser: Recogniser) -> SpikingNetwork:
    """Draw the weights that training without ``--init`` starts from."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(recogniser.config.srnn.seed)
        return network_of(recogniser.config, len(recogniser.labels))


def _json(text: str, file: Path) -> Json:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InputError(f"{file}: expected JSON, found {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{file}: expected JSON objects, found {type(found).__name__}")
    return found
