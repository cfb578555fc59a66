# SPDX-License-Identifier: MPL-2.0
"""The live line: the state of the current epoch, on a terminal, below the log."""

import math
import time
from collections.abc import Sequence
from typing import NamedTuple, Self

from tqdm import tqdm

from srnn.bars import progress_bar
from srnn.training.display import duration, loss_text, percent

_REFRESH = 0.2  # time between two states (s)
_NARROWEST_BAR = 10  # columns


class LiveState(NamedTuple):
    """The state of an epoch. None, or NaN: not known yet.

    Attributes
    ----------
    loss, accuracy : float, or None
        Means over the training clips of the epoch so far.
    firing_rate : float
        Spikes per neuron and time step of a recent batch, all hidden layers together.
    clips_per_second : float, or None
    left : float, or None
        Estimated time left for the run (s).
    """

    loss: float | None = None
    accuracy: float | None = None
    firing_rate: float = math.nan
    clips_per_second: float | None = None
    left: float | None = None

    def parts(self) -> list[str]:
        """Return the texts of what is known, the most important first."""
        texts = (
            None if self.loss is None else f"loss {loss_text(self.loss)}",
            None if self.accuracy is None else f"acc. {percent(self.accuracy)}",
            None if self.left is None else f"{duration(self.left)} left",
            None if math.isnan(self.firing_rate) else f"firing {self.firing_rate:.3f}",
            None if self.clips_per_second is None else f"{self.clips_per_second:.0f} clips/s",
        )
        return [text for text in texts if text]


class LiveLine:
    """A line on stderr that is redrawn in place; nothing where stderr is no terminal.

    It is a bar of tqdm, so that the log (see `srnn.log`) is written above it.

    Parameters
    ----------
    epoch : str
        The number of the epoch, see `srnn.training.display.epoch_of`.
    steps : int
        Of an epoch.
    step : int
        Those that are done.

    Attributes
    ----------
    is_shown : bool
        Whether stderr is a terminal.
    """

    def __init__(self, epoch: str, steps: int, step: int) -> None:
        self._head = f"epoch {epoch}"
        self._bar = progress_bar(
            total=steps,
            initial=step,
            bar_format="{desc}",
            desc=self._head,
            dynamic_ncols=True,
        )
        self.is_shown = not self._bar.disable
        self._shown = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def is_due(self) -> bool:
        """Whether it is time to show another state."""
        return self.is_shown and time.monotonic() - self._shown >= _REFRESH

    def show(self, step: int, state: LiveState) -> None:
        """Show the state after ``step`` steps of the epoch."""
        self._bar.n = step
        columns = self._bar.format_dict["ncols"]
        width = columns if columns and columns > 0 else 80  # -1: the terminal says that it has none
        total, ascii_only = self._bar.total, self._bar.ascii
        text = live_line(self._head, step, total, state.parts(), width - 1, ascii_only=ascii_only)
        # The cursor waits at the left, so that the ^C of a terminal is overwritten, too.
        self._bar.set_description_str(f"{text:<{width - 1}}\r")
        self._shown = time.monotonic()


def live_line(
    head: str, step: int, steps: int, parts: Sequence[str], width: int, *, ascii_only: bool = False
) -> str:
    """Return a line of at most ``width`` columns.

    Of ``parts``, those at the end are left out if there is no room for them. Where there is room
    left, the line has the percentage of the steps, and a bar.
    """
    body = ", ".join(parts)
    while parts and len(head) + len(", ") + len(body) > width:
        parts = parts[:-1]
        body = ", ".join(parts)
    done = f"{head}{step / steps:5.0%}"
    room = width - len(done) - len(" ") - len(body)
    if room < 0:
        return ", ".join([head, *parts])[:width]
    if room < len("||") + _NARROWEST_BAR:
        return f"{done} {body}".rstrip()
    form = f"{done}|{{bar}}| {body}"
    bar = tqdm.format_meter(step, steps, 0.0, ncols=width, ascii=ascii_only, bar_format=form)
    return str(bar).rstrip()
