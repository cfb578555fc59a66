# SPDX-License-Identifier: MPL-2.0
"""What a report shows of a run: its files, and one pass over a partition.

Legend: N clips, K classes, L hidden layers, H neurons, S samples of a clip.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srnn.config import Config
from srnn.data.corpus import Clip, Corpus
from srnn.data.labels import keywords
from srnn.network.layers import AdaptiveLIF
from srnn.network.model import Output, SpikingNetwork
from srnn.runs.checkpoint import Checkpoint, checkpoint_path, load_checkpoint
from srnn.runs.compatibility import transfer
from srnn.runs.directory import RunDirectory
from srnn.runs.evaluation import Partition, corpus_of, evaluate_corpus
from srnn.runs.parts import network_of
from srnn.runs.recogniser import Recogniser
from srnn.runs.restore import parameters_of, restore_spotter
from srnn.runs.results import Json, metrics_of, testing_of
from srnn.training.batch import Batch
from srnn.training.evaluation import Evaluation
from srnn.training.sources import as_floats
from srnn.training.spotter import Spotter
from srnn.training.waveforms import Waveforms


@dataclass(frozen=True)
class Run:
    """A run, by its files.

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
    time_constants_before : dict of arrays
        As of `time_constants`, before training.
    parameters : int
        Number of parameters of the network in training.
    """

    name: str
    recogniser: Recogniser
    checkpoint: Checkpoint
    metrics: list[Json]
    test: Json | None
    time_constants_before: dict[str, NDArray[np.float32]]
    parameters: int

    @property
    def config(self) -> Config:
        """The configuration."""
        return self.recogniser.config

    @property
    def depends_on_batch(self) -> bool:
        """Whether features are normalised by those of the batch that a clip is in."""
        return self.recogniser.spotter.normaliser.scale is None


@dataclass(frozen=True)
class ClassifiedClip:
    """A clip and its predicted label.

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
    wrong : tuple of ClassifiedClip
        The clips most surely wrong, the surest first.
    typical : ClassifiedClip or None
        A recognised keyword with the median number of spikes; None where none is recognised.
    """

    evaluation: Evaluation
    place: Path
    firing: tuple[NDArray[np.float64], ...]
    wrong: tuple[ClassifiedClip, ...]
    typical: ClassifiedClip | None

    @property
    def mean_firing(self) -> tuple[NDArray[np.float64], ...]:
        """Mean spikes per time step of each neuron over all clips, (H,) for each layer."""
        weights = np.array(self.evaluation.counts) / sum(self.evaluation.counts)
        return tuple(np.nan_to_num(each).T @ weights for each in self.firing)


def read_run(path: Path) -> Run:
    """Read a run directory, a checkpoint file or a network of the package.

    Raises
    ------
    InputError
        If there is none, or a file of it is damaged.
    """
    file = checkpoint_path(path)
    checkpoint = load_checkpoint(file)
    directory = RunDirectory(path)
    is_run = path.is_dir()
    init = load_checkpoint(directory.init) if is_run and directory.init.exists() else None
    return Run(
        path.resolve().name if is_run else file.stem,
        Recogniser(checkpoint, str(file)),
        checkpoint,
        metrics_of(directory) if is_run and directory.metrics.exists() else [],
        testing_of(directory) if is_run and directory.test.exists() else None,
        time_constants(_before_training(checkpoint, init)),
        parameters_of(checkpoint, str(file)),
    )


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
    confidences = np.array(evaluation.confidences)
    surest = np.argsort(np.where(predicted != labels, -confidences, 1), kind="stable")
    wrong = surest[: min(max_wrong, int((predicted != labels).sum()))]
    chosen = [*wrong.tolist(), *_typical(counter.spikes(), labels, predicted, recogniser.labels)]
    some = [(clips[index], int(predicted[index]), float(confidences[index])) for index in chosen]
    classified = _classified(recogniser, corpus, partition, some)
    return Measured(
        evaluation,
        corpus.place,
        counter.firing(),
        tuple(classified[: len(wrong)]),
        classified[-1] if len(classified) > len(wrong) else None,
    )


class _Counter:
    """Collects the spikes of all clips, batch by batch."""

    def __init__(self, sizes: Sequence[int], classes: int) -> None:
        self._fired = [torch.zeros(classes, size, dtype=torch.float64) for size in sizes]
        self._clips = torch.zeros(classes, dtype=torch.float64)
        self._spikes: list[Tensor] = []

    def __call__(self, batch: Batch, output: Output) -> None:
        labels = batch.labels.cpu()
        for fired, spikes in zip(self._fired, output.hidden, strict=True):
            fired.index_add_(0, labels, spikes.mean(dim=0).cpu().double())
        self._clips += torch.bincount(labels, minlength=len(self._clips))
        self._spikes.append(output.spikes.sum(dim=0).cpu())

    def firing(self) -> tuple[NDArray[np.float64], ...]:
        """Return the mean spikes per time step of each neuron by class, (K, H) for each layer."""
        return tuple((each / self._clips[:, None]).numpy() for each in self._fired)

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


def _classified(
    recogniser: Recogniser,
    corpus: Corpus,
    partition: Partition,
    chosen: Sequence[tuple[Clip, int, float]],
) -> list[ClassifiedClip]:
    """Read the waveforms of some clips, given with their predicted labels and probabilities."""
    if not chosen:
        return []
    config, labels = recogniser.config, recogniser.labels
    size, rate = config.srnn.size, config.srnn.sample_rate
    clips = [clip for clip, _, _ in chosen]
    waveforms = Waveforms(corpus.packs_of(partition), clips, size, rate)
    samples = as_floats(waveforms[torch.arange(len(clips))]).numpy()
    return [
        ClassifiedClip(clip.name, each, labels[clip.label], labels[predicted], confidence)
        for each, (clip, predicted, confidence) in zip(samples, chosen, strict=True)
    ]


def classify_file(recogniser: Recogniser, file: Path) -> ClassifiedClip:
    """Return a recording of the user's, its loudest stretch where it is longer than a clip.

    Raises
    ------
    InputError
        If the file is no recording.
    """
    samples = recogniser.waveform(file)
    prediction = recogniser.predict_waveform(samples)
    return ClassifiedClip(file.name, samples, None, prediction.label, prediction.probability)


def features_of(run: Run, clip: ClassifiedClip) -> NDArray[np.float32]:
    """Return the features of a clip, those of the first channel, shape (T, M)."""
    features = run.recogniser.extract(torch.from_numpy(clip.samples)[None])
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


def _before_training(checkpoint: Checkpoint, init: Checkpoint | None) -> SpikingNetwork:
    """Return the network that training started from, without `srnn.firing_start`.

    Its weights are drawn from the seed, and then those of ``--init`` are taken over.
    """
    config, labels = checkpoint.parsed_config(), tuple(checkpoint.labels)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(config.srnn.seed)
        network = network_of(config, len(labels))
    if init:
        trained = restore_spotter(checkpoint, "checkpoint")
        transfer(init, Spotter(trained.normaliser, network), config, labels)
    return network
