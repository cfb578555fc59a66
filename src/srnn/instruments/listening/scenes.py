# SPDX-License-Identifier: MPL-2.0
"""Scenes: streams in which it is known when each word is said.

Legend: N clips, S samples of a clip, n samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from srnn.data.corpus import Corpus
from srnn.data.labels import SILENCE
from srnn.data.silence import Background
from srnn.features.reference import MelSpec
from srnn.randomness import Purpose, generator
from srnn.training.sources import as_floats
from srnn.training.waveforms import Waveforms

QUIET = 1e-3
"""Root mean square of the background of a quiet scene (-60 dB of full scale)."""

_GAPS = (0.5, 2.0)  # seconds between two clips: the shortest and the longest
_ENDED = 0.95  # of its energy: when a word counts as said


class Utterance(NamedTuple):
    """A word in a stream.

    Attributes
    ----------
    start, end : float
        Of its recording in the stream (s).
    said : float
        When 95 % of the energy of the recording are over (s).
    label, word : str
    """

    start: float
    end: float
    said: float
    label: str
    word: str


@dataclass(frozen=True)
class Scene:
    """The words of a partition, one after the other, on background noise, another for each.

    Attributes
    ----------
    snr : float or None
        Signal-to-noise ratio: the power of each recording relative to that of the background
        around it (dB). None: the background is quiet, see `QUIET`.
    utterances : tuple of Utterance
        All words, in order of time.
    duration : float
        Length of the stream (s).
    """

    snr: float | None
    utterances: tuple[Utterance, ...]
    duration: float
    _waveforms: Waveforms
    _order: Tensor
    _gaps: Tensor  # (N,): samples before each clip
    _background: tuple[Tensor, ...]  # (n,): stretches of recordings
    _seed: int

    def __iter__(self) -> Iterator[Tensor]:
        """Yield the stream in blocks (n,), each time the same."""
        rng = generator(Purpose.SCENE, self._seed, 1)
        size = self._waveforms.shape[1]
        for index, gap in zip(self._order, self._gaps.tolist(), strict=True):
            clip = as_floats(self._waveforms[index[None]])[0]
            block = self._noise(rng, gap + size, clip)
            block[gap:] += clip
            yield block.clamp_(-1, 1)

    def _noise(self, rng: np.random.Generator, length: int, clip: Tensor) -> Tensor:
        """Return background noise (n,) for a clip; zeros without background recordings."""
        if not self._background:
            return torch.zeros(length)
        recording = self._background[rng.integers(len(self._background))]
        start = int(rng.integers(len(recording)))
        noise = recording[(start + torch.arange(length)) % len(recording)]
        rms = float(noise.square().mean().sqrt())
        wanted = QUIET
        if self.snr is not None:
            wanted = float(clip.square().mean().sqrt()) * 10 ** (-self.snr / 20)
        return noise * (wanted / rms) if rms > 0 else noise


def lay(
    corpus: Corpus, partition: str, spec: MelSpec, *, snr: float | None = None, seed: int = 0
) -> Scene:
    """Return a scene of all words of a partition, in random order and with random gaps.

    Parameters
    ----------
    corpus : Corpus
    partition : str
    spec : MelSpec
        Its size and sample rate are those of the clips.
    snr : float, optional
        See `Scene`.
    seed : int >= 0
        Of the order, the gaps and the noise.
    """
    clips = [clip for clip in corpus.partitions[partition] if corpus.labels[clip.label] != SILENCE]
    waveforms = Waveforms(corpus.packs_of(partition)[:1], clips, spec.size, spec.sample_rate)
    rng = generator(Purpose.SCENE, seed, 0)
    order = torch.from_numpy(rng.permutation(len(clips)))
    low, high = (round(seconds * spec.sample_rate) for seconds in _GAPS)
    gaps = torch.from_numpy(rng.integers(low, high, len(clips), endpoint=True))
    utterances, position = [], 0
    for index, gap in zip(order, gaps.tolist(), strict=True):
        start = position + gap
        position = start + spec.size
        energy = as_floats(waveforms[index[None]])[0].double().square().cumsum(0)
        over = int(torch.searchsorted(energy, _ENDED * energy[-1])) if energy[-1] > 0 else 0
        begin, end, said = (each / spec.sample_rate for each in (start, position, start + over))
        clip = clips[int(index)]
        utterances.append(Utterance(begin, end, said, corpus.labels[clip.label], clip.word))
    duration = position / spec.sample_rate
    noises = tuple(background_of(corpus, partition, spec.sample_rate))
    return Scene(snr, tuple(utterances), duration, waveforms, order, gaps, noises, seed)


def background_of(corpus: Corpus, partition: str, sample_rate: int) -> list[Tensor]:
    """Return a partition's stretches of the background recordings, each of shape (n,)."""
    pack, device = corpus.packs[partition], torch.device("cpu")
    return [
        Background([(pack, stretch)], 1, sample_rate, device).samples
        for stretch in corpus.background(partition)
    ]
