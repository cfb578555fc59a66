# SPDX-License-Identifier: MPL-2.0
"""``srnn predict``: words in recordings."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from srnn.commands import options
from srnn.errors import InputError, printable

if TYPE_CHECKING:
    from srnn.runs.recogniser import Prediction, Recogniser


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
@click.option(
    "--raster",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PICTURE",
    help="Draw the spikes of the network for the one recording, and what they lead to, into "
    "PICTURE (.png, .svg or .pdf).",
)
@options.as_json
@options.debug
def predict(
    run: Path,
    files: tuple[Path, ...],
    top: int,
    windows: bool,
    picture: Path | None,
    as_json: bool,
) -> int:
    """Name the word in each FILE: any format, rate and length that soundfile reads.

    FILE may be a folder, for all recordings in it and below, or a pattern such as 'takes/**/*.wav'.
    """
    if picture:
        _expect_one(files, windows, picture)
    from srnn.runs.recogniser import load

    recogniser = load(run)
    failures = 0
    for file, answer in recogniser.predict_each(files, windows=windows):
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
        if picture and not isinstance(answer, InputError):
            _draw(recogniser, file, answer, picture)
    return 2 if failures else 0


def _expect_one(files: tuple[Path, ...], windows: bool, picture: Path) -> None:
    """Check, before the network is loaded, that one recording can be drawn.

    Raises
    ------
    InputError
        If it cannot.
    """
    from srnn.data.selection import select_recordings

    if windows:
        raise InputError("--raster: expected it without --all, found both")
    found = sum(len(select_recordings(file)) for file in files)
    if found != 1:
        raise InputError(f"--raster: expected one recording, found {found}")
    options.expect_picture("--raster", picture)


def _draw(recogniser: "Recogniser", file: Path, answer: "Prediction", picture: Path) -> None:
    """Draw what the network does with a recording."""
    from srnn import plot
    from srnn.instruments.clip import picture as picture_of

    title = f"{file.name}: {answer.label} ({answer.probability:.1%})"
    with plot.theme(transparent=False):
        plot.save(picture_of(recogniser, recogniser.waveform(file), title), picture)


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
