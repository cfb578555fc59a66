# SPDX-License-Identifier: MPL-2.0
"""Keys that several kinds of neurons, or neurons and readout, read: each is declared once."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, Strict

from srnn.settings import STEPS, BrokenRelation, Keys, key

NormalKey = Annotated[
    tuple[
        Annotated[float, Field(gt=0, title="mean")],
        Annotated[float, Field(ge=0, title="standard deviation")],
    ],
    Strict(False),
]
"""Mean and standard deviation of a normal distribution of time constants."""

Range = Annotated[
    tuple[
        # exp(-1 / tau) and its derivative must be normal numbers of float32.
        Annotated[float, Field(ge=0.05, le=1e6, title="low")],
        Annotated[float, Field(ge=0.05, le=1e6, title="high")],
    ],
    Strict(False),
]
"""The lowest and the highest time constant."""


class TauRangeKeys(Keys):
    """The bounds of time constants."""

    tau_range: Range = key(
        (0.1, 10_000.0),
        "range to which time constants are clamped, but for those of `adaptive_current`",
        STEPS,
        shapes_weights=True,
    )

    def broken_relations(self) -> Iterator[BrokenRelation]:
        """Yield what is wrong with the bounds."""
        yield from disordered("tau_range", self.tau_range)


class MembraneKeys(TauRangeKeys):
    """The membrane time constants."""

    tau_mem: NormalKey = key(
        (20.0, 5.0),
        "membrane time constants at initialisation: mean and standard deviation of a normal "
        "distribution",
        STEPS,
    )

    def broken_relations(self) -> Iterator[BrokenRelation]:
        """Yield what is wrong with the mean."""
        yield from outside("tau_mem", self.tau_mem, self.tau_range)


class ThresholdKeys(Keys):
    """The firing threshold."""

    threshold: float = key(
        1.6,
        "firing threshold; of `adaptive_threshold` the baseline, without adaptation",
        gt=0,
        le=1000,
        shapes_weights=True,
    )


def disordered(name: str, bounds: tuple[float, float]) -> Iterator[BrokenRelation]:
    """Yield what is wrong with a range of the key ``srnn.<name>``."""
    if bounds[0] >= bounds[1]:
        yield BrokenRelation((f"srnn.{name}",), "low < high", bounds)


def outside(
    name: str, distribution: tuple[float, float], bounds: tuple[float, float]
) -> Iterator[BrokenRelation]:
    """Yield what is wrong with a mean of the key ``srnn.<name>`` that is not within its bounds."""
    (mean, _), (low, high) = distribution, bounds
    if low < high and not low <= mean <= high:
        yield BrokenRelation(
            (f"srnn.{name}", "srnn.tau_range"),
            f"a mean within srnn.tau_range = [{low}, {high}]",
            mean,
        )
