# SPDX-License-Identifier: MPL-2.0
"""Listening classifies what prediction classifies, however the samples arrive."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import srnn
from srnn.data import audio
from srnn.errors import InputError
from srnn.instruments.listening.listeners import Listener, Posteriors, Stateful, Windows
from srnn.network.model import Operations
from tone_runs import train_on_tones

SIZE, RATE = 2000, 8000
KINDS: dict[str, Callable[[srnn.Recogniser, float], Listener]] = {
    "windows": Windows,
    "stateful": Stateful,
}


@pytest.fixture(scope="module")
def runs(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return trained networks by their features."""
    folder = tmp_path_factory.mktemp("listening")
    changes = ("data.normalisation=standardise", "srnn.epochs=1")
    return {
        kind: train_on_tones(tones, folder / kind, f"mel.features={kind}", *changes)
        for kind in ("pcen", "log_mel", "reference")
    }


@pytest.fixture(scope="module")
def waveforms(tones: Path) -> list[Tensor]:
    files = sorted((tones / "tones").glob("*/0000000[0-2]*.wav"))
    return [torch.from_numpy(audio.read(file, RATE)) for file in files]


def heard(listener: Listener, samples: Tensor, part: int) -> Posteriors:
    """Give samples in parts, and return all classifications."""
    found = [listener.push(some) for some in samples.split(part)]
    found.append(listener.flush())
    times = torch.cat([each.times for each in found])
    probabilities = torch.cat([each.probabilities for each in found])
    operations = Operations(*map(sum, zip(*(each.operations for each in found), strict=True)))
    return Posteriors(times, probabilities, sum(each.spikes for each in found), operations)


@pytest.mark.parametrize("features", ["pcen", "log_mel"])
@pytest.mark.parametrize("part", [80, 333, SIZE])
def test_a_clip_from_rest_is_classified_as_by_predict(
    runs: dict[str, Path], waveforms: list[Tensor], features: str, part: int
) -> None:
    recogniser = srnn.load(runs[features])
    for samples in waveforms:
        assert samples.shape == (SIZE,)
        expected = recogniser.predict_waveform(samples.numpy()).probabilities
        found = heard(Stateful(recogniser, 0.05), samples, part)
        assert found.probabilities[-1].tolist() == pytest.approx([*expected.values()], abs=1e-4)
        spikes = recogniser.record(samples.numpy()).layers
        counts = [float(layer.spikes.sum()) for layer in spikes]
        assert found.spikes == sum(counts)
        output = recogniser.spotter(recogniser.extract(samples[None]))
        inputs = int(output.inputs.count_nonzero())
        assert found.operations == recogniser.spotter.network.operations(inputs, counts)


@pytest.mark.parametrize("features", ["pcen", "reference"])
def test_a_window_is_classified_as_by_predict(
    runs: dict[str, Path], waveforms: list[Tensor], features: str
) -> None:
    recogniser = srnn.load(runs[features])
    samples = torch.cat(waveforms)[: 3 * SIZE + 500]
    found = heard(Windows(recogniser, 0.1), samples, 700)
    assert found.times.tolist() == [*np.arange(1, 9) / 10, len(samples) / RATE]
    for time, probabilities in zip(found.times.tolist(), found.probabilities, strict=True):
        end = round(time * RATE)
        window = np.zeros(SIZE, np.float32)
        window[max(0, SIZE - end) :] = samples[max(0, end - SIZE) : end]
        expected = recogniser.predict_waveform(window).probabilities
        assert probabilities.tolist() == pytest.approx([*expected.values()], abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [1, 79, 1000, 10_000])
def test_parts_of_any_size_give_the_same(
    runs: dict[str, Path], waveforms: list[Tensor], kind: str, part: int
) -> None:
    recogniser, samples = srnn.load(runs["pcen"]), torch.cat(waveforms)[:5011]
    whole = heard(KINDS[kind](recogniser, 0.03), samples, len(samples))
    parts = heard(KINDS[kind](recogniser, 0.03), samples, part)
    assert parts.times.tolist() == pytest.approx(whole.times.tolist())
    assert (np.diff(whole.times) >= 0).all()  # the last ones are all ready at the end
    torch.testing.assert_close(parts.probabilities, whole.probabilities, atol=1e-4, rtol=0)
    assert parts.spikes == whole.spikes
    assert parts.operations == pytest.approx(whole.operations)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_does_not_grow(runs: dict[str, Path], kind: str) -> None:
    listener = KINDS[kind](srnn.load(runs["pcen"]), 0.1)
    rng = torch.Generator().manual_seed(0)
    held = []
    for _ in range(40):
        listener.push(torch.rand(1600, generator=rng) - 0.5)
        held.append(elements(listener))
    assert held[20:] == [held[20]] * 20
    assert held[20] < 20_000


def elements(thing: object) -> int:
    """Count the numbers in the tensors that a listener holds."""
    parts = (each for name, each in vars(thing).items() if name not in ("_recogniser", "_extract"))
    return sum(
        each.numel()
        if isinstance(each, Tensor)
        else elements(each)
        if hasattr(each, "__dict__")
        else 0
        for each in parts
    )


def test_features_and_normalisation_of_a_whole_clip_are_refused(runs: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"mel\.features: expected"):
        Stateful(srnn.load(runs["reference"]), 0.1)
    recogniser = srnn.load(runs["pcen"])
    recogniser.spotter.normaliser.scale = None
    with pytest.raises(InputError, match=r"data\.normalisation: expected"):
        Stateful(recogniser, 0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_without_samples_has_no_classification(runs: dict[str, Path], kind: str) -> None:
    assert heard(KINDS[kind](srnn.load(runs["pcen"]), 0.1), torch.zeros(0), 1).times.numel() == 0
