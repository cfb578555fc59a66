# SPDX-License-Identifier: MPL-2.0
"""The command ``srnn``: its commands and their options.

Logs and errors go to stderr, results to stdout. A command imports what needs torch when it is
called, so that ``--help`` answers at once.
"""

import difflib
import itertools
import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

import click
from loguru import logger

import srnn
from srnn.errors import DivergenceError, InputError, printable
from srnn.files import write_text
from srnn.log import set_up_logging
from srnn.process import exit_code, open_standard_streams
from srnn.training.interrupt import Interrupted

if TYPE_CHECKING:
    from srnn.config import Config
    from srnn.detection import ListenKeys
    from srnn.runs.directory import RunDirectory
    from srnn.runs.recogniser import Prediction

_EXAMPLES = """
\b
Examples:
  srnn config-v1-cuda.toml                      train on Speech Commands
  srnn my.toml --set srnn.epochs=5 --run-dir a  train with a key changed, into a/
  srnn --run-dir a --resume                     go on after an interruption
  srnn my.toml --run-dir b --seeds 3            three runs, mean and standard deviation
  srnn evaluate a --partition validation        accuracy of that partition
  srnn predict a yes.wav takes/ --top 3         words in recordings of one's own
  srnn predict a meeting.flac --all             a word for each second of it
  srnn listen a                                 keywords that the microphone records
  srnn config my.toml                           every key and its value
"""


class _TrainByDefault(click.Group):
    """A group whose command is ``train`` where the first argument is neither command nor option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        options = list(itertools.takewhile(own.__contains__, args))
        rest = args[len(options) :]
        if rest and rest[0] not in self.commands:
            near = difflib.get_close_matches(rest[0], self.commands, n=1)
            if near and not (rest[0].endswith(".toml") or Path(rest[0]).exists()):
                raise click.UsageError(f"{rest[0]}: unknown command; did you mean {near[0]}?")
            args = [*options, "train", *rest]
        return super().parse_args(ctx, args)


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    open_standard_streams()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    return exit_code(cli, arguments)


# `exit_code` reads the flag itself: an error may come before click has parsed anything.
_debug = click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_overrides = click.option(
    "--set", "overrides", multiple=True, metavar="TABLE.KEY=VALUE", help="Override a key."
)


_CONTEXT = {"max_content_width": 100, "help_option_names": ["-h", "--help"]}


def _list_devices(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        from srnn.instruments.listening.sounds import devices

        click.echo(devices())
        context.exit()


@click.group(cls=_TrainByDefault, epilog=_EXAMPLES, context_settings=_CONTEXT)
@click.version_option(srnn.__version__, message="srnn %(version)s")
@_debug
def cli() -> None:
    """Train adaptive spiking recurrent networks to recognise spoken keywords.

    "srnn CONFIG.toml" trains; the commands below use the run directory.
    """


@cli.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@_overrides
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for the results.  [default: runs/CONFIG-TIME]",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the run in --run-dir, for which CONFIG is not needed; with CONFIG, begin it "
    "where there is none yet.",
)
@click.option(
    "--init",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Start from the weights of another run.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Train N runs, with seeds from srnn.seed on, and print a table of them.",
)
@_debug
def train(
    config: Path | None,
    overrides: tuple[str, ...],
    run_dir: Path | None,
    resume: bool,
    init: Path | None,
    seeds: int | None,
) -> int:
    """Train a network by the configuration CONFIG (the default command).

    CONFIG is a TOML file; a bare name is looked up here, in configs/, then in the package.
    """
    from srnn import config as configuration
    from srnn.runs.plan import Request, make_plan, resuming_arguments
    from srnn.runs.start import saved_progress

    if config:
        configuration.find(config)
    if resume and run_dir is None:
        raise InputError("--resume: expected --run-dir DIR with it, found none")
    if not (config or resume):
        raise click.UsageError(
            "Missing argument 'CONFIG' (only --run-dir DIR --resume does without)",
            click.get_current_context(),
        )
    request = Request(config, overrides, run_dir, resume, init, seeds)
    plan = make_plan(request)
    if not resume:
        for run in plan.runs:
            run.expect_unused()
    diverged = []
    for number, (run, settings) in enumerate(plan.runs.items(), start=1):
        title = f"run {number} of {seeds}, seed {settings.srnn.seed}" if seeds else ""
        try:
            _train_one(settings, run, resume, init, title, first=number == 1 or resume)
        except DivergenceError as error:
            if not seeds:
                raise
            logger.error("{}: {}; the other seeds go on", run.path, error)
            diverged.append(run)
        except Interrupted:
            logger.info("{}", saved_progress(run))
            logger.info("go on with: {}", _shell(*resuming_arguments(request, plan, run)))
            raise
    if seeds:
        from srnn.runs.seeds import summary

        if finished := [run for run in plan.runs if run not in diverged]:
            click.echo(summary(finished))
    else:
        _log_next_steps(settings, plan.path)
    return 1 if diverged else 0


def _train_one(
    settings: "Config",
    run: "RunDirectory",
    resume: bool,
    init: Path | None,
    title: str,
    *,
    first: bool,
) -> None:
    """Train or resume one run, with its log in its directory.

    ``title`` names it among several, and ``first`` is whether it is the first of them.
    """
    from srnn.runs.start import prepared_run
    from srnn.runs.train import train as train_run

    with prepared_run(settings, run, resume=resume, init=init) as start:
        if start.is_finished:
            set_up_logging(settings.logger.level)
            logger.info("{}: this run is finished, nothing is left to do", run.path)
            return
        set_up_logging(settings.logger.level, run.log)
        if title:
            logger.info("{}", title)
        train_run(settings, run, start, first=first)
        logger.info("the run is in {}", run.path)


def _log_next_steps(settings: "Config", run: Path) -> None:
    from srnn.data.sources.synthetic.keys import NAME

    logger.info("next, your own recording: {}", _shell("predict", run, "YOUR.wav"))
    if settings.data.gsc_url == NAME:
        real = _shell("config-v1-cuda.toml")
        logger.info("or real voices instead of synthetic ones: {} (downloads 1.5 GB)", real)


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--partition",
    type=click.Choice(["testing", "validation"]),
    default="testing",
    show_default=True,
)
@click.option(
    "--dataroot",
    type=click.Path(path_type=Path),
    help="Another data set, or a test archive.  [default: the one trained on]",
)
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
    is_flag=True,
    help="Measure it on streams: keywords missed and false alarms, over the threshold.",
)
@click.option(
    "--negatives",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="With --stream: recordings without keywords, a file, a folder or a pattern. Repeatable.",
)
@click.option(
    "--mode",
    type=click.Choice(["windows", "stateful"]),
    help="With --stream: see `srnn listen`.  [default: listen.mode of the run]",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With --robustness or --stream: draw the result into FILE (.png, .svg or .pdf).",
)
@_json
@_debug
def evaluate(
    run: Path,
    partition: Literal["testing", "validation"],
    dataroot: Path | None,
    protocol: Literal["plain", "official"],
    robustness: bool,
    stream: bool,
    negatives: tuple[Path, ...],
    mode: Literal["windows", "stateful"] | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Measure the accuracy of RUN, a run directory (its best.safetensors) or a checkpoint file."""
    if robustness and stream:
        raise InputError("--robustness: expected it without --stream, found both")
    if (negatives or mode) and not stream:
        raise InputError(f"--{'negatives' if negatives else 'mode'}: expected --stream with it")
    if stream:
        _evaluate_stream(run, partition, dataroot, negatives, mode, picture, as_json)
        return
    if robustness:
        _evaluate_robustness(run, partition, dataroot, picture, as_json)
        return
    if picture:
        raise InputError("--picture: expected --robustness or --stream with it, found neither")
    from srnn.runs.evaluation import evaluate as evaluate_run
    from srnn.runs.recogniser import load
    from srnn.runs.report import report

    recogniser = load(run)
    set_up_logging(recogniser.config.logger.level)
    result = evaluate_run(recogniser, partition, dataroot, protocol)
    click.echo(json.dumps(result.to_json(), allow_nan=False) if as_json else report(result))


def _evaluate_robustness(
    run: Path,
    partition: Literal["testing", "validation"],
    dataroot: Path | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    from srnn.instruments.robustness import draw, measure, to_json, to_text
    from srnn.runs.recogniser import load

    _expect_drawable(picture)
    recogniser = load(run)
    set_up_logging(recogniser.config.logger.level)
    measurements = measure(recogniser, partition, dataroot)
    if picture:
        draw(measurements, f"{run}, {partition}", picture)
        logger.info("the picture is in {}", picture)
    click.echo(json.dumps(to_json(measurements)) if as_json else to_text(measurements))


def _evaluate_stream(
    run: Path,
    partition: Literal["testing", "validation"],
    dataroot: Path | None,
    negatives: tuple[Path, ...],
    mode: Literal["windows", "stateful"] | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    from srnn.instruments.listening.measure import measure
    from srnn.instruments.listening.stream_report import draw, to_json, to_text
    from srnn.runs.recogniser import load

    _expect_drawable(picture)
    recogniser = load(run)
    set_up_logging(recogniser.config.logger.level)
    keys = _listen_keys(recogniser.config, mode=mode)
    words, false = measure(recogniser, keys, partition, dataroot, negatives)
    if picture:
        draw(words, false, f"{run}, {partition}, {keys.mode}", picture)
        logger.info("the picture is in {}", picture)
    click.echo(json.dumps(to_json(words, false)) if as_json else to_text(words, false))


def _listen_keys(config: "Config", **options: str | float | None) -> "ListenKeys":
    """Return the keys of [listen], those that options name replaced."""
    given = {name: value for name, value in options.items() if value is not None}
    return config.listen.model_copy(update=given)


def _expect_drawable(picture: Path | None) -> None:
    """Check, before minutes of measurement, that a picture can be drawn."""
    from srnn.instruments.robustness import picture_format

    if picture:
        picture_format(picture)
        if not picture.parent.is_dir():
            raise InputError(f"--picture: expected a folder at {picture.parent}, found none")


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="K",
    help="Print the K most probable words.",
)
@click.option(
    "--all",
    "windows",
    is_flag=True,
    help="Judge all of a longer recording, a line for each second, not its loudest second alone.",
)
@_json
@_debug
def predict(run: Path, files: tuple[Path, ...], top: int, windows: bool, as_json: bool) -> int:
    """Name the word in each FILE: any format, rate and length that soundfile reads.

    FILE may be a folder, for all recordings in it and below, or a pattern such as 'takes/**/*.wav'.
    """
    from srnn.runs.recogniser import load

    failures = 0
    for file, answer in load(run).predict_each(files, windows=windows):
        if isinstance(answer, InputError):
            failures += 1
            if as_json:
                click.echo(json.dumps({"file": str(file), "error": str(answer)}))
            else:
                click.echo(str(answer), err=True)
        elif as_json:
            fields = {"file": str(file), **answer._asdict(), "unsure": answer.unsure}
            click.echo(json.dumps(fields, allow_nan=False))
        else:
            when = f"{answer.start:.2f} s: " if windows else ""
            click.echo(f"{printable(file)}: {when}{_answer(answer, top, windows)}")
    return 2 if failures else 0


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
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
@click.option(
    "--mode",
    type=click.Choice(["windows", "stateful"]),
    help="Classify a window at a time, or all statefully.  [default: listen.mode of the run]",
)
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
@_json
@_debug
def listen(
    run: Path,
    sounds: tuple[Path, ...],
    device: str | None,
    rate: int,
    mode: Literal["windows", "stateful"] | None,
    threshold: float | None,
    save: Path | None,
    as_json: bool,
) -> int:
    """Detect keywords in recordings of any length, or in raw 16-bit samples on stdin (-).

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
    keys = _listen_keys(recogniser.config, mode=mode, threshold=threshold)
    calibration = Calibration.of(run, keys) if threshold is None else None
    thresholds = calibration.thresholds if calibration else {}
    sample_rate, failures = recogniser.config.srnn.sample_rate, 0
    for path in sounds or (None,):
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


@cli.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--false-alarms",
    type=click.FloatRange(0, 10_000, min_open=True),
    default=1.0,
    show_default=True,
    metavar="N",
    help="False alarms an hour that are allowed.",
)
@click.option(
    "--negatives",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Recordings without keywords: a file, a folder or a pattern. Repeatable.",
)
@click.option(
    "--mode",
    type=click.Choice(["windows", "stateful"]),
    help="See `srnn listen`.  [default: listen.mode of the run]",
)
@click.option("--dataroot", type=click.Path(path_type=Path), help="Where the data set lies.")
@_debug
def calibrate(
    run: Path,
    false_alarms: float,
    negatives: tuple[Path, ...],
    mode: Literal["windows", "stateful"] | None,
    dataroot: Path | None,
) -> None:
    """Choose the thresholds of `srnn listen RUN` for a number of false alarms an hour.

    They are counted in the background recordings of the validation partition and in --negatives,
    and kept in RUN, a run directory.
    """
    from srnn.instruments.listening.calibration import calibrate as choose
    from srnn.instruments.listening.measure import sounds_without_keywords
    from srnn.runs.evaluation import corpus_of
    from srnn.runs.recogniser import load
    from srnn.runs.resources import limit_threads

    recogniser = load(run)
    set_up_logging(recogniser.config.logger.level)
    limit_threads()
    keys = _listen_keys(recogniser.config, mode=mode)
    corpus = corpus_of(recogniser, "validation", dataroot, "plain")
    sounds = sounds_without_keywords(recogniser, keys, corpus, "validation", negatives)
    courses = [each for group in sounds for each in group.courses]
    if not courses:
        raise InputError("--negatives: expected recordings without keywords, found none")
    found = choose(courses, recogniser.labels, keys, false_alarms)
    for word, threshold in found.thresholds.items():
        click.echo(f"{printable(word)}: {threshold:.3f}")
    click.echo(f"{found.alarms} false alarms in {found.minutes:.1f} min")
    logger.info("the thresholds are in {}", found.save(run))


@cli.command()
@click.option(
    "--json",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the figures to FILE.",
)
@click.option("--quick", is_flag=True, help="Fewer sizes and repetitions: under a minute.")
@click.option(
    "--dataroot",
    type=click.Path(path_type=Path),
    help="Data set to train an epoch on.  [default: noise]",
)
@_debug
def bench(file: Path | None, quick: bool, dataroot: Path | None) -> None:
    """Measure speed and memory here, beside a loop over time steps, an LSTM and librosa.

    On the CPU, and on the GPU if there is one.
    """
    from srnn.instruments.bench import FULL, QUICK, to_json, to_text
    from srnn.instruments.bench import bench as run_bench

    if file and not file.absolute().parent.is_dir():
        raise InputError(f"--json {file}: expected an existing directory, found none")
    report = run_bench(QUICK if quick else FULL, dataroot)
    click.echo(to_text(report))
    if file:
        write_text(file, to_json(report))


@cli.command("config")
@click.argument("config", type=click.Path(path_type=Path))
@_overrides
@_debug
def show_config(config: Path, overrides: tuple[str, ...]) -> None:
    """Print CONFIG with every key: itself a valid configuration."""
    from srnn import config as configuration

    click.echo(configuration.to_toml(configuration.load(config, overrides)), nl=False)


def _shell(*arguments: str | Path) -> str:
    """Return a command line that starts this program as it was started."""
    if "PDM_PROJECT_ROOT" in os.environ:
        program = ["pdm", "run", "srnn"]
    elif Path(sys.argv[0]).name == "__main__.py":  # python -m srnn
        program = [sys.executable, "-m", "srnn"]
    else:
        program = ["srnn" if shutil.which("srnn") else sys.argv[0]]
    return shlex.join([*program, *map(str, arguments)])


def _answer(prediction: "Prediction", top: int, windows: bool) -> str:
    """Return the most probable words, with remarks in brackets."""
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    words = "  ".join(f"{label} {probability:.1%}" for label, probability in ranked[:top])
    start, end, duration = prediction.start, prediction.end, prediction.duration
    remarks = []
    if prediction.digital_silence:
        remarks.append("digital silence: nothing to recognise")
    elif prediction.unsure:
        remarks.append("unsure")
    if not windows and end - start < duration:
        remarks.append(f"the loudest {end - start:g} s of {duration:.2f} s, from {start:.2f} s on")
    return f"{words}  ({'; '.join(remarks)})" if remarks else words
