# SPDX-License-Identifier: MPL-2.0
"""Logging to stderr, beside a progress bar, and to a file."""

import logging
import sys
import warnings
from pathlib import Path
from typing import Literal, TextIO

from loguru import logger
from tqdm import tqdm

from srnn.settings import Keys, key


class LoggerKeys(Keys):
    """The log."""

    level: Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"] = key(
        "INFO", "minimum level of logged messages", free_on_resume=True
    )
    tensorboard: bool = key(
        False,
        "whether curves, histograms and pictures are written for TensorBoard, into the folder "
        "`tensorboard` of the run; needs the package of that name",
        free_on_resume=True,
    )


class _LogFile:
    """The log on disk. If writing fails, logging to it ends and the run continues."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_writable = True

    def write(self, text: str) -> None:
        if not self.is_writable:
            return
        try:
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError as error:
            self.is_writable = False
            # The logger calls this method: it cannot be used here.
            tqdm.write(
                f"{self.path} ends here: it cannot be written ({error.strerror})", sys.stderr
            )


class _ToLoguru(logging.Handler):
    """Passes records of the standard library on to loguru.

    A record with ``extra={"file_only": True}`` goes to the file alone.
    """

    def emit(self, record: logging.LogRecord) -> None:
        target = logger.bind(file_only=True) if getattr(record, "file_only", False) else logger
        target.opt(exception=record.exc_info).log(record.levelname, record.getMessage())


def set_up_logging(level: str, file: Path | None = None, *, terminal: str | None = None) -> None:
    """Log to stderr, beside a progress bar if there is one, and to ``file``.

    ``terminal`` is another level for stderr.
    """
    logger.remove()
    logger.add(
        lambda text: tqdm.write(text, file=sys.stderr, end=""),
        level=terminal or level,
        format="<green>{time:HH:mm:ss}</green> <level>{level:<7}</level> {message}",
        colorize=sys.stderr is not None and sys.stderr.isatty(),
        filter=lambda record: "file_only" not in record["extra"],
    )
    if file:
        logger.add(
            _LogFile(file).write,
            level=level,
            format="{time:YYYY-MM-DD HH:mm:ss} {level:<7} {message}",
        )
    source = logging.getLogger("srnn")
    source.handlers = [_ToLoguru()]
    source.setLevel(logging.DEBUG)
    source.propagate = False
    warnings.showwarning = _log_warning


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log a warning of a library on one line, without file name and line number."""
    logger.warning("{}", " ".join(str(message).split()))
