# SPDX-License-Identifier: MPL-2.0
"""What several keys of a configuration must satisfy together, and which have no effect."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from srnn.config.tables import AugmentConfig, Config, DataConfig, MelConfig, SrnnConfig
from srnn.config.writing import toml_value

_DELTA_FRAMES = 9  # librosa.feature.delta fits its slope over this many frames
_NARROW = 4000.0  # Hz: the reference's highest frequency, above which consonants are told apart


class BrokenRelation(NamedTuple):
    """Legal values that do not go together."""

    keys: tuple[str, ...]  # "table.key"; the first one takes the blame
    expected: str
    found: Any


def broken_relations(config: Config) -> Iterator[BrokenRelation]:
    """Yield everything that is wrong between the keys of `config`."""
    yield from _of_classes(config.data, config.srnn)
    yield from _of_framing(config)
    yield from _of_features(config.srnn, config.mel)
    yield from _of_neurons(config.srnn)
    yield from _of_augmentation(config.augment)


def idle_keys(config: Config) -> Iterator[str]:
    """Yield a sentence for each key that was changed to no effect.

    Whoever sweeps one of them measures nothing. They are no error: a configuration may be made for
    several neurons, or hold what a sweep turns off.
    """
    data, srnn, augment = config.data, config.srnn, config.augment
    by_current = srnn.neuron == "adaptive_current"
    rules = (
        (by_current, "srnn.neuron", "srnn.threshold srnn.adaptation srnn.tau_mem srnn.tau_adapt"),
        (not by_current, "srnn.neuron", "srnn.tau_mem_range srnn.tau_adapt_range"),
        (srnn.batch_norm, "srnn.batch_norm", "srnn.bias"),
        (
            srnn.encoder == "none",
            "srnn.encoder",
            "srnn.encoder_threshold srnn.encoder_learning_rate",
        ),
        (srnn.schedule != "step", "srnn.schedule", "srnn.schedule_epochs srnn.schedule_factor"),
        (not srnn.firing_penalty, "srnn.firing_penalty", "srnn.firing_target"),
        (config.mel.features == "reference", "mel.features", "mel.floor"),
        (data.sampling != "balanced", "data.sampling", "data.synthetic_share"),
        (not data.synthetic_unknown, "data.synthetic_unknown", "data.synthetic_share"),
        (data.gsc_url != "synthetic", "data.gsc_url", "data.synthetic_clips"),
        (not data.silence, "data.silence", "data.silence_clips augment.fresh_silence"),
        (not config.cuda.cuda, "cuda.cuda", "cuda.graphs"),
        (not augment.noise, "augment.noise", "augment.noise_level"),
        (not augment.time_masks, "augment.time_masks", "augment.time_mask"),
        (not augment.band_masks, "augment.band_masks", "augment.band_mask"),
    )
    usual = Config()
    for holds, beside, keys in rules:
        for key in keys.split() if holds else ():
            if _value(config, key) != _value(usual, key):
                yield (
                    f"{key} = {toml_value(_value(config, key))} has no effect beside "
                    f"{beside} = {toml_value(_value(config, beside))}"
                )


def doubtful_keys(config: Config) -> Iterator[str]:
    """Yield a sentence for what is legal but hardly meant."""
    if config.mel.features != "log_mel":
        return
    if config.data.normalisation != "standardise":
        yield (
            'mel.features = "log_mel" wants data.normalisation = "standardise" (found '
            f"{toml_value(config.data.normalisation)}): its values are far from 0"
        )
    if config.mel.fmax <= _NARROW < config.srnn.sample_rate / 2:
        widest = min(8000.0, config.srnn.sample_rate / 2)
        yield (
            f'mel.features = "log_mel" wants mel.fmax = {widest} (found {config.mel.fmax}): what '
            "lies above is not heard"
        )


def _value(config: Config, name: str) -> Any:
    table, key = name.split(".")
    return getattr(getattr(config, table), key)


def _of_classes(data: DataConfig, srnn: SrnnConfig) -> Iterator[BrokenRelation]:
    if data.words != "all" and len(data.words) == 1 and not (data.unknown or data.silence):
        yield BrokenRelation(
            ("data.words", "data.unknown", "data.silence"),
            "at least two words where data.unknown and data.silence are false",
            data.words,
        )

    if shared := [word for word in data.held_out if data.words != "all" and word in data.words]:
        yield BrokenRelation(("data.held_out", "data.words"), "no keyword", shared[0])

    if data.silence and data.silence_clips[0] == 0:
        yield BrokenRelation(
            ("data.silence_clips", "data.silence"),
            "training clips of silence (or data.silence = false)",
            data.silence_clips,
        )

    for key, none, found in (
        ("data.synthetic_unknown", 0, data.synthetic_unknown),
        ("srnn.unknown_readouts", 1, srnn.unknown_readouts),
    ):
        if found != none and not (data.unknown and data.words != "all"):
            yield BrokenRelation(
                (key, "data.unknown", "data.words"),
                f"{none} where there is no class `_unknown_` (data.unknown = false or "
                'data.words = "all")',
                found,
            )


def _of_framing(config: Config) -> Iterator[BrokenRelation]:
    srnn, mel = config.srnn, config.mel
    at_rate = f"at srnn.sample_rate = {srnn.sample_rate}"
    if mel.hop > mel.window:
        yield BrokenRelation(
            ("mel.hop", "mel.window"),
            f"a number <= mel.window = {mel.window} (sound between two windows is lost)",
            mel.hop,
        )
    elif not config.hop:
        yield BrokenRelation(
            ("mel.hop", "srnn.sample_rate"),
            f"at least one sample ({1000 / srnn.sample_rate:.3g} ms) {at_rate}",
            mel.hop,
        )
    elif srnn.size < config.n_fft:
        yield BrokenRelation(
            ("srnn.size", "srnn.sample_rate", "mel.window"),
            f"at least {config.n_fft} samples (mel.window = {mel.window} ms) {at_rate}",
            srnn.size,
        )
    elif mel.delta_order > 0 and config.frames < _DELTA_FRAMES:
        yield BrokenRelation(
            ("mel.delta_order", "srnn.size", "srnn.sample_rate", "mel.hop"),
            f"0 where a clip has fewer than {_DELTA_FRAMES} frames "
            f"(srnn.size = {srnn.size} {at_rate} makes {config.frames}, mel.hop = {mel.hop} ms)",
            mel.delta_order,
        )


def _of_features(srnn: SrnnConfig, mel: MelConfig) -> Iterator[BrokenRelation]:
    if mel.fmin >= mel.fmax:
        yield BrokenRelation(
            ("mel.fmin", "mel.fmax"), f"a number < mel.fmax = {mel.fmax}", mel.fmin
        )
    if mel.fmax > srnn.sample_rate / 2:
        yield BrokenRelation(
            ("mel.fmax", "srnn.sample_rate"),
            f"a number <= {srnn.sample_rate / 2} (half of srnn.sample_rate)",
            mel.fmax,
        )


def _of_neurons(srnn: SrnnConfig) -> Iterator[BrokenRelation]:
    if len(srnn.recurrent_layers) != len(srnn.layer_sizes):
        yield BrokenRelation(
            ("srnn.recurrent", "srnn.network_size"),
            f"a value for each of the {len(srnn.layer_sizes)} hidden layers",
            srnn.recurrent,
        )

    disordered = [
        name
        for name in ("tau_range", "tau_mem_range", "tau_adapt_range")
        if getattr(srnn, name)[0] >= getattr(srnn, name)[1]
    ]
    for name in disordered:
        yield BrokenRelation((f"srnn.{name}",), "low < high", getattr(srnn, name))
    if "tau_range" in disordered:
        return
    low, high = srnn.tau_range
    of_neuron = ("tau_mem", "tau_adapt") if srnn.neuron == "adaptive_threshold" else ()
    for name in (*of_neuron, "tau_readout"):
        mean, _ = getattr(srnn, name)
        if not low <= mean <= high:
            yield BrokenRelation(
                (f"srnn.{name}", "srnn.tau_range"),
                f"a mean within srnn.tau_range = [{low}, {high}]",
                mean,
            )


def _of_augmentation(augment: AugmentConfig) -> Iterator[BrokenRelation]:
    if abs(100 * augment.speed - round(100 * augment.speed)) > 1e-9:
        yield BrokenRelation(("augment.speed",), "a multiple of 0.01", augment.speed)
