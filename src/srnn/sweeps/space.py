# SPDX-License-Identifier: MPL-2.0
"""What a sweep varies: the values of a key, as a list or as a range."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from srnn.config import schemas, toml_value
from srnn.settings import BrokenRelation, Keys

if TYPE_CHECKING:
    from optuna import Trial

_MOST_STEPS = 100_000  # of a range that a grid has

Number = int | float


class RangeKeys(Keys):
    """The inline table of a range."""

    low: Number = Field(json_schema_extra={"noun": "number"})
    high: Number = Field(json_schema_extra={"noun": "number"})
    log: bool = False
    step: Number | None = Field(None, gt=0)

    def broken_relations(self) -> Iterator[BrokenRelation]:
        """Yield what does not go together."""
        if self.low > self.high:
            yield BrokenRelation(("high",), f"a number >= low = {self.low}", self.high)
        if self.log and self.low <= 0:
            yield BrokenRelation(("low",), "a number > 0 beside log = true", self.low)
        if self.log and self.step is not None:
            yield BrokenRelation(("step",), "none beside log = true", self.step)


@dataclass(frozen=True)
class Choices:
    """A list of values.

    Optuna stores numbers and text only, and a value may be a list: it stores the TOML of each.

    Attributes
    ----------
    values : dict
        The values by their TOML.
    """

    values: dict[str, Any]

    def draw(self, trial: "Trial", name: str) -> Any:
        """Draw what Optuna has of a value, or return what the trial has drawn already."""
        return trial.suggest_categorical(name, tuple(self.values))

    def grid(self) -> Sequence[str]:
        """Return all values, as Optuna has them."""
        return tuple(self.values)

    def decoded(self, drawn: Any) -> Any:
        """Return the value of a key from what Optuna has drawn."""
        return self.values[drawn]

    def __str__(self) -> str:
        return f"[{', '.join(self.values)}]"


@dataclass(frozen=True)
class Range:
    """A uniform or log-uniform distribution of integers or of floating-point numbers."""

    low: Number
    high: Number
    log: bool
    step: Number | None
    is_integer: bool

    def draw(self, trial: "Trial", name: str) -> Any:
        """Draw a value, or return what the trial has drawn already."""
        if self.is_integer:
            step = 1 if self.step is None else int(self.step)
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log, step=step)
        low, high = float(self.low), float(self.high)
        return trial.suggest_float(name, low, high, log=self.log, step=self.step)

    def grid(self) -> Sequence[Number] | None:
        """Return all values, or None if there are too many."""
        step = 1 if self.is_integer and self.step is None and not self.log else self.step
        if step is None or (self.high - self.low) / step > _MOST_STEPS:
            return None
        count = int((self.high - self.low) / step + 1e-9) + 1
        return [self.low + index * step for index in range(count)]

    def decoded(self, drawn: Any) -> Any:
        """Return the value of a key from what Optuna has drawn."""
        return drawn

    def __str__(self) -> str:
        given: dict[str, Any] = {"low": self.low, "high": self.high, "log": self.log}
        return toml_value(given if self.step is None else {**given, "step": self.step})


Varied = Choices | Range


def is_integer(name: str, keys: RangeKeys) -> bool:
    """Whether a range of a key (``table.key``) is one of integers: all of its numbers are."""
    table, _, key = name.partition(".")
    schema = schemas()[table][key]
    admits = any(option.get("type") == "integer" for option in schema.get("anyOf", [schema]))
    given = [keys.low, keys.high, *([] if keys.step is None else [keys.step])]
    return admits and all(isinstance(number, int) for number in given)
