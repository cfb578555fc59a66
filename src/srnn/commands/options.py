# SPDX-License-Identifier: MPL-2.0
"""Options that several commands have."""

from pathlib import Path

import click

from srnn.errors import InputError

# `srnn.process.exit_code` reads the flag: an error may come before click has parsed anything.
debug = click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

overrides = click.option(
    "--set", "overrides", multiple=True, metavar="TABLE.KEY=VALUE", help="Override a key."
)


def expect_picture(option: str, file: Path) -> None:
    """Raise an `InputError` unless matplotlib can write a picture at ``file``."""
    from srnn.plot import picture_format

    picture_format(file)
    if not file.parent.is_dir():
        raise InputError(f"{option}: expected a folder at {file.parent}, found none")


run = click.argument("run", type=click.Path(path_type=Path))

partition = click.option(
    "--partition",
    type=click.Choice(["testing", "validation"]),
    default="testing",
    show_default=True,
)

dataroot = click.option(
    "--dataroot",
    type=click.Path(path_type=Path),
    help="Another data set, or a test archive.  [default: the one trained on]",
)

mode = click.option(
    "--mode",
    type=click.Choice(["windows", "stateful"]),
    help="How streams are classified: a window at a time, or all statefully.  "
    "[default: listen.mode of the run]",
)

negatives = click.option(
    "--negatives",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Recordings without keywords, in which false alarms are counted: a file, a folder or a "
    "pattern. Repeatable.",
)

listen_overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="listen.KEY=VALUE",
    help="Override a key of [listen], how streams are listened to.",
)
