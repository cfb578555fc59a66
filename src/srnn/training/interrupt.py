# SPDX-License-Identifier: MPL-2.0
"""Ctrl-C and SIGTERM: asked once, training stops at the next step with its state saved."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """A signal ended the work; what was to be saved is saved.

    Attributes
    ----------
    signal : int
        The signal's number; the process leaves with 128 + that.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.signal = number


class StopRequest:
    """Remembers that a signal asked to stop."""

    def __init__(self) -> None:
        self._signal: int | None = None

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self._signal is not None

    def check(self) -> None:
        """Raise `Interrupted` if a signal has come."""
        if self._signal is not None:
            raise Interrupted(self._signal)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if self._signal is not None:
            os._exit(128 + number)  # asked twice: leave at once, whatever is going on
        self._signal = number


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within the context, let Ctrl-C and SIGTERM make a request; a second one ends the process."""
    request = StopRequest()
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = {number: signal.signal(number, request._remember) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    request.check()  # one that came too late for those who looked
