# SPDX-License-Identifier: MPL-2.0
"""The process around a command: its streams, signals, errors and exit code."""

import contextlib
import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from loguru import logger

from srnn.errors import DivergenceError, InputError, LostProcessError
from srnn.log import set_up_logging
from srnn.training.interrupt import Interrupted, stop_signals


def exit_code(command: click.Command, arguments: Sequence[str]) -> int:
    """Run a command and return the exit code of the process.

    0 when all is done; 2 when the user's input is wrong; 1 when anything else failed; 128 and the
    number of the signal that stopped it: 130 after Ctrl-C, 143 after SIGTERM.
    """
    set_up_logging("INFO")
    for number in stop_signals():
        signal.signal(number, _interrupt)
    debug = "--debug" in arguments
    try:
        code = command.main(list(arguments), prog_name="srnn", standalone_mode=False)
    except (InputError, click.ClickException) as error:
        text = _misuse(error) if isinstance(error, click.ClickException) else str(error)
        return _complain(text, 2, debug)
    except Interrupted as error:
        return _complain(str(error), 128 + error.signal, debug)
    except (DivergenceError, LostProcessError) as error:
        return _complain(str(error), 1, debug)
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            return _complain(f"{error.filename}: {error.strerror}", 2, debug)
        advice = "" if debug else " (--debug shows where)"
        return _complain(f"{type(error).__name__}: {error}{advice}", 1, debug)
    return int(code or 0)


def _misuse(error: click.ClickException) -> str:
    """Return the error of a command line, with the usage if an argument is missing or wrong.

    Without any argument it is the help.
    """
    text = error.format_message()
    is_argument = isinstance(error, click.MissingParameter) or type(error) is click.UsageError
    if is_argument and isinstance(error, click.UsageError) and error.ctx:
        usage = " ".join(error.ctx.get_usage().split())
        return f"{text.rstrip('.')}; {usage[0].lower()}{usage[1:]}"
    return text


def _complain(text: str, code: int, debug: bool) -> int:
    with contextlib.suppress(OSError):  # `tee` ends at Ctrl-C, too: nothing reads stderr then
        if debug:
            traceback.print_exc()
        click.echo(text, err=True)
    logger.bind(file_only=True).error(text)
    return code


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    if number != signal.SIGINT:  # clusters send it again while the process ends
        signal.signal(number, signal.SIG_IGN)
    raise Interrupted(number)


def open_standard_streams() -> None:
    """Open those of stdin, stdout and stderr that are closed (as by ``2>&-``).

    Otherwise the next file opened gets the descriptor, and messages are written into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free descriptor is this one; child processes inherit it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 (stays open)
            setattr(sys, name, stream)
    if isinstance(sys.stdout, io.TextIOWrapper):  # terminals without these letters
        sys.stdout.reconfigure(errors="backslashreplace")
