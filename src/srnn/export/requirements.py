# SPDX-License-Identifier: MPL-2.0
"""Checks before an export: of the file to write, and of the normalisation of the network."""

from pathlib import Path

from torch import Tensor

from srnn.errors import InputError
from srnn.features.normaliser import Normaliser


def expect_file(output: Path, suffix: str) -> None:
    """Check that a file can lie at ``output``.

    Raises
    ------
    InputError
        If its name has another suffix, it is a folder, or its folder does not exist.
    """
    if output.suffix != suffix:
        raise InputError(f"--output {output}: expected a name that ends in {suffix}")
    if output.is_dir():
        raise InputError(f"--output {output}: expected a file, found a folder")
    if not output.parent.is_dir():
        raise InputError(f"--output {output}: expected a folder at {output.parent}, found none")


def scale_of(normaliser: Normaliser, kind: str) -> Tensor:
    """Return the standard deviation (C, M) that features are divided by; ``kind`` as in ``--to``.

    Raises
    ------
    InputError
        If the normalisation depends on the batch.
    """
    if normaliser.scale is None:
        raise InputError(
            f'data.normalisation: --to {kind} expects "standardise" or "dataset", found "batch", '
            "which divides by the standard deviation of a batch"
        )
    return normaliser.scale
