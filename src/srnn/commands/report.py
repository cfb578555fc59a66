# SPDX-License-Identifier: MPL-2.0
"""``srnn report``: a page about one run, several, or a sweep."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource
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
    """Write a page about RUN, or about several runs side by side; or about a sweep, its directory.

    It has learning curves, confusions, precision and recall, the clips that were most surely wrong,
    spikes and potentials of a clip, time constants, firing rates, energy and the configuration. Of
    a sweep: accuracy against spikes, what keys matter, all trials and why some failed.
    """
    file = output or _default_file(runs)
    is_sweep = _is_sweep(runs)
    if not is_sweep:
        for name, given in (("clip", clip), ("stream", stream)):
            if given and len(runs) > 1:
                raise InputError(f"--{name}: expected one RUN with it, found {len(runs)}")
        if negatives and not stream:
            raise InputError("--negatives: expected --stream with it")
    if not file.parent.is_dir():
        raise InputError(f"{file}: expected a folder at {file.parent}, found none")
    set_up_logging("INFO")
    if is_sweep:
        folder = _write_sweep_report(runs[0], file)
    else:
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


def _write_sweep_report(directory: Path, file: Path) -> Path:
    from srnn.packages import expect_packages

    expect_packages("srnn report", "sweep", "optuna")
    from srnn.instruments.report.sweep import write_sweep_report

    return write_sweep_report(directory, file)


def _default_file(runs: Sequence[Path]) -> Path:
    name = "report.html"
    return runs[0] / name if len(runs) == 1 and runs[0].is_dir() else Path(name)


def _is_sweep(runs: Sequence[Path]) -> bool:
    """Whether a sweep is reported on.

    Raises
    ------
    InputError
        If there is something else beside it, or an option that only reports of runs have.
    """
    from srnn.sweeps.reading import FILE

    sweeps = [path for path in runs if (path / FILE).is_file()]
    if not sweeps:
        return False
    if len(runs) > 1:
        raise InputError(
            f"{sweeps[0]}: expected a sweep alone, or runs, found a sweep and {len(runs) - 1} more"
        )
    context = click.get_current_context()
    for name in ("partition", "dataroot", "clip", "stream", "negatives"):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise InputError(
                f"--{name}: expected a RUN with it, found the directory of a sweep, {sweeps[0]}"
            )
    return True
