# SPDX-License-Identifier: MPL-2.0
"""The thresholds of the keywords for a wanted number of false alarms, kept with a run.

They lie in a file of the run directory, or in the checkpoint file that a run is passed on as.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from srnn.data.labels import keywords
from srnn.detection import ListenKeys
from srnn.errors import InputError
from srnn.files import write_text
from srnn.instruments.listening.measure import Measurer
from srnn.instruments.listening.tradeoff import THRESHOLDS, Trace, alarms
from srnn.runs.checkpoint import Checkpoint, checkpoint_path, load_checkpoint
from srnn.runs.recogniser import Recogniser
from srnn.runs.results import parse_json

FILE = "calibration.json"
"""Name of the file in the run directory."""

_LOWEST = next(n for n, each in enumerate(THRESHOLDS) if each >= 0.5)
_REACH = 10  # of `THRESHOLDS`: how far one keyword's may lie below the common one


class Calibration(BaseModel):
    """Thresholds, and what they were chosen for.

    Attributes
    ----------
    mode, interval, average, refractory
        The keys that they hold for, see `ListenKeys`.
    network : str
        SHA-256 of the checkpoint that they hold for; empty until they are saved, and in a
        checkpoint file, which is that of the network.
    false_alarms : float
        False alarms an hour that were wanted.
    thresholds : dict of str to float
        Of each keyword.
    alarms : int
        False alarms at these thresholds.
    minutes : float
        Length of the sounds without keywords.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: str
    interval: float
    average: float
    refractory: float
    false_alarms: float
    thresholds: dict[str, Annotated[float, Field(gt=0, le=1)]]
    alarms: int
    minutes: float
    network: str = ""

    @classmethod
    def of(cls, run: Path) -> Self | None:
        """Return the calibration that is kept with a run; None if there is none.

        Parameters
        ----------
        run : Path
            A run directory, or what else `checkpoint_path` takes.

        Raises
        ------
        InputError
            If what is kept is no calibration.
        """
        path = _place(run)
        if not run.is_dir():
            kept = load_checkpoint(checkpoint_path(run)).calibration
            if kept is None:
                return None
            return parse_json(cls, json.dumps(kept), str(path), "a calibration")
        if not path.is_file():
            return None
        return parse_json(cls, path.read_bytes(), str(path), "a calibration")

    def holds_for(self, keys: ListenKeys, run: Path) -> bool:
        """Return whether it was made for these keys, and for the network that is in the run."""
        return not self._different(keys) and self._is_of(run)

    def expect(self, keys: ListenKeys, run: Path, remedy: str) -> None:
        """Check that it was made for these keys, and for the network that is in the run.

        Parameters
        ----------
        keys : ListenKeys
        run : Path
            As `of` takes it.
        remedy : str
            What the user can do, for the message.

        Raises
        ------
        InputError
            If it was made for others.
        """
        for name in self._different(keys):
            raise InputError(
                f"{_place(run)}: expected a calibration for listen.{name} = {getattr(keys, name)}, "
                f"found one for {getattr(self, name)}: {remedy}"
            )
        if not self._is_of(run):
            raise InputError(
                f"{_place(run)}: expected a calibration of the network in {run}, found one of "
                f"another: {remedy}"
            )

    def _is_of(self, run: Path) -> bool:
        return not run.is_dir() or self.network == _digest(run)

    def _different(self, keys: ListenKeys) -> list[str]:
        names = ("mode", "interval", "average", "refractory")
        return [name for name in names if getattr(self, name) != getattr(keys, name)]

    def save(self, run: Path) -> Path:
        """Write it into the directory of the run whose network it is of, and return its file."""
        made = self.model_copy(update={"network": _digest(run)})
        write_text(run / FILE, made.model_dump_json(indent=1) + "\n")
        return run / FILE


def kept_with(checkpoint: Checkpoint, run: Path) -> Checkpoint:
    """Return a checkpoint with the calibration that is kept with a run, if it holds for it.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network that is in the run.
    run : Path
        As `Calibration.of` takes it.

    Raises
    ------
    InputError
        If what is kept is no calibration, or one of another network or way of listening.
    """
    calibration = Calibration.of(run)
    if calibration is None:
        return replace(checkpoint, calibration=None)
    keys = checkpoint.parsed_config().listen
    calibration.expect(keys, run, f"calibrate anew, or remove {FILE}")
    kept = calibration.model_copy(update={"network": ""}).model_dump(mode="json")
    return replace(checkpoint, calibration=kept)


def _place(run: Path) -> Path:
    """Return the file that has the calibration of a run."""
    return run / FILE if run.is_dir() else run


def _digest(run: Path) -> str:
    return hashlib.sha256(checkpoint_path(run).read_bytes()).hexdigest()


def calibrate(
    traces: Sequence[Trace], labels: Sequence[str], keys: ListenKeys, false_alarms: float
) -> Calibration:
    """Choose the lowest thresholds with at most some false alarms an hour.

    They are at least 0.5. First the lowest that all keywords can have in common; then each
    keyword's is lowered in turn, a step at a time, while the false alarms allow it.

    Parameters
    ----------
    traces : sequence of Trace
        Sounds without keywords.
    labels : sequence of str
    keys : ListenKeys
        Their threshold is not used.
    false_alarms : float > 0
        An hour, of all keywords together.

    Raises
    ------
    InputError
        If at no threshold there are so few.
    """
    words, hours = keywords(labels), sum(each.duration for each in traces) / 3600

    def count(steps: Mapping[str, int]) -> int:
        """Return the false alarms at a threshold of each keyword, an index of `THRESHOLDS`."""
        thresholds = {word: THRESHOLDS[step] for word, step in steps.items()}
        return sum(alarms(each, labels, keys, thresholds).total() for each in traces)

    common = len(THRESHOLDS)
    while common > _LOWEST and count(dict.fromkeys(words, common - 1)) <= false_alarms * hours:
        common -= 1
    if common == len(THRESHOLDS):
        raise InputError(
            f"--false-alarms: expected a number that a threshold of {THRESHOLDS[-1]} allows, found "
            f"{false_alarms:g} an hour"
        )
    steps = dict.fromkeys(words, common)
    lowering = list(words)
    while lowering:
        for word in tuple(lowering):
            lower = steps | {word: steps[word] - 1}
            if lower[word] < max(_LOWEST, common - _REACH) or count(lower) > false_alarms * hours:
                lowering.remove(word)
            else:
                steps = lower
    return Calibration(
        mode=keys.mode,
        interval=keys.interval,
        average=keys.average,
        refractory=keys.refractory,
        false_alarms=false_alarms,
        thresholds={word: THRESHOLDS[step] for word, step in steps.items()},
        alarms=count(steps),
        minutes=60 * hours,
    )


def measurer_of(run: Path, recogniser: Recogniser, keys: ListenKeys) -> Measurer:
    """Return what measures a run on streams, with its calibration if that holds for the keys.

    Raises
    ------
    InputError
        If ``calibration.json`` is damaged.
    """
    calibration = Calibration.of(run)
    fits = calibration and calibration.holds_for(keys, run)
    return Measurer(recogniser, keys, calibration.thresholds if calibration and fits else None)
