# SPDX-License-Identifier: MPL-2.0
"""Helpers by which components declare configuration keys.

A component declares its keys as the fields of a `Keys` class and is constructed from an instance of
it. `srnn.config` collects these classes into the tables of the TOML file. A field states everything
about its key: type, range, default, meaning, unit, and how a change of it affects a run.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MANY = 1_000_000
"""Upper limit of counts, far below overflow."""

STEPS = "time steps of `mel.hop`"
"""The unit of time constants and masks."""


class BrokenRelation(NamedTuple):
    """Legal values that do not go together.

    Attributes
    ----------
    keys : tuple of str
        ``table.key`` of each; the first is named in the error.
    expected : str
        What was expected of the first, as what follows "expected".
    found : any
        Its value.
    """

    keys: tuple[str, ...]
    expected: str
    found: Any


class Keys(BaseModel):
    """Keys of one component. Values are validated strictly: no number is made of a string."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    def broken_relations(self) -> Iterator[BrokenRelation]:
        """Yield the broken relations between the keys of this component; `srnn.config` calls it.

        Every class of a table's bases may define it for its own keys, without calling ``super``.
        """
        yield from ()


def key(
    default: Any,
    meaning: str,
    unit: str = "",
    *,
    shapes_weights: bool = False,
    free_on_resume: bool = False,
    fixed_if: Mapping[str, Any] | None = None,
    idle_if: Mapping[str, Any] | None = None,
    idle_unless: Mapping[str, Any] | None = None,
    **limits: Any,
) -> Any:
    """Declare a key: the field of a `Keys` class.

    Parameters
    ----------
    default : any
    meaning : str
        For the key reference: the standard term first.
    unit : str
        Of the value; empty where it has none.
    shapes_weights : bool
        Whether the key decides which weights or features a network has, or what they mean: weights
        of another run (``--init``) must have been trained with the same value.
    free_on_resume : bool
        Whether the key may change when a run is resumed, because no epoch depends on it.
    fixed_if : mapping of ``table.key`` to value
        Values of other keys beside which it may not.
    idle_if, idle_unless : mapping of ``table.key`` to value
        Values of other keys beside which this one has no effect, or without which it has none.
        A tuple means any of its values.
    **limits
        What `pydantic.Field` takes: ``ge``, ``gt``, ``le``, ``lt``.
    """
    extra: dict[str, Any] = {
        "unit": unit,
        "shapes_weights": shapes_weights,
        "free_on_resume": free_on_resume,
        "fixed_if": dict(fixed_if or {}),
        "idle_if": dict(idle_if or {}),
        "idle_unless": dict(idle_unless or {}),
    }
    return Field(default, description=meaning, json_schema_extra=extra, **limits)


def noun(text: str) -> Any:
    """Name the format of a pattern, for error messages."""
    return Field(json_schema_extra={"noun": text})


TextLine = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$"),
    noun("non-empty line of text"),
]
