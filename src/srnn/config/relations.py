# SPDX-License-Identifier: MPL-2.0
"""Relations between keys of several components."""

from collections.abc import Iterator

from srnn.config.effects import idle_beside, values
from srnn.config.tables import Config, DataConfig, SrnnConfig
from srnn.features.reference import DELTA_WIDTH, MelKeys, MelSpec
from srnn.settings import BrokenRelation, Keys


def broken_relations(config: Config) -> Iterator[BrokenRelation]:
    """Yield the broken relations between the keys of `config`."""
    every = values(config)
    for relation in _of_components(config):
        first, *others = relation.keys
        if not (others and any(idle_beside(first, every))):  # a key that nothing reads may differ
            yield relation
    yield from _of_classes(config.data, config.srnn)
    yield from _of_framing(config)
    yield from _of_features(config.srnn, config.mel)


def _of_components(config: Config) -> Iterator[BrokenRelation]:
    for _, table in config:
        for component in type(table).__mro__:
            if issubclass(component, Keys) and "broken_relations" in vars(component):
                yield from component.broken_relations(table)


def _of_classes(data: DataConfig, srnn: SrnnConfig) -> Iterator[BrokenRelation]:
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
    if mel.hop > mel.window:  # which its own keys report
        return
    spec = MelSpec.from_keys(mel, srnn)
    if not spec.hop:
        yield BrokenRelation(
            ("mel.hop", "srnn.sample_rate"),
            f"at least one sample ({1000 / srnn.sample_rate:.3g} ms) {at_rate}",
            mel.hop,
        )
    elif srnn.size < spec.n_fft:
        yield BrokenRelation(
            ("srnn.size", "srnn.sample_rate", "mel.window"),
            f"at least {spec.n_fft} samples (mel.window = {mel.window} ms) {at_rate}",
            srnn.size,
        )
    elif mel.delta_order > 0 and spec.frames < DELTA_WIDTH:
        yield BrokenRelation(
            ("mel.delta_order", "srnn.size", "srnn.sample_rate", "mel.hop"),
            f"0 where a clip has fewer than {DELTA_WIDTH} frames "
            f"(srnn.size = {srnn.size} {at_rate} makes {spec.frames}, mel.hop = {mel.hop} ms)",
            mel.delta_order,
        )


def _of_features(srnn: SrnnConfig, mel: MelKeys) -> Iterator[BrokenRelation]:
    if mel.fmax > srnn.sample_rate / 2:
        yield BrokenRelation(
            ("mel.fmax", "srnn.sample_rate"),
            f"a number <= {srnn.sample_rate / 2} (half of srnn.sample_rate)",
            mel.fmax,
        )
