# SPDX-License-Identifier: MPL-2.0
"""Waveforms from a pack, and examples whose features are kept or computed: the same numbers."""

import logging
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from srnn.augment.masks import BandMasks, TimeMasks
from srnn.augment.mixup import Mixup
from srnn.augment.noise import Noise as AddedNoise
from srnn.augment.shift import Shift
from srnn.augment.speed import Speed
from srnn.augment.volume import Volume
from srnn.data import audio
from srnn.data.corpus import Clip, Corpus
from srnn.data.pack.opening import open_pack
from srnn.data.silence import Noise
from srnn.data.sources.folder import source as folders
from srnn.features.batched import MelFeatures
from srnn.features.reference import MelSpec, fit
from srnn.features.reference import features as reference
from srnn.training.examples import Examples, make_examples
from srnn.training.sources import Computed, Kept, ahead
from srnn.training.split import Split
from srnn.training.waveforms import Waveforms

CPU = torch.device("cpu")
RATE = 8000
SPEC = MelSpec(
    size=2000,
    sample_rate=RATE,
    n_fft=240,
    hop=80,
    n_mels=8,
    fmin=20,
    fmax=4000,
    delta_order=2,
    stack=True,
)
LENGTHS = [2000, 1, 1999, 777, 5000, 2001, 1500] * 4


def noise(length: int) -> NDArray[np.float64]:
    """Return noise whose loudness changes."""
    rng = np.random.default_rng(length)
    return rng.normal(size=length) * np.interp(
        np.arange(length), np.linspace(0, length, 9), rng.uniform(0, 0.2, 9)
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for word in ("go", "no", "_background_noise_"):
        (tmp_path / word).mkdir()
    for number, length in enumerate(LENGTHS):
        soundfile.write(tmp_path / "go" / f"{number:02}.wav", noise(length), RATE)
    soundfile.write(tmp_path / "no" / "fast.wav", noise(9000), 2 * RATE)
    soundfile.write(tmp_path / "no" / "slow.wav", noise(700), RATE // 2)
    soundfile.write(tmp_path / "_background_noise_" / "hum.wav", noise(20_000), RATE)
    return tmp_path


def clips(folder: Path, word: str = "go") -> list[Clip]:
    names = sorted(path.name for path in (folder / word).iterdir())
    return [Clip(folder, f"{word}/{name}", n % 3, word) for n, name in enumerate(names)]


def waveforms(folder: Path, some: list[Clip]) -> Waveforms:
    return Waveforms([open_pack(folders.read(folder))], some, SPEC.size, SPEC.sample_rate)


def corpus(folder: Path, **partitions: list[Clip]) -> Corpus:
    packs = dict.fromkeys(partitions, open_pack(folders.read(folder)))
    clips = {name: tuple(some) for name, some in partitions.items()}
    noises = (Noise("_background_noise_/hum.wav", 0, 20_000, RATE),)
    return Corpus(packs, ("a", "b", "c"), clips, noises, {})


def everything(examples: Examples, size: int) -> list[torch.Tensor]:
    order = torch.arange(len(examples.labels)).flip(0)
    return [batch.features for batch in examples.batches(order, size, CPU)]


def test_waveforms_are_padded_and_cut_as_the_reference_does(folder: Path) -> None:
    some = clips(folder)
    heard = waveforms(folder, some)[torch.arange(len(some))]
    assert heard.dtype == torch.int16
    assert heard.shape == (len(LENGTHS), SPEC.size)
    for clip, waveform in zip(some, heard.numpy(), strict=True):
        whole = audio.read(clip.path, RATE)
        expected = fit(whole, SPEC.size) * np.abs(whole).max()
        np.testing.assert_allclose(waveform / 2**15, expected, rtol=1e-6)


def test_other_rates_are_resampled_when_they_are_read(folder: Path) -> None:
    some = clips(folder, "no") + clips(folder)[:2]
    heard = waveforms(folder, some)[torch.arange(4)]
    assert heard.dtype == torch.float32
    for clip, waveform in zip(some, heard.numpy(), strict=True):
        whole = audio.read(clip.path, RATE)
        expected = fit(whole, SPEC.size) * np.abs(whole).max()
        np.testing.assert_allclose(waveform, expected, rtol=1e-6, atol=1e-9)


def test_silence_is_a_part_of_a_background_recording(folder: Path) -> None:
    name = "_background_noise_/hum.wav"
    some = [
        Clip(folder, name, 0, "_background_noise_", start, 2000) for start in (0, 12_345, 19_000)
    ]
    heard = waveforms(folder, some)[torch.tensor([2, 0, 1])].numpy()
    whole, _ = audio.decode(folder / name)
    np.testing.assert_array_equal(heard[1], whole[:2000])
    np.testing.assert_array_equal(heard[2], whole[12_345:14_345])
    np.testing.assert_array_equal(heard[0], np.pad(whole[19_000:], 500))


@pytest.mark.parametrize("size", [1, 5, 28, 100])
def test_kept_and_computed_features_are_the_same_bits(folder: Path, size: int) -> None:
    made = corpus(folder, training=clips(folder))
    kept = make_examples(made, ["training"], SPEC, CPU, memory_budget=2**30)["training"]
    computed = make_examples(made, ["training"], SPEC, CPU, memory_budget=0)["training"]
    assert isinstance(kept.source, Kept)
    assert isinstance(computed.source, Computed)
    assert kept.shape == computed.shape == SPEC.shape
    whole = waveforms(folder, clips(folder))[torch.arange(len(LENGTHS))]
    from_memory = Examples(
        kept.labels, kept.targets, Computed(whole, MelFeatures(SPEC)), kept.words
    )
    one = everything(kept, size)
    for other in (everything(computed, size), everything(from_memory, size)):
        assert [len(part) for part in one] == [len(part) for part in other]
        assert all(map(torch.equal, one, other))
    for batch in computed.batches(torch.tensor([3, 11]), 2, CPU):
        assert torch.equal(batch.features, kept.source.features[[3, 11]])
        assert batch.labels.tolist() == [0, 2]


def test_features_are_those_of_the_reference(folder: Path) -> None:
    made = corpus(folder, testing=clips(folder))
    examples = make_examples(made, ["testing"], SPEC, CPU, memory_budget=0)["testing"]
    (batch,) = examples.chunks(CPU)
    for clip, heard in zip(clips(folder), batch.features.numpy(), strict=True):
        expected = reference(audio.read(clip.path, RATE), SPEC)
        np.testing.assert_allclose(heard, expected, atol=1e-4 * np.abs(expected).max())


def test_the_first_partitions_have_the_first_claim_to_memory(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    some = clips(folder)
    partitions = corpus(folder, large=some, small=some[:5], second=some[:5])
    room = 6 * 4 * int(np.prod(SPEC.shape))
    made = make_examples(partitions, ["large", "small", "second"], SPEC, CPU, room)
    kept = {name: isinstance(examples.source, Kept) for name, examples in made.items()}
    assert kept == {"large": False, "small": True, "second": False}
    told = [record.getMessage() for record in caplog.records[-3:]]
    assert told[0] == "large: features are computed for each batch, from the pack"
    assert told[1] == "small: features are kept in main memory (0 MB)"


def test_a_partition_without_clips_has_no_batches(folder: Path) -> None:
    for room in (0, 2**30):
        made = make_examples(corpus(folder, testing=[]), ["testing"], SPEC, CPU, room)
        assert list(made["testing"].chunks(CPU)) == []


class _Recorder(Waveforms):
    """Waveforms that note what is read, and refuse a clip."""

    def __init__(self, folder: Path, refused: int = -1) -> None:
        super().__init__(
            [open_pack(folders.read(folder))], clips(folder), SPEC.size, SPEC.sample_rate
        )
        self.read: list[int] = []
        self.refused = refused

    def __getitem__(self, indices: torch.Tensor) -> torch.Tensor:
        self.read += indices.tolist()
        if self.refused in indices:
            raise OSError("no such clip")
        return super().__getitem__(indices)


def test_waveforms_are_read_one_batch_ahead(folder: Path) -> None:
    recorder = _Recorder(folder)
    source = Computed(recorder, MelFeatures(SPEC))
    batches = ahead(source.batches(torch.arange(28), Split(28, 4), CPU))
    before = threading.active_count()
    for done in range(1, 4):
        next(batches)
        assert len(recorder.read) <= 4 * (done + 1)
    assert threading.active_count() == before + 1
    del batches
    assert threading.active_count() == before
    assert recorder.read == list(range(len(recorder.read)))


def test_an_error_in_reading_ends_the_batches(folder: Path) -> None:
    source = Computed(_Recorder(folder, refused=9), MelFeatures(SPEC))
    before = threading.active_count()
    batches = source.batches(torch.arange(28), Split(28, 4), CPU)
    assert len(next(batches)) == len(next(batches)) == 4
    with pytest.raises(OSError, match="no such clip"):
        next(batches)
    assert threading.active_count() == before


def test_how_a_clip_is_varied_depends_on_its_place_in_the_epoch_alone(folder: Path) -> None:
    made = corpus(folder, training=clips(folder))
    background = made.training_background(SPEC.size, RATE, CPU)
    waveform = [Shift(80), Speed(10, CPU), Volume(3.0), AddedNoise(0.5, (0.0, 0.1), background)]
    examples = make_examples(made, ["training"], SPEC, CPU, 2**30, waveform)["training"]
    assert isinstance(examples.source, Computed)  # though there is room to keep them
    masks = [TimeMasks(1, 5, torch.zeros(3, 8)), BandMasks(1, 2, torch.zeros(3, 8))]
    examples = replace(examples, augmentations=masks)
    order = torch.randint(28, (40,), generator=torch.Generator().manual_seed(0))  # some twice

    def heard(size: int, epoch: int | None, first: int = 0) -> torch.Tensor:
        batches = examples.batches(order, size, CPU, epoch=epoch, first=first)
        return torch.cat([batch.features for batch in batches])

    whole = heard(8, 1)
    assert torch.equal(heard(8, 1, first=16), whole[16:])
    torch.testing.assert_close(heard(3, 1, first=5), whole[5:], rtol=0, atol=1e-3)
    assert not torch.isclose(heard(8, 2), whole).all(dim=(1, 2, 3)).any()
    kept = make_examples(made, ["training"], SPEC, CPU, 2**30)["training"].source
    assert isinstance(kept, Kept)
    assert torch.equal(heard(8, None), kept.features[order])
    one, *others = [place for place in range(40) if (order == order.mode().values)[place]]
    assert not any(torch.allclose(whole[one], whole[other]) for other in others)
    plain = replace(examples, source=kept)
    (batch,) = plain.batches(order[:1], 1, CPU, epoch=1)
    assert (batch.features == 0).any()
    assert torch.equal(kept.features[order], heard(8, None))  # masks leave what is kept alone


def test_what_is_learnt_may_tell_more_apart_than_the_labels(folder: Path) -> None:
    made = replace(
        corpus(folder, training=clips(folder), validation=clips(folder)),
        labels=("a", "_silence_", "_unknown_"),
    )
    made_examples = make_examples(
        made, ["training", "validation"], SPEC, CPU, 0, unknown_readouts=3
    )
    mixed = replace(made_examples["training"], augmentations=[Mixup(1.0)])
    order = torch.arange(28)
    (batch,) = mixed.batches(order, 28, CPU, epoch=1)
    labels = torch.tensor([clip.label for clip in clips(folder)])
    assert torch.equal(batch.labels, labels)
    assert torch.equal(batch.targets, torch.where(labels == 2, 3, labels))  # of "go", a word in 2
    assert torch.equal(batch.mixed_targets, batch.targets.roll(1))
    assert batch.weights.min() >= 0.5
    for plain in (mixed, made_examples["validation"]):
        (batch,) = plain.batches(order, 28, CPU)
        assert torch.equal(batch.labels, labels)
        assert batch.weights.min() == 1
    assert torch.equal(batch.targets, labels)
