# SPDX-License-Identifier: MPL-2.0
"""Silence for evaluation: of all volumes, as in the official test archives, or of a given one.

The cuts do not depend on the seed of a run: all networks are measured on the same ones.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from srnn.data.corpus import Corpus, silence_clips_of
from srnn.data.labels import BACKGROUND, SILENCE
from srnn.data.partitions import PARTITIONS
from srnn.data.silence import cut, peaks_of
from srnn.randomness import Purpose, generator

CUTS = 100
"""Clips of silence that are cut from each background recording."""


def has_background(corpus: Corpus, partition: str) -> bool:
    """Whether silence can be cut for a partition, and the labels have it."""
    return SILENCE in corpus.labels and bool(corpus.background(partition))


def with_official_silence(corpus: Corpus, partition: str, size: int, sample_rate: int) -> Corpus:
    """Return a corpus whose silence in a partition has all volumes (`peaks_of`, "official").

    Parameters
    ----------
    corpus : Corpus
        With background recordings (`has_background`).
    partition : str
    size, sample_rate : int
        Length of a clip in samples, and their rate (Hz).
    """
    rng = _generator(partition, 0)
    draws = rng.random((CUTS * len(corpus.background(partition)), 2))
    return _with_silence(corpus, partition, size, sample_rate, peaks_of("official", draws))


def with_silence_of(
    corpus: Corpus, partition: str, size: int, sample_rate: int, peak: float
) -> Corpus:
    """Return a corpus whose partition is silence of one peak, and nothing else.

    Parameters
    ----------
    corpus, partition, size, sample_rate
        As of `with_official_silence`.
    peak : float
        From 0 to 1 (full scale), or `AS_RECORDED`.
    """
    peaks = np.full(CUTS * len(corpus.background(partition)), peak)
    silence = _with_silence(corpus, partition, size, sample_rate, peaks)
    clips = [clip for clip in silence.partitions[partition] if clip.word == BACKGROUND]
    return replace(corpus, partitions=corpus.partitions | {partition: tuple(clips)})


def _with_silence(
    corpus: Corpus, partition: str, size: int, sample_rate: int, peaks: NDArray[np.float64]
) -> Corpus:
    """Return a corpus with other clips of silence in a partition."""
    places = corpus.background(partition)
    cuts = cut(places, len(peaks), size, sample_rate, _generator(partition, 1))
    words = [clip for clip in corpus.partitions[partition] if clip.word != BACKGROUND]
    silence = silence_clips_of(corpus.packs[partition], corpus.labels, cuts, peaks)
    return replace(corpus, partitions=corpus.partitions | {partition: (*words, *silence)})


def _generator(partition: str, purpose: int) -> np.random.Generator:
    return generator(Purpose.PROTOCOL, PARTITIONS.index(partition), purpose)
