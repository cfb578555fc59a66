# SPDX-License-Identifier: MPL-2.0
"""From a configuration to the parts of a run: task, feature specification, network, device."""

import torch

from srnn.config import Config
from srnn.data.augment import Augmentation, Augmenter
from srnn.data.corpus import Corpus
from srnn.data.preparation import no_noise
from srnn.data.task import Task
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
    background = corpus.training_background(srnn.size, srnn.sample_rate, device)
    if augmentation.noise and not background.names:
        raise InputError(no_noise(corpus.place))
    return Augmenter(augmentation, background, corpus.partitions["training"], srnn.seed)


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
        spec = MelSpec.from_keys(config.mel, config.srnn)
        channels, bands = len(spec.orders), spec.n_mels
        fill = torch.zeros(channels, bands) if normaliser.mean is None else normaliser.mean
        variations.append(Masker(masking, fill.to(device), seed))
    if augment.mixup:
        variations.append(Mixer(augment.mixup, seed))
    return variations


def make_network(config: Config, classes: int) -> SpikingNetwork:
    """Return a network with fresh weights, drawn from torch's global random generator."""
    srnn = config.srnn
    return SpikingNetwork(
        MelSpec.from_keys(config.mel, srnn).inputs,
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


def make_task(config: Config) -> Task:
    """Return what the data set of ``config`` is prepared for."""
    srnn = config.srnn
    return Task(config.data, srnn.sample_rate, srnn.size, srnn.seed)
