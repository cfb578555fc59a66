# SPDX-License-Identifier: MPL-2.0
"""``srnn models`` and ``srnn card``: the networks of the package, and model cards."""

from pathlib import Path
from typing import Literal

import click
from loguru import logger

from srnn.commands import options
from srnn.errors import InputError, printable
from srnn.log import set_up_logging


@click.command()
@click.argument("name", required=False, metavar="[NAME | FILE]")
@options.debug
def models(name: str | None) -> None:
    """List the networks of the package, or print the model card of one, or of FILE.srnn.

    The list has the size of each, its accuracy by the official protocol, and its labels. The other
    commands take their names for RUN.
    """
    from srnn.runs.included import card_of, included, summary_of

    found = included()
    if name:
        if name not in found:
            expected = f"one of {', '.join(found)}, or a file with a model card"
            click.echo(_card_in(Path(name), expected))
            return
        click.echo(card_of(found[name]).read_text(encoding="utf-8"), nl=False)
        return
    width = max(map(len, found), default=0)
    for each, path in found.items():
        click.echo(f"{each:{width}} {summary_of(path)}")


def _card_in(file: Path, expected: str) -> str:
    """Return the card in a checkpoint file, which may be anybody's."""
    from srnn.runs.checkpoint import load_checkpoint

    card = load_checkpoint(file).card if file.is_file() else ""
    if not card:
        raise InputError(f"{file}: expected {expected}, found none")
    return "\n".join(map(printable, card.splitlines()))


@click.command()
@options.run
@click.option("--name", help="Of the network.  [default: that of RUN]")
@options.partition
@options.dataroot
@options.negatives
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Write the network into PATH, to be passed on: a file NAME.srnn, with the card and the "
    "thresholds of `srnn calibrate` in it; or a folder, for NAME.safetensors and NAME.md.",
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
    from srnn.instruments.card import SHARED, expect_place, public, write
    from srnn.instruments.card import card as make_card
    from srnn.instruments.listening.calibration import kept_with
    from srnn.instruments.listening.measure import Measurer
    from srnn.instruments.robustness import measure as measure_robustness
    from srnn.runs.checkpoint import checkpoint_path, load_checkpoint
    from srnn.runs.evaluation import evaluate
    from srnn.runs.official import OfficialEvaluation
    from srnn.runs.recogniser import load

    path = checkpoint_path(run)
    published = public(load_checkpoint(path))
    if into:
        expect_place(into)
        published = kept_with(published, run)
    if not name and into and into.suffix == SHARED:
        name = into.name
    name = name or (path.stem if path == run else run.resolve().name)
    recogniser = load(run)
    set_up_logging(recogniser.config.logger.level)
    official = evaluate(recogniser, partition, dataroot, "official")
    assert isinstance(official, OfficialEvaluation)
    robustness = measure_robustness(recogniser, partition, dataroot)
    curves = None
    if negatives:
        measurer = Measurer(recogniser, recogniser.config.listen)
        curves = measurer.scenes(partition, dataroot, negatives)
    text = make_card(name, published, official, robustness, curves)
    if into:
        logger.info("the network is in {}", write(into, name, published, text))
    click.echo(text, nl=False)
