# SPDX-License-Identifier: MPL-2.0
"""Evaluates a network on altered recordings.

Legend: B batch, N clips, S samples of a clip.
"""

import copy
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from srnn.bars import progress_bar
from srnn.data.corpus import Corpus
from srnn.data.labels import SILENCE
from srnn.data.official import has_background, with_silence_of
from srnn.data.silence import Background
from srnn.features.reference import MelSpec
from srnn.instruments.robustness.alterations import Alter, Condition, conditions, unaltered
from srnn.runs.evaluation import Partition, corpus_of
from srnn.runs.official import official
from srnn.runs.parts import spec_of
from srnn.runs.recogniser import Recogniser
from srnn.runs.resources import limit_threads, resources
from srnn.training.evaluation import evaluate
from srnn.training.examples import Examples, make_examples
from srnn.training.sources import Computed, Indexed, as_floats
from srnn.training.spotter import Spotter

PEAK = "peak of silence"
PEAKS = (0.0, 0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 1.0)
"""Peaks at which silence is measured (fraction of full scale)."""

_CPU = torch.device("cpu")
_BATCH = 128  # clips


class Measurement(NamedTuple):
    """Accuracies under one condition.

    Attributes
    ----------
    kind, value, unit
        Of the condition, see `Condition`; of silence at a given peak, `PEAK`.
    name : str
        The condition in words.
    words : float or None
        Mean accuracy of the labels but silence, by the official protocol; None where no word was
        measured.
    silence : float or None
        Fraction of the clips of silence that were recognised; None where there are none.
    """

    kind: str
    value: float
    unit: str
    name: str
    words: float | None
    silence: float | None


class _Altered:
    """Waveforms that are altered when they are read; indexed like `Waveforms`."""

    def __init__(self, waveforms: Indexed | Tensor, alter: Alter) -> None:
        self.shape = waveforms.shape[0], waveforms.shape[1]
        self._waveforms = waveforms
        self._alter = alter

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Return the waveforms at indices (B,), shape (B, S), float32."""
        return self._alter(as_floats(self._waveforms[indices]), indices)


def measure(
    recogniser: Recogniser, partition: Partition = "validation", dataroot: Path | None = None
) -> list[Measurement]:
    """Return the accuracies of a network on altered recordings, the unaltered ones first.

    Parameters
    ----------
    recogniser : Recogniser
    partition : "testing" or "validation"
    dataroot : Path, optional
        Where another data set or a test archive lies; the one trained on if not given.

    Raises
    ------
    InputError
        If there is no data set, or no clip in the partition.
    """
    limit_threads()
    config = recogniser.config
    spec = spec_of(config)
    corpus = corpus_of(recogniser, partition, dataroot, "official")
    pack = corpus.packs[partition]
    places = [(pack, stretch) for stretch in corpus.background(partition)]
    background = Background(places, spec.size, spec.sample_rate, _CPU)
    spotter = copy.deepcopy(recogniser.spotter).to(_CPU)
    peaks = PEAKS if has_background(corpus, partition) else ()
    every = conditions(background, spec.sample_rate)
    with resources(config, _CPU), _bar(len(every) + len(peaks)) as bar:
        found = []
        examples = _examples(corpus, partition, spec)
        for condition in every:
            found.append(_under(condition, spotter, corpus, partition, examples))
            bar.update()
        for peak in peaks:
            silence = with_silence_of(corpus, partition, spec.size, spec.sample_rate, peak)
            condition = Condition(PEAK, peak, "of full scale", unaltered)
            examples = _examples(silence, partition, spec)
            measured = _under(condition, spotter, silence, partition, examples)
            found.append(measured._replace(words=None))
            bar.update()
    return found


def _examples(corpus: Corpus, partition: str, spec: MelSpec) -> Examples:
    """Return the examples of a partition, whose features are computed for each batch."""
    return make_examples(corpus, [partition], spec, _CPU, memory_budget=0)[partition]


def _under(
    condition: Condition, spotter: Spotter, corpus: Corpus, partition: str, examples: Examples
) -> Measurement:
    """Return the accuracies on a partition whose waveforms are altered."""
    plain = examples.source
    assert isinstance(plain, Computed)
    source = Computed(_Altered(plain.waveforms, condition.alter), plain.extract)
    altered = replace(examples, source=source)
    result = evaluate(spotter, altered, corpus.labels, partition, _BATCH, _CPU)
    weighted = official(result, corpus.partitions[partition])
    return Measurement(
        condition.kind,
        condition.value,
        condition.unit,
        str(condition),
        weighted.accuracy_without_silence,
        weighted.per_class.get(SILENCE),
    )


def _bar(total: int) -> tqdm:
    return progress_bar(desc="conditions", total=total)
