# SPDX-License-Identifier: MPL-2.0
"""``srnn report``: a page about one run or several."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from loguru import logger

from srnn.commands import options
from srnn.errors import InputError
from srnn.log import set_up_logging

if TYPE_CHECKING:
    from srnn.instruments.listening.measure import Curves
    from srnn.runs.recogniser import Recogniser


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The HTML file; figures go into a folder beside it.  [default: report.html in RUN, if it "
    "is one run directory; otherwise in the working directory]",
)
@options.partition
@options.dataroot
@click.option(
    "--clip",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The recording whose spikes are shown.  [default: a typical clip of the partition]",
)
@click.option(
    "--stream",
    is_flag=True,
    help="Also measure misses and false alarms on streams; takes minutes.",
)
@options.negatives
@options.debug
def report(
    runs: tuple[Path, ...],
    output: Path | None,
    partition: Literal["testing", "validation"],
    dataroot: Path | None,
    clip: Path | None,
    stream: bool,
    negatives: tuple[Path, ...],
) -> None:
    """Write a page about RUN, or about several runs side by side.

    It has learning curves, confusions, precision and recall, the clips that were most surely wrong,
    spikes and potentials of a clip, time constants, firing rates, energy and the configuration.
    """
    several = len(runs) > 1
    for name, given in (("clip", clip), ("stream", stream)):
        if given and several:
            raise InputError(f"--{name}: expected one RUN with it, found {len(runs)}")
    if negatives and not stream:
        raise InputError("--negatives: expected --stream with it")
    file = output or (runs[0] / "report.html" if not several and runs[0].is_dir() else None)
    file = file or Path("report.html")
    if not file.parent.is_dir():
        raise InputError(f"{file}: expected a folder at {file.parent}, found none")
    set_up_logging("INFO")
    from srnn.instruments.report import write_report

    def streams(recogniser: "Recogniser") -> "Curves":
        from srnn.instruments.listening.calibration import measurer_of

        measurer = measurer_of(runs[0], recogniser, recogniser.config.listen)
        return measurer.scenes(partition, dataroot, negatives)

    folder = write_report(
        runs,
        file,
        partition=partition,
        dataroot=dataroot,
        clip=clip,
        streams=streams if stream else None,
    )
    logger.info("the report is {}, its figures are in {}", file, folder)
