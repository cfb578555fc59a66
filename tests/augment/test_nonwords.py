# SPDX-License-Identifier: MPL-2.0
"""Non-words: halves of two words, with the label of neither."""

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from recordings import corpus_of
from srnn.augment.nonwords import Nonwords
from srnn.features.reference import MelSpec
from srnn.training.examples import Examples, make_examples

RATE, SIZE = 8_000, 8_000
CPU = torch.device("cpu")
LABELS = torch.tensor([0, 1, 0, 2, 3])  # clip 4 is silence
SILENCE = torch.tensor([-1, -1, -1, -1, 0])
UP, GO, UP_AGAIN, OTHER, HUSH = range(5)


def nonwords(probability: float = 1.0) -> Nonwords:
    return Nonwords(probability, SILENCE, LABELS, RATE)


def word(frequency: float, middle: float, peak: float) -> Tensor:
    """Return a tone of 0.4 s around a time (s)."""
    time = torch.arange(SIZE, dtype=torch.float64) / RATE
    inside = (time - middle).abs() < 0.2
    return (peak * inside * torch.sin(2 * torch.pi * frequency * time)).float()


def pitch(waveform: Tensor) -> float:
    return float(torch.fft.rfft(waveform, RATE).abs().argmax())


def test_a_clip_continues_with_the_other_half_of_its_neighbour() -> None:
    """The energy of a tone is even: at the draw 0.5, both words are cut in their middle."""
    waveforms = torch.stack([word(500, 0.5, 0.1), word(1000, 0.4, 0.4)])
    clips, draws = torch.tensor([UP, GO]), torch.tensor([[0.0, 0.5], [0.9, 0.5]])
    (first, second) = nonwords()(waveforms, draws, clips)
    for joined, middle, start, end in ((first, 0.5, 500, 1000), (second, 0.4, 1000, 500)):
        cut = round(middle * RATE)
        assert pitch(joined[: cut - 100]) == pytest.approx(start, abs=5)
        assert pitch(joined[cut + 100 :]) == pytest.approx(end, abs=5)
        after = np.flatnonzero(joined.abs().numpy() > 1e-3)
        assert after.max() / RATE == pytest.approx(middle + 0.2, abs=0.002)
    # The end is as loud as the beginning.
    assert float(first.abs().max()) == pytest.approx(0.1, rel=0.05)
    assert float(second.abs().max()) == pytest.approx(0.4, rel=0.05)


def test_the_cut_is_drawn_from_the_middle_of_the_energy() -> None:
    waveforms = torch.stack([word(500, 0.5, 0.1), word(1000, 0.5, 0.1)] * 2)
    draws = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.99], [0.0, 0.99]])
    found = nonwords()(waveforms, draws, torch.tensor([UP, GO] * 2))
    early, late = (round((0.3 + 0.4 * place) * RATE) for place in (0.35, 0.65))
    for place, cut in ((0, early), (2, late)):
        assert pitch(found[place, : cut - 100]) == pytest.approx(500, abs=5)
        assert pitch(found[place, cut + 100 :]) == pytest.approx(1000, abs=5)


def test_the_same_class_silence_and_luck_leave_a_clip_as_it_is() -> None:
    clips = torch.tensor([UP, UP_AGAIN, HUSH, OTHER, GO])
    waveforms = torch.randn(5, SIZE, generator=torch.Generator().manual_seed(0))
    always = torch.zeros(5, 2)
    # Before them stand GO, UP, UP_AGAIN, HUSH and OTHER.
    assert nonwords().unknown(always, clips).tolist() == [True, False, False, False, True]
    found = nonwords()(waveforms, always, clips)
    changed = (found != waveforms).any(dim=1)
    assert changed.tolist() == [True, False, False, False, True]
    never = torch.full((5, 2), 0.5)
    assert not nonwords(0.5).unknown(never, clips).any()
    assert torch.equal(nonwords(0.5)(waveforms, never, clips), waveforms)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for name in ("up", "go", "cat"):
        (folder / name).mkdir()
        for speaker in range(40):
            clip = 0.1 * rng.normal(size=RATE)
            soundfile.write(folder / name / f"{speaker:08x}_nohash_0.wav", clip, RATE)
    corpus = corpus_of(folder, ("up", "go", "_unknown_"), size=SIZE, sample_rate=RATE)
    clips = corpus.partitions["training"]
    labels = torch.tensor([clip.label for clip in clips])
    augment = Nonwords(0.5, torch.full_like(labels, -1), labels, RATE)
    spec = MelSpec(SIZE, RATE, 240, 80, 8, 20, 4000, 0, stack=True)
    made = make_examples(corpus, ["training"], spec, CPU, 2**30, [augment], unknown_readouts=2)
    return made["training"]


def test_a_batch_has_the_labels_of_what_was_joined(examples: Examples) -> None:
    order = torch.randperm(len(examples.labels), generator=torch.Generator().manual_seed(0))
    plain = list(examples.batches(order, 16, CPU))
    varied = list(examples.batches(order, 16, CPU, epoch=1))
    changed = 0
    for before, after in zip(plain, varied, strict=True):
        joined = (before.features != after.features).flatten(1).any(dim=1)
        assert torch.equal(after.labels, torch.where(joined, 2, before.labels))
        # Output 2 is that of words without one of their own; "cat" has output 3.
        assert torch.equal(after.targets, torch.where(joined, 2, before.targets))
        changed += int(joined.sum())
    assert {3} < set(torch.cat([batch.targets for batch in plain]).tolist()) == {0, 1, 3}
    assert changed == pytest.approx(len(order) * 0.5 * 2 / 3, rel=0.35)
    assert not list(examples.batches(order, 16, CPU, epoch=1, first=len(order)))  # none is left
    rest = list(examples.batches(order, 16, CPU, epoch=1, first=32))
    assert torch.equal(rest[0].labels, varied[2].labels)
    assert torch.equal(rest[0].features, varied[2].features)
