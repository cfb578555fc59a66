# SPDX-License-Identifier: MPL-2.0
"""From recordings to features: librosa beside the batched features, and the packing of a corpus."""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from srnn.data.levels import FULL_SCALE
from srnn.data.pack.opening import open_pack
from srnn.data.sources.folder import source as folder
from srnn.features.batched import MelFeatures
from srnn.features.reference import features
from srnn.instruments.bench.plan import Plan
from srnn.instruments.bench.report import Record
from srnn.instruments.bench.subjects import SPEC
from srnn.instruments.bench.timing import Work, in_fresh_process, medians
from srnn.runs.resources import keep_freed_memory

_CLIPS = 32


def noise(rng: np.random.Generator) -> NDArray[np.int16]:
    """Return a clip of noise that swells and fades, 16-bit samples, shape (size,)."""
    time = np.arange(SPEC.size) / SPEC.size
    envelope = np.exp(-(((time - rng.uniform(0.3, 0.7)) / 0.15) ** 2))
    samples = 0.1 * envelope * rng.standard_normal(SPEC.size)
    return (samples.clip(-1, 1) * (FULL_SCALE - 1)).astype(np.int16)


def feature_records(device: torch.device, plan: Plan) -> list[Record]:
    """Return a record for librosa and one for the batched features, on one core or on a GPU."""
    return in_fresh_process(_feature_records, device, plan)


def _feature_records(device: torch.device, plan: Plan) -> list[Record]:
    keep_freed_memory()  # as in training
    rng = np.random.default_rng(0)
    clips = np.stack([noise(rng) for _ in range(_CLIPS)])
    waveforms = clips.astype(np.float32) / FULL_SCALE
    packed = torch.from_numpy(clips).to(device)
    batched = MelFeatures(SPEC).to(device)
    works = {
        "librosa": Work(lambda: [features(waveform, SPEC) for waveform in waveforms]),
        "batched": Work(lambda: batched(packed)),
    }
    taken = medians(works, device, rounds=plan.rounds, turn=plan.turn)
    return [
        {
            "features": name,
            "batch": 1 if name == "librosa" else _CLIPS,
            "clip_ms": 1e3 * seconds / _CLIPS,
            "librosa_ratio": taken["librosa"] / seconds,
        }
        for name, seconds in taken.items()
    ]


def pack_records(corpus: Path) -> list[Record]:
    """Return what packing takes a clip, on first use and when the pack is there.

    Parameters
    ----------
    corpus : Path
        Folder of word folders with recordings.
    """
    with tempfile.TemporaryDirectory() as cache:
        records: list[Record] = []
        for use in ("first", "later"):
            started = time.perf_counter()
            pack = open_pack(folder.read(corpus), cache)
            seconds, count = time.perf_counter() - started, len(pack.recordings)
            records.append(
                {
                    "use": use,
                    "clips": count,
                    "clip_ms": 1e3 * seconds / count,
                    "clip_kib": pack.path.stat().st_size / count / 1024,
                }
            )
            del pack
    return records
