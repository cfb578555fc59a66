# SPDX-License-Identifier: MPL-2.0
"""The command ``srnn``.

Logs and errors go to stderr, results to stdout. A command imports what needs torch when it is
called, so that ``--help`` answers at once.
"""

import difflib
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

import srnn
from srnn.commands import options
from srnn.commands.bench import bench
from srnn.commands.config import show_config
from srnn.commands.evaluate import evaluate
from srnn.commands.export import export
from srnn.commands.listen import calibrate, listen
from srnn.commands.models import card, models
from srnn.commands.predict import predict
from srnn.commands.report import report
from srnn.commands.sweep import sweep
from srnn.commands.train import train
from srnn.process import exit_code, open_standard_streams

_EXAMPLES = """
\b
Examples:
  srnn config-v1-cuda.toml                      train on Speech Commands
  srnn my.toml --set srnn.epochs=5 --run-dir a  train with a key changed, into a/
  srnn --run-dir a --resume                     go on after an interruption
  srnn my.toml --run-dir b --seeds 3            three runs, mean and standard deviation
  srnn sweep lr.toml --jobs 2                   many runs that differ in some keys
  srnn evaluate a --partition validation        accuracy of that partition
  srnn predict a yes.wav takes/ --top 3         words in recordings of one's own
  srnn predict a meeting.flac --all             a word for each second of it
  srnn report a                                 a page about a run: curves, spikes, energy
  srnn listen a                                 keywords that the microphone records
  srnn export a --to c -o a-c                   a C program of it
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


_CONTEXT = {"max_content_width": 100, "help_option_names": ["-h", "--help"]}


@click.group(cls=_TrainByDefault, epilog=_EXAMPLES, context_settings=_CONTEXT)
@click.version_option(srnn.__version__, message="srnn %(version)s")
@options.debug
def cli() -> None:
    """Train adaptive spiking recurrent networks to recognise spoken keywords.

    "srnn CONFIG.toml" trains; the commands below use the run directory.
    """


for _command in (
    train,
    sweep,
    evaluate,
    predict,
    report,
    listen,
    calibrate,
    export,
    models,
    card,
    bench,
    show_config,
):
    cli.add_command(_command)
