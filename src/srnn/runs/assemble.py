# SPDX-License-Identifier: MPL-2.0
"""From a configuration to the parts of a run: corpus, feature specification, network, device."""

from dataclasses import replace
from pathlib import Path

import torch

from srnn.config import Config
from srnn.data.acquire import Source, acquire, corpus_name, fetch, is_at_hand, is_fetched, locate
from srnn.data.augment import Augmentation, Augmenter, Background
from srnn.data.corpus import (
    BACKGROUND,
    Corpus,
    choose_labels,
    expect_folders,
    has_background,
    keywords,
    noise_of,
    read_corpus,
    require_trainable,
    warn_of_few_for_validation,
    warn_of_many_unknown,
    with_synthetic,
)
from srnn.data.dataroot import CORPORA, SYNTHETIC_WORDS
from srnn.data.pack import Pack, expect_readable, open_pack
from srnn.data.voices import (
    SPEECH_COMMANDS_WORDS,
    SpokenCorpus,
    is_installed,
    make_unknown_words,
)
from srnn.errors import InputError
from srnn.features.masks import Masker, Masking
from srnn.features.mixing import Mixer
from srnn.features.normaliser import Normaliser
from srnn.features.reference import MelSpec
from srnn.features.warping import Warper
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import AdaptiveCurrent, AdaptiveThreshold, Neuron, Normal, Uniform
from srnn.network.readout import Readout
from srnn.network.surrogate import SURROGATES
from srnn.training.examples import Variation

SYNTHETIC = "synthetic"


def make_spec(config: Config) -> MelSpec:
    """Return the features that ``config`` describes."""
    srnn, mel = config.srnn, config.mel
    return MelSpec(
        size=srnn.size,
        sample_rate=srnn.sample_rate,
        n_fft=config.n_fft,
        hop=config.hop,
        n_mels=mel.n_mels,
        fmin=mel.fmin,
        fmax=mel.fmax,
        delta_order=mel.delta_order,
        stack=mel.stack,
        kind=mel.features,
        floor=mel.floor,
    )


def make_augmenter(config: Config, corpus: Corpus, device: torch.device) -> Augmenter | None:
    """Return what varies the waveforms of the training clips, on ``device``; None: nothing does.

    Raises
    ------
    InputError
        If noise is to be added and there are no background recordings.
    """
    srnn, augment = config.srnn, config.augment
    augmentation = Augmentation(
        shift=min(srnn.size, round(augment.shift * srnn.sample_rate / 1000)),
        speed=round(100 * augment.speed),
        volume=augment.volume,
        noise=augment.noise,
        noise_level=augment.noise_level,
        fresh_silence=augment.fresh_silence and config.data.silence,
    )
    if augmentation.changes_nothing:
        return None
    background = Background(corpus, srnn.size, srnn.sample_rate, device)
    if augmentation.noise and not background.names:
        raise InputError(_no_noise(corpus.folder))
    return Augmenter(augmentation, background, corpus.partitions["training"], srnn.seed)


def _no_noise(folder: Path) -> str:
    return (
        f"augment.noise: expected background recordings in {folder / BACKGROUND}, found none; add "
        "some or set augment.noise = 0"
    )


def make_variations(
    config: Config, normaliser: Normaliser, device: torch.device
) -> list[Variation]:
    """Return what varies the features of the training clips, on ``device``, in its order.

    What masks cover is 0 once ``normaliser`` has been at it.
    """
    augment, seed = config.augment, config.srnn.seed
    variations: list[Variation] = []
    if augment.warp:
        variations.append(Warper(augment.warp, seed))
    masking = Masking(augment.time_masks, augment.time_mask, augment.band_masks, augment.band_mask)
    if masking.count:
        channels, _, bands = make_spec(config).shape
        fill = torch.zeros(channels, bands) if normaliser.mean is None else normaliser.mean
        variations.append(Masker(masking, fill.to(device), seed))
    if augment.mixup:
        variations.append(Mixer(augment.mixup, seed))
    return variations


def make_network(config: Config, classes: int) -> SpikingNetwork:
    """Return a network with fresh weights, drawn from torch's global random generator."""
    srnn = config.srnn
    channels, _, bands = make_spec(config).shape
    return SpikingNetwork(
        channels * bands,
        srnn.layer_sizes,
        classes,
        last_class_readouts=srnn.unknown_readouts,
        bias=srnn.bias,
        neuron=_make_neuron(config),
        recurrent=srnn.recurrent_layers,
        batch_norm=srnn.batch_norm,
        dropout=srnn.dropout,
        encoder_threshold=srnn.encoder_threshold if srnn.encoder == "ternary" else None,
        readout=Readout(
            srnn.readout, srnn.readout_scale, Normal(*srnn.tau_readout, srnn.tau_range)
        ),
        backend=srnn.backend,
    )


def _make_neuron(config: Config) -> Neuron:
    srnn = config.srnn
    surrogate = SURROGATES[srnn.surrogate]
    if srnn.neuron == "adaptive_current":
        return AdaptiveCurrent(
            alpha=Uniform.of_decays(*srnn.tau_mem_range),
            rho=Uniform.of_decays(*srnn.tau_adapt_range),
            surrogate=surrogate,
        )
    return AdaptiveThreshold(
        threshold=srnn.threshold,
        adaptation=srnn.adaptation,
        tau_mem=Normal(*srnn.tau_mem, srnn.tau_range),
        tau_adapt=Normal(*srnn.tau_adapt, srnn.tau_range),
        surrogate=surrogate,
    )


def make_training_corpus(config: Config) -> Corpus:
    """Find, fetch or make the data set that ``config`` names, pack and partition it.

    With ``data.test_url`` the testing partition is that archive's. Recordings that cannot be read
    are warned of and left out.

    Raises
    ------
    InputError
        If the data set cannot be had or packed, too much of it is unreadable, or it cannot be
        trained on.
    """
    data, folder = config.data, _task_folder(config)
    expect_folders(folder, _asked_for(config), silence=data.silence)
    if config.augment.noise and not has_background(folder):
        raise InputError(_no_noise(folder))
    pack = _packed(config, folder)
    labels = choose_labels(pack, data.words, unknown=data.unknown, silence=data.silence)
    corpus = _labelled(config, pack, labels)
    if data.test_url:
        source = Source(data.test_url, data.test_sha256, "data.test_url", "data.test_sha256")
        corpus = _with_test_archive(config, corpus, fetch(Path(data.dataroot), source))
    if data.synthetic_unknown:
        corpus = _with_synthetic(config, corpus)
    require_trainable(corpus)
    warn_of_few_for_validation(corpus)
    if data.sampling == "natural":
        warn_of_many_unknown(corpus)
    return corpus


def expect_data_sets(config: Config, run: Path) -> None:
    """Check that the data sets that a run began with are there, so that none is fetched or made.

    A run that is resumed elsewhere has its data sets elsewhere, too.

    Raises
    ------
    InputError
        Naming what is not there.
    """
    data = config.data
    dataroot, missing = Path(data.dataroot), ""
    if data.gsc_url == SYNTHETIC:
        folder = _spoken_corpus(config).folder(dataroot)
        if not folder.is_dir():
            missing = f"synthetic data set {folder.name}"
    elif not is_at_hand(dataroot, Source(data.gsc_url, data.gsc_sha256), _asked_for(config)):
        missing = f"data set {corpus_name(data.gsc_url)}"
    if not missing and data.test_url:
        source = Source(data.test_url, data.test_sha256, "data.test_url", "data.test_sha256")
        if not is_fetched(dataroot, source):
            missing = f"test archive {corpus_name(data.test_url)}"
    if not missing and data.synthetic_unknown and not (dataroot / SYNTHETIC_WORDS).is_dir():
        missing = f"folder {SYNTHETIC_WORDS} of synthetic words"
    if missing:
        raise InputError(
            f"data.dataroot = {data.dataroot!r}: expected the {missing} that the run in {run} "
            f"began with, found none in {dataroot.absolute()}: say where it lies by "
            "--set data.dataroot=DIR"
        )


def make_evaluation_corpus(
    config: Config,
    labels: tuple[str, ...],
    dataroot: Path | None = None,
    partition: str = "testing",
) -> Corpus:
    """Partition the data set that lies in ``dataroot``, or the one trained on, by given labels.

    A test archive that belongs to the latter is looked for where ``partition`` is "testing".

    Nothing is downloaded or synthesised: the configuration may be somebody else's. Recordings that
    cannot be read are warned of and left out.

    Raises
    ------
    InputError
        If there is no data set, it cannot be packed, or too much of it is unreadable.
    """
    data = config.data
    if dataroot is not None:
        folder = _found(dataroot, data.gsc_url, f"--dataroot {dataroot}")
        return _labelled(config, _packed(config, folder, cache="auto"), labels)
    trained_on = f"data.dataroot = {data.dataroot!r}, where training was"
    if data.gsc_url == SYNTHETIC and is_installed():
        folder = _spoken_corpus(config).folder(Path(data.dataroot))
        if not folder.is_dir():
            raise InputError(
                f"{trained_on}: expected the synthetic data set {folder.name} that it made, found "
                "none; train again, or name a data set with --dataroot DIR"
            )
    else:
        folder = _found(Path(data.dataroot), data.gsc_url, trained_on)
    corpus = _labelled(config, _packed(config, folder), labels)
    if not data.test_url or partition != "testing":
        return corpus
    archive = Path(data.dataroot) / CORPORA / corpus_name(data.test_url)
    if not archive.is_dir():
        raise InputError(
            f"data.test_url: expected the test archive that training unpacked in {archive}, found "
            "none; name it with --dataroot DIR"
        )
    return _with_test_archive(config, corpus, archive)


def _packed(config: Config, folder: Path, cache: str | None = None) -> Pack:
    pack = open_pack(folder, cache or config.data.cache, config.data.workers)
    expect_readable(pack, config.data.max_unreadable)
    return pack


def _found(dataroot: Path, gsc_url: str, origin: str) -> Path:
    folder = locate(dataroot, gsc_url)
    if folder is None:
        raise InputError(
            f"{origin}: expected one data set (a folder a word with recordings in it, there or "
            "under SpeechCommands), found none or several; name it with --dataroot DIR"
        )
    return folder


def _task_folder(config: Config) -> Path:
    data = config.data
    if data.gsc_url == SYNTHETIC:
        return _spoken_corpus(config).make(Path(data.dataroot))
    source = Source(data.gsc_url, data.gsc_sha256)
    return acquire(Path(data.dataroot), source, _asked_for(config))


def _asked_for(config: Config) -> tuple[str, ...]:
    """Return the words that are named; none where all are to be recognised."""
    return () if config.data.words == "all" else config.data.words


def _spoken_corpus(config: Config) -> SpokenCorpus:
    data, srnn = config.data, config.srnn
    words = SPEECH_COMMANDS_WORDS if data.words == "all" else data.words
    return SpokenCorpus(
        words,
        data.synthetic_clips,
        srnn.sample_rate,
        srnn.size,
        srnn.seed,
        others=SPEECH_COMMANDS_WORDS if data.unknown else (),
    )


def _with_synthetic(config: Config, corpus: Corpus) -> Corpus:
    """Return the corpus with the synthetic words that ``config`` asks for."""
    data, srnn = config.data, config.srnn
    # Nothing that sounds like a word that is held out is to be heard, either.
    noises = {noise_of(stretch.name) for stretch in corpus.background("validation")}
    unlike = [*keywords(corpus.labels), *sorted(corpus.held_out - noises)]
    folder = make_unknown_words(
        Path(data.dataroot),
        unlike,
        data.synthetic_unknown,
        srnn.sample_rate,
        srnn.size,
        srnn.seed,
    )
    return with_synthetic(corpus, _packed(config, folder))


def _with_test_archive(config: Config, corpus: Corpus, folder: Path) -> Corpus:
    """Return the corpus with the clips of a test archive for testing."""
    archive = _packed(config, folder)
    testing = _labelled(config, archive, corpus.labels, all_testing=True).partitions["testing"]
    if not testing:
        raise InputError(
            f"data.test_url: expected clips of {', '.join(corpus.labels)}, found none in {folder}"
        )
    return replace(
        corpus,
        packs=corpus.packs | {"testing": archive},
        partitions=corpus.partitions | {"testing": testing},
    )


def _labelled(
    config: Config, pack: Pack, labels: tuple[str, ...], *, all_testing: bool = False
) -> Corpus:
    return read_corpus(
        pack,
        labels,
        silence_clips=config.data.silence_clips,
        seed=config.srnn.seed,
        size=config.srnn.size,
        sample_rate=config.srnn.sample_rate,
        all_testing=all_testing,
        held_out=config.data.held_out,
    )
