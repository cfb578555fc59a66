# SPDX-License-Identifier: MPL-2.0
"""Reports of listening: detections on stdout, a live line on a terminal, a summary in the log."""

import itertools
import json
import logging
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import click
import numpy as np
import soundfile
from torch import Tensor
from tqdm import tqdm

from srnn.bars import progress_bar
from srnn.detection import Detection
from srnn.errors import InputError, printable
from srnn.instruments.listening.session import Moment, Session

_METER = 20  # characters
_QUIETEST = -60.0  # dB of full scale: the left end of the meter

_log = logging.getLogger(__name__)


class Reporter:
    """Follows a session, and logs its summary at the end, however it ends.

    Parameters
    ----------
    session : Session
    name : str
        Of the recording, or of where the sound comes from.
    sample_rate : int
        Of the samples (Hz).
    save : Path, optional
        The folder that receives the sound before each detection; made if missing.
    as_json : bool
        Whether a detection is a JSON object.

    Raises
    ------
    InputError
        If the folder cannot be made.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        sample_rate: int,
        save: Path | None,
        as_json: bool,
    ) -> None:
        self._session = session
        self._name = printable(name)
        self._stem = Path(name).stem
        self._rate = sample_rate
        self._save = save
        self._as_json = as_json
        self._failed = False
        if save:
            try:
                save.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                found = f"expected a folder that can be made, found {save} ({error.strerror})"
                raise InputError(f"--save: {found}") from error

    def __enter__(self) -> Self:
        """Show the live line, if stderr is a terminal."""
        self._line = progress_bar(bar_format="{desc}", dynamic_ncols=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the live line and log the summary."""
        self._line.close()
        if self._session.duration or not self._failed:
            _log.info("%s: %s", self._name, self._session.summary())

    def follow(self, sound: Iterable[Tensor]) -> None:
        """Listen to blocks of samples, and report."""
        for moment in self._session.listen(sound):
            for detection in moment.detections:
                with tqdm.external_write_mode(sys.stdout):
                    self._report(detection)
            if not self._line.disable:
                self._line.set_description_str(_live(self._session.duration, moment))

    def fail(self, error: InputError) -> None:
        """Report why the sound could not be read, or not to its end."""
        self._failed = True
        if self._as_json:
            click.echo(json.dumps({"file": self._name, "error": str(error)}))
        else:
            click.echo(str(error), err=True)

    def _report(self, detection: Detection) -> None:
        if self._as_json:
            click.echo(json.dumps({"file": self._name, **detection._asdict()}))
        else:
            time, word, confidence = detection
            click.echo(f"{self._name}: {time:.2f} s: {word} {confidence:.1%}")
        if self._save:
            samples = self._session.sound_before(detection.time).numpy()
            file = self._unused(f"{self._stem}-{detection.time:09.2f}-{detection.word}")
            soundfile.write(file, np.clip(samples, -1, 1), self._rate)

    def _unused(self, stem: str) -> Path:
        """Return a file that is not there yet: two recordings may have the same name."""
        assert self._save
        names = (f"{stem}{f'-{number}' if number > 1 else ''}.wav" for number in itertools.count(1))
        return next(file for name in names if not (file := self._save / name).exists())


def _live(duration: float, moment: Moment) -> str:
    """Return time, level and the most probable label, within 80 columns."""
    decibels = 20 * math.log10(moment.peak) if moment.peak else _QUIETEST
    full = round(_METER * min(1.0, max(0.0, 1 - decibels / _QUIETEST)))
    meter = "#" * full + "." * (_METER - full)
    minutes, seconds = divmod(int(duration), 60)
    label = f"{printable(moment.label)[:30]} {moment.probability:.0%}" if moment.label else ""
    return f"{minutes:3d}:{seconds:02d} [{meter}] {label}"
