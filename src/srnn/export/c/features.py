# SPDX-License-Identifier: MPL-2.0
"""What the C program needs to compute features: window, Fourier transform, mel bands, deltas.

It follows `srnn.features.batched`, whose filters and window it takes; it computes them frame by
frame, as `srnn.features.stream` does.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from srnn.errors import InputError
from srnn.export.c.tables import Member, Table, constant
from srnn.features.batched import MelFeatures, slope
from srnn.features.normaliser import Normaliser
from srnn.features.reference import DELTA_WIDTH, PCEN_GAIN, ROUNDING, smoothing

_KINDS = ("reference", "log_mel", "pcen")


@dataclass(frozen=True)
class FeatureCode:
    """The features as parts of the C program.

    Attributes
    ----------
    constants : dict
        What the templates need.
    tables : list of Table
    members : list of Member
        The memory that is needed.
    """

    constants: dict[str, Any]
    tables: list[Table]
    members: list[Member]


def feature_code(extract: MelFeatures, normaliser: Normaliser) -> FeatureCode:
    """Return the features and their normalisation as parts of the C program.

    Raises
    ------
    InputError
        If a clip cannot be normalised by itself, or the features are of another kind.
    """
    spec = extract.spec
    if spec.kind not in _KINDS:
        expected = " or ".join(f'"{kind}"' for kind in _KINDS)
        raise InputError(f'mel.features: --to c expects {expected}, found "{spec.kind}"')
    if normaliser.scale is None:
        raise InputError(
            'data.normalisation: --to c expects "standardise" or "dataset", found "batch", which '
            "divides by the standard deviation of a batch"
        )
    real = "double" if extract.window.dtype == torch.float64 else "float"
    points = spec.n_fft if spec.n_fft % 2 else spec.n_fft // 2
    first, ends, weights, bins = _bands(extract)
    has_deltas = max(spec.orders) > 0
    rows = spec.frames if spec.kind == "reference" else DELTA_WIDTH if has_deltas else 1
    constants: dict[str, Any] = {
        "kind": spec.kind,
        "size": spec.size,
        "rate": spec.sample_rate,
        "window": spec.n_fft,
        "hop": spec.hop,
        "points": points,
        "radices": _factors(points),
        "first_bin": bins.start,
        "bins": bins.stop - bins.start,
        "bands": spec.n_mels,
        "channels": len(spec.orders),
        "inputs": spec.inputs,
        "rows": rows,
        "steps": spec.frames,
        "real": real,
        "has_deltas": has_deltas,
        "has_plain": 0 in spec.orders,
        "has_mean": normaliser.mean is not None,
        "width": DELTA_WIDTH,
        "reach": DELTA_WIDTH // 2,
        "floor": constant(spec.floor),
        "smoothing": constant(smoothing(spec)),
        "gain": constant(PCEN_GAIN),
        "rounding": constant(ROUNDING, real),
        # That make enough frames, with half a window of silence before and after.
        "shortest": max(1, (DELTA_WIDTH - 1) * spec.hop * has_deltas + spec.n_fft % 2),
    }
    angles = 2 * np.pi * np.arange(spec.n_fft) / spec.n_fft
    turns = np.stack([np.cos(angles), -np.sin(angles)], axis=1)
    tables = [
        Table("window", real, extract.window.numpy(force=True)),
        Table("turns", real, turns, "exp(-2 pi i k / WINDOW)"),
        Table("radices", "unsigned", np.array(constants["radices"]), "their product is POINTS"),
        Table("band_first", "unsigned", first, "of each mel band, from FIRST_BIN on"),
        Table("band_end", "unsigned", ends),
        Table("band_weights", "float", weights, "of all bands, one after the other"),
        Table("scale", "float", normaliser.scale.numpy(force=True), "of the features"),
    ]
    if normaliser.mean is not None:
        tables.append(Table("mean", "float", normaliser.mean.numpy(force=True)))
    if has_deltas:
        slopes = [slope(order) if order else [0.0] * DELTA_WIDTH for order in spec.orders]
        tables.append(Table("slopes", "float", np.array(slopes), "of the frames in the deltas"))
        if 0 in spec.orders:
            tables.append(Table("is_delta", "unsigned", np.sign(spec.orders)))
    members = [
        Member(real, "work", 4 * points, "of the Fourier transform"),
        Member("float", "power", max(1, bins.stop - bins.start), "of each frequency"),
        Member("float", "mel", rows * spec.n_mels, "the last frames"),
    ]
    if spec.kind == "pcen":
        members.append(Member("float", "average", spec.n_mels, "of the power in the past"))
    if spec.kind == "reference":
        members.append(Member("float", "deviation", spec.inputs, "of each feature in the clip"))
    return FeatureCode(constants, tables, members)


def _bands(extract: MelFeatures) -> tuple[Any, Any, Any, slice]:
    """Return first and end frequency and the weights of each band, and the frequencies used."""
    weights = extract.bands[::2, : extract.spec.n_mels].numpy(force=True).T  # (M, K)
    first, ends, kept = [], [], []
    for band in weights:
        used = np.flatnonzero(band)
        start, end = (used[0], used[-1] + 1) if len(used) else (0, 0)
        first.append(start)
        ends.append(end)
        kept.append(band[start:end])
    values = np.concatenate(kept)
    return np.array(first), np.array(ends), values if len(values) else np.zeros(1), extract.used


def _factors(number: int) -> list[int]:
    """Return factors of a number, fours first; their product is the number."""
    found = []
    for factor in (4, 2, *range(3, number + 1, 2)):
        while number % factor == 0:
            found.append(factor)
            number //= factor
    return found or [1]
