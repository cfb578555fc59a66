# SPDX-License-Identifier: MPL-2.0
"""``srnn evaluate``: accuracy, robustness, and misses and false alarms on streams."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from loguru import logger

from srnn.commands import options
from srnn.commands.listen import listen_keys
from srnn.errors import InputError
from srnn.log import set_up_logging

if TYPE_CHECKING:
    from srnn.runs.recogniser import Recogniser

_SCENES = "\0"  # of --stream without a recording: no file has this name


@dataclass(frozen=True)
class _Asked:
    """The options of the command."""

    run: Path
    partition: Literal["testing", "validation"]
    dataroot: Path | None
    protocol: Literal["plain", "official"]
    robustness: bool
    stream: str | None
    labels: Path | None
    negatives: tuple[Path, ...]
    mode: Literal["windows", "stateful"] | None
    overrides: tuple[str, ...]
    picture: Path | None
    as_json: bool

    def check(self) -> None:
        """Check, before minutes of measurement, that the options go together.

        Raises
        ------
        InputError
            Which do not.
        """
        if self.robustness and self.stream:
            raise InputError("--robustness: expected it without --stream, found both")
        for name, given in (("negatives", self.negatives), ("mode", self.mode)):
            if given and not self.stream:
                raise InputError(f"--{name}: expected --stream with it")
        for each in self.overrides:
            if self.robustness:
                raise InputError(f"--set {each}: expected it without --robustness, found both")
            if each.strip().startswith("listen.") and not self.stream:
                raise InputError(f"--set {each}: expected --stream with it")
        if self.labels and self.stream in (None, _SCENES):
            raise InputError("--labels: expected --stream FILE with it")
        if self.stream not in (None, _SCENES) and not self.labels:
            raise InputError(f"--stream {self.stream}: expected --labels TSV with it")
        if self.picture:
            if not (self.robustness or self.stream):
                raise InputError(
                    "--picture: expected --robustness or --stream with it, found neither"
                )
            options.expect_picture("--picture", self.picture)


@click.command()
@options.run
@options.partition
@options.dataroot
@click.option(
    "--protocol",
    type=click.Choice(["plain", "official"]),
    default="plain",
    show_default=True,
    help="official: classes count equally, as do the words of _unknown_, and silence has all "
    "volumes.",
)
@click.option(
    "--robustness",
    is_flag=True,
    help="Measure it on altered recordings: gain, noise, shift, speed, low-pass, reverberation, "
    "and silence of each volume. Always by the official protocol.",
)
@click.option(
    "--stream",
    is_flag=False,
    flag_value=_SCENES,
    metavar="[FILE]",
    help="Measure it on streams, over the threshold: keywords missed in scenes of the partition, "
    "or in the recording FILE of --labels, and false alarms.",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="TSV",
    help="With --stream FILE: start (s), end (s) and word of each word in it, between tabs.",
)
@options.negatives
@options.mode
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="TABLE.KEY=VALUE",
    help="Override a key of [energy], what operations and memory accesses cost; with --stream, of "
    "[listen], how streams are listened to.",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With --robustness or --stream: draw the result into FILE (.png, .svg or .pdf).",
)
@options.as_json
@options.debug
def evaluate(**given: Any) -> None:
    """Measure the accuracy of RUN, a run directory (its best.safetensors) or a checkpoint file."""
    from srnn.runs.recogniser import load

    asked = _Asked(**given)
    asked.check()
    recogniser = load(asked.run)
    set_up_logging(recogniser.config.logger.level)
    if asked.stream:
        text, fields = _on_streams(recogniser, asked)
    elif asked.robustness:
        text, fields = _on_altered_recordings(recogniser, asked)
    else:
        text, fields = _on_clips(recogniser, asked)
    click.echo(json.dumps(fields, allow_nan=False) if asked.as_json else text)


def _on_clips(recogniser: "Recogniser", asked: _Asked) -> tuple[str, object]:
    from srnn.config import with_overrides
    from srnn.runs.evaluation import evaluate as evaluate_run
    from srnn.runs.evaluation_text import to_text

    costs = with_overrides(recogniser.config, asked.overrides, "energy").energy
    result = evaluate_run(recogniser, asked.partition, asked.dataroot, asked.protocol, costs)
    return to_text(result), result.to_json()


def _on_altered_recordings(recogniser: "Recogniser", asked: _Asked) -> tuple[str, object]:
    from srnn.instruments.robustness import draw, measure, to_json, to_text

    measurements = measure(recogniser, asked.partition, asked.dataroot)
    if asked.picture:
        draw(measurements, f"{asked.run}, {asked.partition}", asked.picture)
        logger.info("the picture is in {}", asked.picture)
    return to_text(measurements), to_json(measurements)


def _on_streams(recogniser: "Recogniser", asked: _Asked) -> tuple[str, object]:
    from srnn.instruments.listening.calibration import measurer_of
    from srnn.instruments.listening.stream_report import draw, to_json, to_text

    keys = listen_keys(recogniser.config, asked.overrides, mode=asked.mode)
    measurer = measurer_of(asked.run, recogniser, keys)
    if asked.labels:
        place = str(asked.stream)
        curves = measurer.labelled(Path(place), asked.labels, asked.negatives)
    else:
        place = asked.partition
        curves = measurer.scenes(asked.partition, asked.dataroot, asked.negatives)
    if asked.picture:
        draw(curves, f"{asked.run}, {place}, {keys.mode}", asked.picture)
        logger.info("the picture is in {}", asked.picture)
    return to_text(curves), to_json(curves)
