# SPDX-License-Identifier: MPL-2.0
"""What the C program needs to compute features: window, Fourier transform, mel bands, deltas.

It follows `srnn.features.batched`, whose filters and window it takes; it computes them frame by
frame, as `srnn.features.stream` does.
"""

from typing import Any

import numpy as np
import torch

from srnn.errors import InputError
from srnn.export.c.tables import Member, Part, Table, constant
from srnn.export.requirements import scale_of
from srnn.features.batched import MelFeatures
from srnn.features.filters import slope
from srnn.features.normaliser import Normaliser
from srnn.features.reference import DELTA_WIDTH, PCEN_GAIN, ROUNDING, smoothing

_KINDS = ("reference", "log_mel", "pcen")


def feature_code(extract: MelFeatures, normaliser: Normaliser) -> Part:
    """Return the features and their normalisation as a part of the C program.

    Raises
    ------
    InputError
        If a clip cannot be normalised by itself, or the features are of another kind.
    """
    spec, scale = extract.spec, scale_of(normaliser, "c")
    if spec.kind not in _KINDS:
        expected = " or ".join(f'"{kind}"' for kind in _KINDS)
        raise InputError(f'mel.features: --to c expects {expected}, found "{spec.kind}"')
    real = "double" if extract.window.dtype == torch.float64 else "float"
    constants = _constants(extract, real)
    constants["has_mean"] = normaliser.mean is not None
    tables = _tables(extract, real, constants["radices"])
    tables.append(Table("scale", "float", scale.numpy(force=True), "of the features"))
    if normaliser.mean is not None:
        tables.append(Table("mean", "float", normaliser.mean.numpy(force=True)))
    return Part(constants, tables, _members(constants))


def _constants(extract: MelFeatures, real: str) -> dict[str, Any]:
    """Return what the templates need, but for the normalisation."""
    spec = extract.spec
    points = spec.n_fft if spec.n_fft % 2 else spec.n_fft // 2
    has_deltas = max(spec.orders) > 0
    rows = spec.frames if spec.kind == "reference" else DELTA_WIDTH if has_deltas else 1
    return {
        "kind": spec.kind,
        "size": spec.size,
        "rate": spec.sample_rate,
        "window": spec.n_fft,
        "hop": spec.hop,
        "points": points,
        "radices": _factors(points),
        "first_bin": extract.used.start,
        "bins": extract.used.stop - extract.used.start,
        "bands": spec.n_mels,
        "channels": len(spec.orders),
        "inputs": spec.inputs,
        "rows": rows,
        "steps": spec.frames,
        "real": real,
        "has_deltas": has_deltas,
        "has_plain": 0 in spec.orders,
        "width": DELTA_WIDTH,
        "reach": DELTA_WIDTH // 2,
        "floor": constant(spec.floor),
        "smoothing": constant(smoothing(spec)),
        "gain": constant(PCEN_GAIN),
        "rounding": constant(ROUNDING, real),
        # That make enough frames, with half a window of silence before and after.
        "shortest": max(1, (DELTA_WIDTH - 1) * spec.hop * has_deltas + spec.n_fft % 2),
    }


def _tables(extract: MelFeatures, real: str, radices: list[int]) -> list[Table]:
    """Return the tables of window, Fourier transform, mel bands and deltas."""
    spec = extract.spec
    angles = 2 * np.pi * np.arange(spec.n_fft) / spec.n_fft
    turns = np.stack([np.cos(angles), -np.sin(angles)], axis=1)
    first, ends, weights = _bands(extract)
    tables = [
        Table("window", real, extract.window.numpy(force=True)),
        Table("turns", real, turns, "exp(-2 pi i k / WINDOW)"),
        Table("radices", "unsigned", np.array(radices), "their product is POINTS"),
        Table("band_first", "unsigned", first, "of each mel band, from FIRST_BIN on"),
        Table("band_end", "unsigned", ends),
        Table("band_weights", "float", weights, "of all bands, one after the other"),
    ]
    if max(spec.orders) > 0:
        slopes = [slope(order) if order else [0.0] * DELTA_WIDTH for order in spec.orders]
        tables.append(Table("slopes", "float", np.array(slopes), "of the frames in the deltas"))
        if 0 in spec.orders:
            tables.append(Table("is_delta", "unsigned", np.sign(spec.orders)))
    return tables


def _members(constants: dict[str, Any]) -> list[Member]:
    """Return the memory that is needed."""
    bands = constants["bands"]
    members = [
        Member(constants["real"], "work", 4 * constants["points"], "of the Fourier transform"),
        Member("float", "power", max(1, constants["bins"]), "of each frequency"),
        Member("float", "mel", constants["rows"] * bands, "the last frames"),
    ]
    if constants["kind"] == "pcen":
        members.append(Member("float", "average", bands, "of the power in the past"))
    if constants["kind"] == "reference":
        inputs = constants["inputs"]
        members.append(Member("float", "deviation", inputs, "of each feature in the clip"))
    return members


def _bands(extract: MelFeatures) -> tuple[Any, Any, Any]:
    """Return first and end frequency of each band, and the weights of all."""
    weights = extract.bands[::2, : extract.spec.n_mels].numpy(force=True).T  # (M, K)
    first, ends, kept = [], [], []
    for band in weights:
        used = np.flatnonzero(band)
        start, end = (used[0], used[-1] + 1) if len(used) else (0, 0)
        first.append(start)
        ends.append(end)
        kept.append(band[start:end])
    values = np.concatenate(kept)
    return np.array(first), np.array(ends), values if len(values) else np.zeros(1)


def _factors(number: int) -> list[int]:
    """Return factors of a number, fours first; their product is the number."""
    found = []
    for factor in (4, 2, *range(3, number + 1, 2)):
        while number % factor == 0:
            found.append(factor)
            number //= factor
    return found or [1]
