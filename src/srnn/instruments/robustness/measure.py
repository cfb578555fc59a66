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

from srnn.data.corpus import Corpus
from srnn.data.labels import SILENCE
from srnn.data.levels import FULL_SCALE
from srnn.data.official import has_background, with_official_silence, with_silence_of
from srnn.data.preparation import make_evaluation_corpus
from srnn.data.silence import Background
from srnn.errors import InputError
from srnn.features.batched import MelFeatures
from srnn.features.reference import MelSpec
from srnn.instruments.robustness.alterations import Alter, Condition, conditions, unaltered
from srnn.runs.evaluation import Partition
from srnn.runs.official import official
from srnn.runs.parts import spec_of, task_of
from srnn.runs.recogniser import Recogniser
from srnn.runs.resources import limit_threads, resources
from srnn.training.evaluation import evaluate
from srnn.training.examples import make_examples
from srnn.training.sources import Computed
from srnn.training.spotter import Spotter
from srnn.training.waveforms import Waveforms

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

    def __init__(self, waveforms: Waveforms, alter: Alter) -> None:
        self.shape = waveforms.shape
        self._waveforms = waveforms
        self._alter = alter

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Return the waveforms at indices (B,), shape (B, S), float32."""
        waveforms = self._waveforms[indices]
        if not waveforms.is_floating_point():
            waveforms = waveforms / FULL_SCALE
        return self._alter(waveforms, indices)


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
    config, labels = recogniser.config, recogniser.labels
    spec = spec_of(config)
    corpus = make_evaluation_corpus(task_of(config), labels, dataroot, partition)
    if not corpus.partitions[partition]:
        raise InputError(f"--partition {partition}: expected clips in {corpus.place}, found none")
    pack, places = corpus.packs[partition], corpus.background(partition)
    background = Background(pack, places, spec.size, spec.sample_rate, _CPU)
    spotter = copy.deepcopy(recogniser.spotter).to(_CPU)
    peaks = PEAKS if has_background(corpus, partition) else ()
    every = conditions(background, spec.sample_rate)
    if peaks:
        corpus = with_official_silence(corpus, partition, spec.size, spec.sample_rate)
    with resources(config, _CPU), _bar(len(every) + len(peaks)) as bar:
        found = []
        for condition in every:
            found.append(_under(condition, spotter, corpus, partition, spec))
            bar.update()
        for peak in peaks:
            silence = with_silence_of(corpus, partition, spec.size, spec.sample_rate, peak)
            condition = Condition(PEAK, peak, "of full scale", unaltered)
            found.append(_under(condition, spotter, silence, partition, spec)._replace(words=None))
            bar.update()
    return found


def _under(
    condition: Condition, spotter: Spotter, corpus: Corpus, partition: str, spec: MelSpec
) -> Measurement:
    """Return the accuracies on a partition whose waveforms are altered."""
    clips = corpus.partitions[partition]
    (examples,) = make_examples(corpus, [partition], spec, _CPU, memory_budget=0).values()
    waveforms = Waveforms(corpus.packs_of(partition), clips, spec.size, spec.sample_rate)
    source = Computed(_Altered(waveforms, condition.alter), MelFeatures(spec))
    altered = replace(examples, source=source)
    result = evaluate(spotter, altered, corpus.labels, partition, _BATCH, _CPU)
    weighted = official(result, clips)
    return Measurement(
        condition.kind,
        condition.value,
        condition.unit,
        str(condition),
        weighted.accuracy_without_silence,
        weighted.per_class.get(SILENCE),
    )


def _bar(total: int) -> tqdm:
    return tqdm(desc="conditions", total=total, leave=False, disable=None)
