# SPDX-License-Identifier: MPL-2.0
"""``srnn export``: a trained network for others than this package."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from srnn.commands import options
from srnn.errors import InputError
from srnn.log import set_up_logging

if TYPE_CHECKING:
    from srnn.runs.recogniser import Recogniser


@dataclass(frozen=True)
class _Asked:
    """The options of the command."""

    run: Path
    kind: str
    output: Path
    weights: Literal["float32", "int8"] | None
    dataroot: Path | None
    clips: tuple[Path, ...]
    count: int


def _to_c(recogniser: "Recogniser", output: Path, asked: _Asked) -> None:
    from srnn.export.c import export_c

    text = export_c(
        recogniser,
        output,
        weights=asked.weights or "float32",
        dataroot=asked.dataroot,
        recordings=asked.clips,
        count=asked.count,
    )
    click.echo(text)


_KINDS: dict[str, Callable[["Recogniser", Path, _Asked], None]] = {"c": _to_c}

# The kinds that each option is for, where it is not for all.
_OPTIONS = {"weights": ("c",)}


@click.command()
@options.run
@click.option("--to", "kind", type=click.Choice(list(_KINDS)), required=True, help="What to make.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="PATH",
    help="Where to write it; for c, a folder.",
)
@click.option(
    "--weights",
    type=click.Choice(["float32", "int8"]),
    help="c: how weights are stored; 8-bit integers have a scale for each neuron.  "
    "[default: float32]",
)
@options.dataroot
@click.option(
    "--clips",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Recordings that the result is checked on: a file, a folder or a pattern. Repeatable.  "
    "[default: the validation partition of the data set]",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    metavar="N",
    help="Check it on up to N clips.",
)
@options.debug
def export(**given: Any) -> None:
    """Make a program or a file of RUN that does without this package.

    It is compared with "srnn predict" on recordings before the command is done.

    c: a header and a source in C99 with features and network, that allocate nothing; and an example
    that reads raw sound and prints words.
    """
    asked = _Asked(**given)
    for option, kinds in _OPTIONS.items():
        if getattr(asked, option) is not None and asked.kind not in kinds:
            raise InputError(f"--{option}: expected --to {' or '.join(kinds)} with it")
    from srnn.runs.recogniser import load

    recogniser = load(asked.run)
    set_up_logging(recogniser.config.logger.level)
    _KINDS[asked.kind](recogniser, asked.output, asked)
