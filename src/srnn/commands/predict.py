# SPDX-License-Identifier: MPL-2.0
"""``srnn predict``: words in recordings."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from srnn.commands import options
from srnn.errors import InputError, printable

if TYPE_CHECKING:
    from srnn.runs.recogniser import Prediction


@click.command()
@options.run
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
@options.as_json
@options.debug
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
