# SPDX-License-Identifier: MPL-2.0
"""From a configuration to the parts of a run: corpus, feature specification, network, device."""

import logging
from dataclasses import replace
from pathlib import Path

import torch

from srnn.config import Config
from srnn.data.acquire import Source, acquire, fetch, locate
from srnn.data.corpus import Corpus, choose_labels, read_corpus, require_trainable
from srnn.data.pack import Pack, expect_readable, open_pack
from srnn.data.voices import SPEECH_COMMANDS_WORDS, make_corpus
from srnn.errors import InputError
from srnn.features.reference import MelSpec
from srnn.network.model import SpikingNetwork
from srnn.network.neuron import Neuron, Spread
from srnn.network.surrogate import SURROGATES

SYNTHETIC = "synthetic"

_log = logging.getLogger(__name__)


def make_device(config: Config) -> torch.device:
    """Return the CUDA device where one is wanted and there, else the CPU, with a warning."""
    if not config.cuda.cuda:
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    _log.warning("cuda.cuda = true, but no CUDA device was found: computing on the CPU")
    return torch.device("cpu")


def make_spec(config: Config) -> MelSpec:
    """Return the features that ``config`` describes."""
    srnn, mel = config.srnn, config.mel
    return MelSpec(
        size=srnn.size,
        sample_rate=srnn.sample_rate,
        n_fft=srnn.n_fft,
        hop=srnn.hop,
        n_mels=mel.n_mels,
        fmin=mel.fmin,
        fmax=mel.fmax,
        delta_order=mel.delta_order,
        stack=mel.stack,
    )


def make_network(config: Config, classes: int) -> SpikingNetwork:
    """Return a network with fresh weights, drawn from torch's global random generator."""
    srnn = config.srnn
    channels, _, bands = make_spec(config).shape
    neuron = Neuron(
        threshold=srnn.threshold,
        adaptation=srnn.adaptation,
        tau_mem=Spread(*srnn.tau_mem, srnn.tau_range),
        tau_adapt=Spread(*srnn.tau_adapt, srnn.tau_range),
        surrogate=SURROGATES[srnn.surrogate],
    )
    return SpikingNetwork(
        channels * bands,
        srnn.layer_sizes,
        classes,
        bias=srnn.bias,
        neuron=neuron,
        encoder_threshold=srnn.encoder_threshold,
        tau_readout=Spread(*srnn.tau_readout, srnn.tau_range),
        backend=srnn.backend,
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
    data, pack = config.data, _packed(config, _task_folder(config))
    labels = choose_labels(pack, data.words, unknown=data.unknown, silence=data.silence)
    corpus = _task_corpus(config, pack, labels)
    require_trainable(corpus)
    return corpus


def make_evaluation_corpus(
    config: Config, labels: tuple[str, ...], dataroot: Path | None = None
) -> Corpus:
    """Partition the data set that lies in ``dataroot``, or the one trained on, by given labels.

    Nothing is downloaded but a test archive that the configuration names. Recordings that cannot be
    read are warned of and left out.

    Raises
    ------
    InputError
        If there is no data set, it cannot be packed, or too much of it is unreadable.
    """
    data = config.data
    if dataroot is not None:
        folder = _found(dataroot, data.gsc_url, f"--dataroot {dataroot}")
        return _labelled(config, _packed(config, folder), labels)
    if data.gsc_url == SYNTHETIC:
        folder = _task_folder(config)
    else:
        trained_on = f"data.dataroot = {data.dataroot!r}, where training was"
        folder = _found(Path(data.dataroot), data.gsc_url, trained_on)
    return _task_corpus(config, _packed(config, folder), labels)


def _packed(config: Config, folder: Path) -> Pack:
    pack = open_pack(folder, config.data.cache, config.data.workers)
    expect_readable(pack, config.data.max_unreadable)
    return pack


def _found(dataroot: Path, gsc_url: str, origin: str) -> Path:
    folder = locate(dataroot, gsc_url)
    if folder is None:
        raise InputError(
            f"{origin}: expected one data set (a folder a word with *.wav files in it, there or "
            "under SpeechCommands), found none or several; name it with --dataroot DIR"
        )
    return folder


def _task_folder(config: Config) -> Path:
    data, srnn = config.data, config.srnn
    dataroot = Path(data.dataroot)
    if data.gsc_url != SYNTHETIC:
        return acquire(dataroot, Source(data.gsc_url, data.gsc_sha256))
    words = list(SPEECH_COMMANDS_WORDS) if data.words == "all" else list(data.words)
    if data.unknown:
        words += [word for word in SPEECH_COMMANDS_WORDS if word not in words]
    return make_corpus(
        dataroot, words, data.synthetic_clips, srnn.sample_rate, srnn.size, srnn.seed
    )


def _task_corpus(config: Config, pack: Pack, labels: tuple[str, ...]) -> Corpus:
    corpus = _labelled(config, pack, labels)
    data = config.data
    if not data.test_url:
        return corpus
    source = Source(data.test_url, data.test_sha256, "data.test_url", "data.test_sha256")
    archive = _packed(config, fetch(Path(data.dataroot), source))
    testing = _labelled(config, archive, labels, all_testing=True).partitions["testing"]
    if not testing:
        raise InputError(
            f"data.test_url: expected clips of {', '.join(labels)}, found none in {archive.folder}"
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
    )
