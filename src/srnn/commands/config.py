# SPDX-License-Identifier: MPL-2.0
"""``srnn config``: every key of a configuration."""

from pathlib import Path

import click

from srnn.commands import options


@click.command("config")
@click.argument("config", type=click.Path(path_type=Path))
@options.overrides
@options.debug
def show_config(config: Path, overrides: tuple[str, ...]) -> None:
    """Print CONFIG with every key: itself a valid configuration."""
    from srnn import config as configuration

    click.echo(configuration.to_toml(configuration.load(config, overrides)), nl=False)
