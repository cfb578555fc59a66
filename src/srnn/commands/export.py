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
    from srnn.export.clips import Chosen
    from srnn.runs.recogniser import Recogniser


@dataclass(frozen=True)
class _Asked:
    """The options of the command."""

    run: Path
    kind: str
    output: Path
    weights: Literal["float32", "int8"] | None
    features: bool | None
    dataroot: Path | None
    clips: tuple[Path, ...]
    count: int

    @property
    def with_features(self) -> bool:
        """Whether the result takes samples: features are part of it."""
        return self.features is not False

    def chosen(self) -> "Chosen":
        """Return the clips that the result is compared on."""
        from srnn.export.clips import Chosen

        return Chosen(self.dataroot, self.clips, self.count)


def _to_c(recogniser: "Recogniser", asked: _Asked) -> str:
    from srnn.export.c import export_c

    weights = asked.weights or "float32"
    return export_c(recogniser, asked.output, weights=weights, chosen=asked.chosen())


def _to_onnx(recogniser: "Recogniser", asked: _Asked) -> str:
    from srnn.export.onnx import export_onnx

    return export_onnx(
        recogniser, asked.output, with_features=asked.with_features, chosen=asked.chosen()
    )


def _to_torch(recogniser: "Recogniser", asked: _Asked) -> str:
    from srnn.export.torch import export_torch

    return export_torch(
        recogniser, asked.output, with_features=asked.with_features, chosen=asked.chosen()
    )


def _to_nir(recogniser: "Recogniser", asked: _Asked) -> str:
    from srnn.export.nir import export_nir

    return export_nir(recogniser, asked.output, chosen=asked.chosen())


_KINDS: dict[str, Callable[["Recogniser", _Asked], str]] = {
    "c": _to_c,
    "onnx": _to_onnx,
    "torch": _to_torch,
    "nir": _to_nir,
}

# The kinds that each option is for, where it is not for all.
_OPTIONS = {"weights": ("c",), "features": ("onnx", "torch")}


@click.command()
@options.run
@click.option("--to", "kind", type=click.Choice(list(_KINDS)), required=True, help="What to make.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="PATH",
    help="Where to write it: for c a folder, else a file NAME.onnx, .pt2 or .nir.",
)
@click.option(
    "--weights",
    type=click.Choice(["float32", "int8"]),
    help="c: how weights are stored; 8-bit integers have a scale for each neuron.  "
    "[default: float32]",
)
@click.option(
    "--features/--no-features",
    default=None,
    help="onnx, torch: whether it takes samples, or features that somebody else computes.  "
    "[default: --features]",
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

    onnx: NAME.onnx of whole clips, and NAME-step.onnx of one time step, its state an input and an
    output.

    torch: a program of torch.export, of whole clips.

    nir: a graph of the Neuromorphic Intermediate Representation, from features to the potentials of
    the readout.
    """
    asked = _Asked(**given)
    for option, kinds in _OPTIONS.items():
        value = getattr(asked, option)
        if value is not None and asked.kind not in kinds:
            given_as = f"no-{option}" if value is False else option
            expected = f"expected --to {' or '.join(kinds)} with it, found --to {asked.kind}"
            raise InputError(f"--{given_as}: {expected}")
    from srnn.runs.recogniser import load

    recogniser = load(asked.run)
    set_up_logging(recogniser.config.logger.level)
    click.echo(_KINDS[asked.kind](recogniser, asked))
