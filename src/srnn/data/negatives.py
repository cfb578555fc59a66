# SPDX-License-Identifier: MPL-2.0
"""Negatives: parts of long recordings without keywords, as training clips of `_unknown_`.

Connected speech holds many more words than the word folders of a data set, and their transitions.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BeforeValidator, Strict, StringConstraints
from torch import Tensor

from srnn.data.audio import UnreadableError
from srnn.data.corpus import Clip, Corpus, with_clips
from srnn.data.dataset import DataSet, Entry, File
from srnn.data.labels import UNKNOWN
from srnn.data.pack.file import Pack
from srnn.data.selection import select_recordings
from srnn.data.silence import Background, Noise
from srnn.errors import InputError
from srnn.randomness import Purpose, generator
from srnn.settings import MANY, Keys, key, noun

SYNTHETIC = "synthetic"
"""The value of the key that names sentences of the speech synthesiser."""

WORD = "_negatives_"
"""The word of these clips."""

_SHORTEST = 0.25  # of a part (fraction of the length of a clip); the longest is a whole clip


_Name = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$"),
    noun("name without control characters"),
]


def _several(value: Any) -> Any:
    """Return a list for what may be a single string; an empty one names nothing."""
    return [value] if isinstance(value, str) and value else value or []


class NegativeKeys(Keys):
    """Recordings without keywords."""

    negatives: Annotated[tuple[_Name, ...], Strict(False), BeforeValidator(_several)] = key(
        (),
        "negatives: long recordings without keywords, such as connected speech: folders, files "
        "or patterns; `synthetic`: sentences of common words, spoken by the speech synthesiser. "
        "Parts of them are training clips of `_unknown_`. A single string is a list of one",
        idle_if={"data.unknown": False},
    )
    negative_clips: int = key(
        2600,
        "number of clips cut from `negatives`, at random places, a quarter of a clip to a whole "
        "clip long",
        "clips",
        ge=1,
        le=MANY,
        idle_if={"data.negatives": ()},
    )


def read(negatives: str) -> DataSet:
    """List the recordings of a folder, a file or a pattern.

    Raises
    ------
    InputError
        There are none, or they cannot be read.
    """
    try:
        files = select_recordings(negatives)
        states = [file.stat() for file in files]
    except UnreadableError as error:
        raise InputError(f"data.negatives: {error}") from error
    except OSError as error:
        raise InputError(
            f"data.negatives: expected recordings in {negatives!r}, found {error.strerror}"
        ) from error
    folder = Path(os.path.commonpath([file.absolute().parent for file in files]))
    found = [
        File(
            file.absolute().relative_to(folder).as_posix(),
            state.st_size,
            state.st_mtime_ns,
            state.st_mode,
        )
        for file, state in zip(files, states, strict=True)
    ]
    entries = [Entry(file.name, WORD, "training") for file in found]
    return DataSet(folder, folder, tuple(found), tuple(entries))


def with_negatives(
    corpus: Corpus, packs: Sequence[Pack], count: int, size: int, sample_rate: int, seed: int
) -> Corpus:
    """Return a corpus with parts of recordings as training clips of `_unknown_`.

    Parameters
    ----------
    corpus : Corpus
        With `_unknown_` among its labels.
    packs : sequence of Pack
        The recordings; each is cut in proportion to its duration.
    count : int > 0
        Number of clips.
    size, sample_rate : int
        Length of a clip in samples, and their rate (Hz).
    seed : int >= 0
    """
    rng = generator(Purpose.NEGATIVES, seed)
    recordings = [(pack, each) for pack in packs for each in pack.recordings.values()]
    seconds = np.array([each.frames / each.sample_rate for _, each in recordings])
    chosen = np.sort(rng.choice(len(recordings), count, p=seconds / seconds.sum()))
    lengths, places = rng.random((2, count))
    lengths = (_SHORTEST + (1 - _SHORTEST) * lengths) * size / sample_rate
    label = corpus.labels.index(UNKNOWN)
    clips = []
    for index, length, place in zip(chosen, lengths, places, strict=True):
        pack, recording = recordings[index]
        frames = min(round(length * recording.sample_rate), recording.frames)
        start = round(place * (recording.frames - frames))
        clips.append(Clip(pack.folder, recording.name, label, WORD, start, frames))
    return with_clips(corpus, clips, packs)


def in_memory(
    corpus: Corpus, size: int, sample_rate: int, device: torch.device
) -> tuple[Background, Tensor] | None:
    """Return the whole recordings of negatives, and which of them each training clip is part of.

    Parameters
    ----------
    corpus : Corpus
    size, sample_rate : int
        Length of the cuts in samples, and their rate (Hz).
    device : torch.device

    Returns
    -------
    (Background, Tensor of shape (clips,), int64), or None where there are no negatives
        -1 where a clip is none of them.
    """
    packs = {pack.folder: pack for pack in corpus.added}
    places: dict[Path, int] = {}
    recordings: list[tuple[Pack, Noise]] = []
    sources = []
    for clip in corpus.partitions["training"]:
        if clip.word == WORD and clip.path not in places:
            places[clip.path] = len(recordings)
            pack = packs[clip.folder]
            found = pack.recordings[clip.name]
            recordings.append((pack, Noise(clip.name, 0, found.frames, found.sample_rate)))
        sources.append(places[clip.path] if clip.word == WORD else -1)
    if not recordings:
        return None
    background = Background(recordings, size, sample_rate, device)
    return background, torch.tensor(sources, device=device)
