# SPDX-License-Identifier: MPL-2.0
"""``srnn bench``: speed and memory on this machine."""

from pathlib import Path

import click

from srnn.commands import options
from srnn.errors import InputError
from srnn.files import write_text


@click.command()
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
@options.debug
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
