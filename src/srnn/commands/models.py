# SPDX-License-Identifier: MPL-2.0
"""``srnn models`` and ``srnn card``: the networks of the package, and model cards."""

from pathlib import Path
from typing import Literal

import click
from loguru import logger

from srnn.commands import options
from srnn.errors import InputError
from srnn.log import set_up_logging


@click.command()
@click.argument("name", required=False)
@options.debug
def models(name: str | None) -> None:
    """List the networks of the package, or print the model card of one.

    The list has the size of each, its accuracy by the official protocol, and its labels. The other
    commands take their names for RUN.
    """
    from srnn.runs.included import card_of, included, summary_of

    found = included()
    if name:
        if name not in found:
            raise InputError(f"{name}: expected one of {', '.join(found)}")
        click.echo(card_of(found[name]).read_text(encoding="utf-8"), nl=False)
        return
    width = max(map(len, found), default=0)
    for each, path in found.items():
        click.echo(f"{each:{width}} {summary_of(path)}")


@click.command()
@options.run
@click.option("--name", help="Of the network.  [default: that of RUN]")
@options.partition
@options.dataroot
@options.negatives
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write NAME.safetensors and NAME.md into DIR, ready to be passed on.",
)
@options.debug
def card(
    run: Path,
    name: str | None,
    partition: Literal["testing", "validation"],
    dataroot: Path | None,
    negatives: tuple[Path, ...],
    into: Path | None,
) -> None:
    """Measure RUN and print its model card: figures, data, limits. Takes minutes.

    Streams are measured if there are --negatives.
    """
    from srnn.instruments.card import card as make_card
    from srnn.instruments.card import public, write
    from srnn.instruments.listening.measure import Measurer
    from srnn.instruments.robustness import measure as measure_robustness
    from srnn.runs.checkpoint import checkpoint_path, load_checkpoint
    from srnn.runs.evaluation import evaluate
    from srnn.runs.official import OfficialEvaluation
    from srnn.runs.recogniser import Recogniser

    if into and not into.is_dir():
        raise InputError(f"--into {into}: expected a folder, found none")
    path = checkpoint_path(run)
    checkpoint = load_checkpoint(path)
    name = name or (path.stem if path == run else run.resolve().name)
    recogniser = Recogniser(checkpoint, str(path))
    set_up_logging(recogniser.config.logger.level)
    official = evaluate(recogniser, partition, dataroot, "official")
    assert isinstance(official, OfficialEvaluation)
    robustness = measure_robustness(recogniser, partition, dataroot)
    curves = None
    if negatives:
        measurer = Measurer(recogniser, recogniser.config.listen)
        curves = measurer.scenes(partition, dataroot, negatives)
    published = public(checkpoint)
    text = make_card(name, published, official, robustness, curves)
    if into:
        logger.info("the network is in {}", write(into, name, published, text))
    click.echo(text, nl=False)
