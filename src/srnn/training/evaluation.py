# SPDX-License-Identifier: MPL-2.0
"""Evaluation: one pass over a partition for accuracy, confusion matrix and firing rates."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from srnn.data.labels import SILENCE
from srnn.energy import Energy, EnergyKeys, Inference, energy_of
from srnn.errors import DivergenceError
from srnn.network.model import Operations, Output
from srnn.parallel import ALONE, Group
from srnn.training.batch import Batch
from srnn.training.examples import Examples
from srnn.training.spotter import Spotter

Json = dict[str, object]

Observer = Callable[[Batch, Output], None]
"""Receives each batch of an evaluation, and what the network made of it."""

_BINS = 15  # of probability


@dataclass(frozen=True)
class Evaluation:
    """The result of one pass over a partition.

    Attributes
    ----------
    partition : str
    labels : tuple of str
    confusion : tuple of tuples of int
        Clips by true label (rows) and predicted label (columns), in the order of ``labels``.
    loss : float or None
        Mean cross entropy (nats); None without clips.
    firing_rate : tuple of float, or None
        Spikes per neuron and time step of each hidden layer; None without clips.
    spikes : float or None
        Spikes of all hidden neurons for one clip; None without clips.
    operations : Operations or None
        Synaptic operations of spikes and inputs for one clip; None without clips.
    words : dict of tuple of two int
        Recognised clips and all clips, of each word and each background recording.
    held_out : frozenset of str
        Words, and background recordings without their folder, that were held out of training.
    predicted : tuple of int
        Index of the predicted label of each clip, in their order.
    confidences : tuple of float
        Probability of the predicted label of each clip.
    calibration_error : float or None
        Expected calibration error, see `expected_calibration_error`; None without clips.
    spikes_of_layers : tuple of float, or None
        Spikes of each hidden layer for one clip; None without clips.
    energy : Energy or None
        Operations, memory traffic and energy of one clip, beside those of other networks; None
        without clips.
    """

    partition: str
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    loss: float | None
    firing_rate: tuple[float, ...] | None
    spikes: float | None
    operations: Operations | None
    words: dict[str, tuple[int, int]]
    held_out: frozenset[str] = frozenset()
    predicted: tuple[int, ...] = ()
    confidences: tuple[float, ...] = ()
    calibration_error: float | None = None
    spikes_of_layers: tuple[float, ...] | None = None
    energy: Energy | None = None

    @property
    def counts(self) -> tuple[int, ...]:
        """Clips of each label."""
        return tuple(sum(row) for row in self.confusion)

    @property
    def hits(self) -> tuple[int, ...]:
        """Clips of each label that were recognised."""
        return tuple(row[index] for index, row in enumerate(self.confusion))

    @property
    def accuracy(self) -> float | None:
        """Fraction of the clips that were recognised; None without clips."""
        return _fraction(sum(self.hits), sum(self.counts))

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean accuracy of the labels that have clips, however many each has; None without clips.

        Guessing the most frequent label, or any other, gives one over the number of labels.
        """
        recalls = [recall for recall in self.per_class.values() if recall is not None]
        return sum(recalls) / len(recalls) if recalls else None

    @property
    def majority(self) -> str:
        """The label with most clips, the first of several."""
        return self.labels[self.counts.index(max(self.counts))]

    @property
    def majority_share(self) -> float | None:
        """Fraction of the clips that have this label: the accuracy of always naming it."""
        return _fraction(max(self.counts), sum(self.counts))

    @property
    def accuracy_without_silence(self) -> float | None:
        """Fraction of the clips with a word that were recognised; None without such clips."""
        rows = zip(self.labels, self.hits, self.counts, strict=True)
        words = [(hits, count) for label, hits, count in rows if label != SILENCE]
        return _fraction(sum(hits for hits, _ in words), sum(count for _, count in words))

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the accuracy; None without clips."""
        return wilson_interval(sum(self.hits), sum(self.counts))

    @property
    def per_class(self) -> dict[str, float | None]:
        """Accuracy of each label; None where it has no clips."""
        rows = zip(self.labels, self.hits, self.counts, strict=True)
        return {label: _fraction(hits, count) for label, hits, count in rows}

    @property
    def per_word(self) -> dict[str, float | None]:
        """Accuracy of each word and each background recording."""
        return {word: _fraction(hits, count) for word, (hits, count) in self.words.items()}

    @property
    def accuracy_of_held_out(self) -> float | None:
        """Fraction of the held-out clips that were recognised; None without such clips."""
        held = [
            found for word, found in self.words.items() if word.rpartition("/")[2] in self.held_out
        ]
        return _fraction(sum(hits for hits, _ in held), sum(count for _, count in held))

    def to_json(self) -> Json:
        """Return what ``test.json`` and ``evaluate --json`` hold."""
        return {
            "partition": self.partition,
            "accuracy": self.accuracy,
            "interval": self.interval,
            "balanced_accuracy": self.balanced_accuracy,
            "majority_share": self.majority_share,
            "accuracy_without_silence": self.accuracy_without_silence,
            "accuracy_of_held_out": self.accuracy_of_held_out,
            "loss": self.loss,
            "calibration_error": self.calibration_error,
            "firing_rate": self.firing_rate,
            "spikes": self.spikes,
            "spikes_of_layers": self.spikes_of_layers,
            "operations": self.operations._asdict() if self.operations else None,
            "energy": self.energy.to_json() if self.energy else None,
            "labels": self.labels,
            "counts": dict(zip(self.labels, self.counts, strict=True)),
            "per_class": self.per_class,
            "confusion": self.confusion,
            "per_word": self.per_word,
        }

    def __str__(self) -> str:
        return "\n".join(self.summary())

    def summary(self) -> list[str]:
        """Return the main figures, in lines that fit into a log 80 columns wide."""
        if self.accuracy is None or self.interval is None or self.loss is None:
            return [f"{self.partition}: no clips"]
        low, high = self.interval
        return [
            f"{self.partition}: accuracy {self.accuracy:.2%}, "
            f"balanced accuracy {self.balanced_accuracy:.2%}",
            f"95 % interval {low:.2%} to {high:.2%}, loss {self.loss:.4f}",
            f"{sum(self.counts)} clips, {self.majority_share:.2%} of them {self.majority}",
        ]


def wilson_interval(hits: int, trials: int) -> tuple[float, float] | None:
    """Return the 95 % score interval of a proportion (Wilson 1927); None without trials."""
    from scipy.stats import binomtest  # imported late: it takes half a second

    if not trials:
        return None
    interval = binomtest(hits, trials).proportion_ci(0.95, "wilson")
    return float(interval.low), float(interval.high)


def expected_calibration_error(confidences: Tensor, hits: Tensor) -> float:
    """Return by how much the probability of the predicted label differs from its accuracy.

    The mean difference over 15 ranges of the probability, weighted by their clips (Guo et al. 2017,
    https://arxiv.org/abs/1706.04599, equation 5).

    Parameters
    ----------
    confidences : Tensor, shape (N,), N >= 1
        Probability of the predicted label of each clip.
    hits : Tensor, shape (N,), bool
        Whether it is right.
    """
    bins = (confidences * _BINS).long().clamp(max=_BINS - 1)
    excess = torch.zeros(_BINS, dtype=torch.float64)
    excess.index_add_(0, bins, confidences.double() - hits.double())
    return float(excess.abs().sum()) / len(hits)


@torch.inference_mode()
def evaluate(
    spotter: Spotter,
    examples: Examples,
    labels: Sequence[str],
    partition: str,
    batch_size: int,
    device: torch.device,
    held_out: Iterable[str] = (),
    costs: EnergyKeys | None = None,
    observe: Observer | None = None,
    group: Group = ALONE,
) -> Evaluation:
    """Run ``spotter`` over all examples, in their order, and read the results once at the end.

    ``held_out`` are the names of held-out words and background recordings, ``costs`` those of
    operations and memory accesses, the defaults if not given. Each process of ``group`` runs over
    its share; all return the same.

    Raises
    ------
    DivergenceError
        If the loss is not finite.
    """
    classes, count = len(labels), len(examples.labels)
    confusion = torch.zeros(classes, classes, dtype=torch.int64, device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    # 0 where another process has the clip: the sum over the processes is complete.
    predicted = torch.zeros(count, dtype=torch.int64, device=device)
    confidence = torch.zeros(count, device=device)
    network = spotter.network
    spikes = torch.zeros(len(network.hidden), dtype=torch.float64, device=device)
    last = torch.zeros_like(spikes)
    inputs = torch.zeros((), dtype=torch.int64, device=device)
    start = 0
    for batch in examples.batches(torch.arange(count), batch_size, device, group=group):
        output = spotter(batch.features)
        log_probabilities = output.log_probabilities
        best, found = log_probabilities.max(dim=1)
        first = start + batch.share.first
        predicted[first : first + len(found)] = found
        confidence[first : first + len(found)] = best.exp()
        start += batch.share.total
        confusion.index_put_((batch.labels, found), torch.ones_like(found), accumulate=True)
        loss += F.nll_loss(log_probabilities, batch.labels, reduction="sum")
        spikes += output.spikes.sum(dim=1)
        last += output.last_spikes.sum(dim=1)
        inputs += output.inputs.count_nonzero()
        if observe:
            observe(batch, output)
    for sums in (confusion, loss, predicted, confidence, spikes, last, inputs):
        group.all_reduce(sums)
    if not loss.isfinite():
        raise DivergenceError(f"{partition}: expected a finite loss, found {loss.item()}")
    _, steps, _ = examples.shape
    rows, held = tuple(tuple(row) for row in confusion.tolist()), frozenset(held_out)
    if not count:
        return Evaluation(partition, tuple(labels), rows, None, None, None, None, {}, held)
    predicted, confidence = predicted.cpu(), confidence.cpu()
    hits = predicted == examples.labels
    spikes_a_clip, last_a_clip = (tuple((each / count).tolist()) for each in (spikes, last))
    inference = Inference(steps, inputs.item() / count, spikes_a_clip, last_a_clip)
    sizes = network.hidden_sizes
    return Evaluation(
        partition,
        tuple(labels),
        rows,
        loss.item() / count,
        tuple(each / (steps * size) for each, size in zip(spikes_a_clip, sizes, strict=True)),
        sum(spikes_a_clip),
        network.operations(inference.inputs, inference.spikes, inference.last),
        _by_word(examples.words, hits.tolist()),
        held,
        tuple(predicted.tolist()),
        tuple(confidence.tolist()),
        expected_calibration_error(confidence, hits),
        inference.spikes,
        energy_of(network, inference, costs or EnergyKeys()),
    )


def _by_word(words: Sequence[str], hits: Sequence[bool]) -> dict[str, tuple[int, int]]:
    """Count hits and clips of each word, sorted."""
    found: dict[str, tuple[int, int]] = {}
    for word, hit in sorted(zip(words, hits, strict=True)):
        recognised, count = found.get(word, (0, 0))
        found[word] = recognised + hit, count + 1
    return found


def _fraction(hits: int, count: int) -> float | None:
    return hits / count if count else None
