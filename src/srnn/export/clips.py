# SPDX-License-Identifier: MPL-2.0
"""Clips that an exported network is compared on, and their probabilities by this package.

Legend: N clips, S samples of a clip, C channels, T frames, M mel bands, K labels.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from srnn.data import audio
from srnn.data.levels import FULL_SCALE
from srnn.data.selection import select_recordings
from srnn.errors import InputError
from srnn.features.reference import cut
from srnn.runs.evaluation import corpus_of
from srnn.runs.recogniser import Recogniser
from srnn.training.spotter import Spotter
from srnn.training.waveforms import Waveforms

BATCH = 64
"""Clips that are classified at a time."""


class Clips(NamedTuple):
    """Clips.

    Attributes
    ----------
    samples : Tensor, shape (N, S), int16
        In multiples of 2^-15, at the sample rate of the network. Recordings that were resampled,
        or that have more bits, are rounded.
    labels : Tensor, shape (N,), int64, or None
        The true ones, if they are known.
    origin : str
        Where they are from, for messages.
    """

    samples: Tensor
    labels: Tensor | None
    origin: str

    @property
    def summary(self) -> str:
        """Their number and origin, for messages."""
        return f"{len(self.samples):,} clips: {self.origin}"

    def inputs(self, recogniser: Recogniser, with_features: bool) -> Tensor:
        """Return the inputs of a program, float32.

        If the program computes the features, they are the samples (N, S), in [-1, 1); else the
        features of the clips (N, C, T, M), not normalised.
        """
        if with_features:
            return self.samples.float() / FULL_SCALE
        return torch.cat([recogniser.extract(each) for each in self.samples.split(BATCH)])


@dataclass(frozen=True)
class Chosen:
    """The clips that a user has chosen for the comparison.

    Attributes
    ----------
    dataroot : Path, optional
        Where the data set lies whose validation clips they are; where the network was trained on
        it if not given.
    recordings : tuple of Path
        Files, folders and patterns: these instead, if there are any.
    count : int >= 1
        Maximum number of clips.
    """

    dataroot: Path | None = None
    recordings: tuple[Path, ...] = ()
    count: int = 200

    def clips(self, recogniser: Recogniser) -> Clips:
        """Return them; errors are those of `validation_clips` and `clips_of`."""
        if self.recordings:
            return clips_of(recogniser, self.recordings, self.count)
        return validation_clips(recogniser, self.dataroot, self.count)


def validation_clips(recogniser: Recogniser, dataroot: Path | None, count: int) -> Clips:
    """Return up to ``count`` clips of the validation partition, evenly spread over it.

    Parameters
    ----------
    recogniser : Recogniser
    dataroot : Path, optional
        Where the data set lies; where the network was trained on it if not given.
    count : int >= 1

    Raises
    ------
    InputError
        If there is no data set, or no clip in the partition.
    """
    try:
        corpus = corpus_of(recogniser, "validation", dataroot, "plain")
    except InputError as error:
        hint = "clips for the check: --dataroot names another data set, --clips recordings"
        raise InputError(f"{error} ({hint})") from error
    every = corpus.partitions["validation"]
    chosen = np.unique(np.linspace(0, len(every) - 1, min(count, len(every))).round().astype(int))
    clips = [every[index] for index in chosen]
    keys = recogniser.config.srnn
    packs = corpus.packs_of("validation")
    waveforms = Waveforms(packs, clips, keys.size, keys.sample_rate)
    samples = waveforms[torch.arange(len(clips))]
    labels = torch.tensor([clip.label for clip in clips])
    return Clips(_as_integers(samples), labels, f"the validation partition of {corpus.place}")


def clips_of(recogniser: Recogniser, names: Iterable[Path], count: int) -> Clips:
    """Return up to ``count`` clips of recordings; of a long one the loudest stretch.

    Parameters
    ----------
    recogniser : Recogniser
    names : iterable of Path
        Files, folders and patterns; see `srnn.data.selection.select_recordings`.
    count : int >= 1

    Raises
    ------
    InputError
        If one of them cannot be read.
    """
    keys = recogniser.config.srnn
    paths = [path for name in names for path in select_recordings(name)][:count]
    clips = [cut(audio.read(path, keys.sample_rate), keys.size) for path in paths]
    return Clips(_as_integers(torch.from_numpy(np.stack(clips))), None, "--clips")


@torch.inference_mode()
def probabilities(
    recogniser: Recogniser, samples: Tensor, spotter: Spotter | None = None
) -> Tensor:
    """Return the probabilities (N, K) of clips (N, S) that ``predict`` has.

    ``spotter`` replaces the network of the recogniser, if given.
    """
    spotter = spotter or recogniser.spotter
    batches = samples.split(BATCH)
    return torch.cat(
        [spotter(recogniser.extract(each)).log_probabilities.exp() for each in batches]
    )


def _as_integers(samples: Tensor) -> Tensor:
    if not samples.is_floating_point():
        return samples
    return (samples * FULL_SCALE).round().clamp(-FULL_SCALE, FULL_SCALE - 1).to(torch.int16)
