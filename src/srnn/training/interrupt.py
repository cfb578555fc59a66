# SPDX-License-Identifier: MPL-2.0
"""Signals to stop: training stops after the current step, with its state saved.

Ctrl-C and SIGTERM, and what clusters send before they kill: SIGUSR1, SIGUSR2, SIGHUP, SIGXCPU.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Those that a system has; Windows has but the first two and the last.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGBREAK")
_ALWAYS = (signal.SIGINT, signal.SIGTERM)


def stop_signals() -> list[signal.Signals]:
    """Return the signals that ask to stop; none that is ignored, as nohup has SIGHUP ignored."""
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return [
        number
        for number in numbers
        if number in _ALWAYS or signal.getsignal(number) != signal.SIG_IGN
    ]


class Interrupted(BaseException):
    """A signal stopped the work; training has saved its state, if there was one.

    Attributes
    ----------
    signal : int
        The signal's number; the process leaves with 128 + that.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.signal = number


class StopRequest:
    """A request to stop, made by a signal."""

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
        # Clusters send several signals, or one repeatedly; only a second Ctrl-C ends the process
        # at once.
        if self._signal is not None and number == signal.SIGINT:
            os._exit(128 + number)
        if self._signal is None:
            self._signal = number


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within the context, let signals make a request; Ctrl-C after one ends the process.

    Python delivers signals to the main thread only; in another thread none makes a request.
    """
    request = StopRequest()
    in_main_thread = threading.current_thread() is threading.main_thread()
    numbers = stop_signals() if in_main_thread else []
    handlers = {number: signal.signal(number, request._remember) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
    request.check()  # one that came too late for those who looked
