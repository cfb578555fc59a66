# SPDX-License-Identifier: MPL-2.0
"""The features of a stream against those of a whole clip."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from srnn.errors import InputError
from srnn.features.batched import MelFeatures
from srnn.features.reference import MelSpec
from srnn.features.stream import FeatureStream

SPEC = MelSpec(
    size=5000,
    sample_rate=16_000,
    n_fft=480,
    hop=160,
    n_mels=20,
    fmin=20,
    fmax=8000,
    delta_order=2,
    stack=True,
    kind="pcen",
)


def clip(size: int) -> Tensor:
    """Return noise whose loudness changes, so that every frame differs."""
    rng = np.random.default_rng(0)
    loudness = np.exp(rng.normal(0, 2, -(-size // 500))).repeat(500)[:size]
    noise = rng.normal(0, 0.01, size) * loudness
    return torch.from_numpy(noise.clip(-0.9, 0.9).astype(np.float32))


@pytest.mark.parametrize("part", [1, 7, 160, 479, 1601, 5000])
@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        replace(SPEC, kind="log_mel"),
        replace(SPEC, delta_order=0),
        replace(SPEC, stack=False),
        replace(SPEC, n_fft=401, hop=133, delta_order=3),
        replace(SPEC, n_fft=480, hop=480),
        replace(SPEC, size=1280),  # nine frames: the fewest with a delta
    ],
    ids=["pcen", "log_mel", "no deltas", "delta alone", "odd window", "no overlap", "nine frames"],
)
def test_a_flushed_clip_has_the_features_of_the_clip(spec: MelSpec, part: int) -> None:
    extract, samples = MelFeatures(spec), clip(spec.size)
    expected = extract(samples[None])[0].transpose(0, 1)  # (T, C, M)
    stream = FeatureStream(extract)
    parts = [stream.push(some) for some in samples.split(part)]
    found = torch.cat([*parts, stream.flush()])
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_frame_is_returned_after_its_latency() -> None:
    stream, samples = FeatureStream(MelFeatures(SPEC)), clip(5000)
    assert stream.latency == pytest.approx(0.015 + 0.040)
    frame, hop, rate = 9, SPEC.hop, SPEC.sample_rate
    ready = round(frame * hop + stream.latency * rate)
    early = stream.push(samples[: ready - 1])
    late = stream.push(samples[ready - 1 : ready])
    assert len(early) == frame
    assert len(late) == 1
    assert FeatureStream(MelFeatures(replace(SPEC, delta_order=0))).latency == 0.015


def test_a_stream_too_short_for_deltas_has_no_features() -> None:
    stream = FeatureStream(MelFeatures(SPEC))
    assert len(stream.push(clip(1279))) == 0
    assert len(stream.flush()) == 0
    assert len(stream.push(torch.zeros(0))) == 0


def test_features_of_a_whole_clip_are_refused() -> None:
    with pytest.raises(InputError, match=r"mel\.features: expected") as error:
        FeatureStream(MelFeatures(replace(SPEC, kind="reference")))
    assert "whole clip" in str(error.value)
