# SPDX-License-Identifier: MPL-2.0
"""``srnn listen`` and ``srnn calibrate``: keywords in streams."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from loguru import logger

from srnn.commands import options
from srnn.errors import InputError, printable
from srnn.log import set_up_logging

if TYPE_CHECKING:
    from srnn.config import Config
    from srnn.detection import ListenKeys


def _list_devices(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        from srnn.instruments.listening.sounds import devices

        click.echo(devices())
        context.exit()


@click.command()
@options.run
@click.argument(
    "sounds",
    nargs=-1,
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="[FILE... | -]",
)
@click.option("--device", help="Name or number of the microphone.  [default: the system's]")
@click.option(
    "--devices",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_devices,
    help="List the sound devices and exit.",
)
@click.option(
    "--rate",
    type=click.IntRange(1_000, 192_000),
    default=16_000,
    show_default=True,
    metavar="HZ",
    help="Sample rate of what is on stdin.",
)
@options.mode
@options.listen_overrides
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="P",
    help="Averaged probability of a detection.  [default: what `srnn calibrate` has found, or "
    "listen.threshold of the run]",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the sound before each detection to a file in DIR.",
)
@options.as_json
@options.debug
def listen(
    run: Path,
    sounds: tuple[Path, ...],
    device: str | None,
    rate: int,
    mode: Literal["windows", "stateful"] | None,
    overrides: tuple[str, ...],
    threshold: float | None,
    save: Path | None,
    as_json: bool,
) -> int:
    """Detect keywords in recordings of any length, or in raw 16-bit samples on stdin (-).

    FILE may be a folder, for all recordings in it and below, or a pattern.

    Without either, in what the microphone records. A line for each detection as it happens: time in
    the stream (s), word, averaged probability. Ctrl-C ends it.
    """
    from srnn.instruments.listening.calibration import Calibration
    from srnn.instruments.listening.report import Reporter
    from srnn.instruments.listening.session import Session
    from srnn.instruments.listening.sounds import microphone, raw, recording
    from srnn.runs.recogniser import load

    if device and sounds:
        raise InputError("--device: expected no FILE with it, found some")
    recogniser = load(run)
    set_up_logging(recogniser.config.logger.level)
    keys = listen_keys(recogniser.config, overrides, mode=mode, threshold=threshold)
    is_chosen = threshold is not None or any("listen.threshold" in each for each in overrides)
    calibration = None if is_chosen else Calibration.of(run)
    if calibration:
        calibration.expect(keys, run, "calibrate anew, or set --threshold")
    thresholds = calibration.thresholds if calibration else {}
    chosen = "calibrated thresholds" if calibration else f"threshold {keys.threshold:g}"
    logger.info("listening: {}, {}", keys.mode, chosen)
    sample_rate, failures = recogniser.config.srnn.sample_rate, 0
    for path in _each(sounds) if sounds else (None,):
        if isinstance(path, InputError):
            failures += 1
            click.echo(str(path), err=True)
            continue
        name = "microphone" if path is None else "stdin" if str(path) == "-" else str(path)
        session = Session(recogniser, keys, thresholds)
        with Reporter(session, name, sample_rate, save, as_json) as reporter:
            try:
                if path is None:
                    reporter.follow(microphone(sample_rate, device))
                elif str(path) == "-":
                    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as pipe:
                        reporter.follow(raw(pipe, rate, sample_rate, name))
                else:
                    reporter.follow(recording(path, sample_rate))
            except InputError as error:
                failures += 1
                reporter.fail(error)
    return 2 if failures else 0


def _each(sounds: Sequence[Path]) -> Iterator[Path | InputError]:
    """Yield the recordings that files, folders and patterns name, and `-`; or why there is none."""
    from srnn.data.selection import select_recordings

    for path in sounds:
        try:
            yield from [path] if str(path) == "-" else select_recordings(path)
        except InputError as error:
            yield error


@click.command()
@options.run
@click.option(
    "--false-alarms",
    type=click.FloatRange(0, 10_000, min_open=True),
    default=1.0,
    show_default=True,
    metavar="N",
    help="False alarms an hour that are allowed.",
)
@options.negatives
@options.mode
@options.listen_overrides
@options.dataroot
@options.debug
def calibrate(
    run: Path,
    false_alarms: float,
    negatives: tuple[Path, ...],
    mode: Literal["windows", "stateful"] | None,
    overrides: tuple[str, ...],
    dataroot: Path | None,
) -> None:
    """Choose the thresholds of `srnn listen RUN` for a number of false alarms an hour.

    They are counted in the background recordings of the validation partition and in --negatives,
    and kept in RUN, a run directory.
    """
    from srnn.instruments.listening.calibration import calibrate as choose
    from srnn.instruments.listening.measure import background, without_keywords
    from srnn.runs.evaluation import corpus_of
    from srnn.runs.recogniser import load
    from srnn.runs.resources import limit_threads

    if not run.is_dir():
        raise InputError(f"{run}: expected a run directory, to keep the thresholds in, found none")
    recogniser = load(run)
    set_up_logging(recogniser.config.logger.level)
    limit_threads()
    keys = listen_keys(recogniser.config, overrides, mode=mode)
    corpus = corpus_of(recogniser, "validation", dataroot, "plain")
    groups = [
        *background(recogniser, keys, corpus, "validation"),
        *without_keywords(recogniser, keys, negatives),
    ]
    traces = [each for group in groups for each in group.traces]
    if not traces:
        raise InputError("--negatives: expected recordings without keywords, found none")
    found = choose(traces, recogniser.labels, keys, false_alarms)
    if found.minutes * false_alarms < 60:
        logger.warning(
            "{:.1f} minutes without keywords are too few for {:g} false alarms an hour: give more "
            "--negatives, an hour or more",
            found.minutes,
            false_alarms,
        )
    for word, threshold in found.thresholds.items():
        click.echo(f"{printable(word)}: {threshold:.3f}")
    click.echo(f"{found.alarms} false alarms in {found.minutes:.1f} min")
    logger.info("the thresholds are in {}", found.save(run))


def listen_keys(
    config: "Config", overrides: Sequence[str], **options: str | float | None
) -> "ListenKeys":
    """Return the keys of [listen], those that overrides or options name replaced."""
    from srnn.config import with_overrides

    given = {name: value for name, value in options.items() if value is not None}
    return with_overrides(config, overrides, "listen").listen.model_copy(update=given)
