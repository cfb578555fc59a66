# SPDX-License-Identifier: MPL-2.0
"""Exceptions whose text is complete for the user: no traceback is needed."""


class InputError(Exception):
    """The user's input is wrong: a configuration key, a file, a recording, a data set.

    Its text is what the user reads: each line names the key or file, what was expected and
    what was found. The command line prints it without a traceback and exits with code 2.

    Parameters
    ----------
    *problems : str
        A line each; what would not print in it, such as a line break in a file's name, is escaped.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(map(printable, problems)))


class DivergenceError(Exception):
    """Training has diverged: numbers are not finite or losses beyond limits; exit code 1."""


class LostProcessError(Exception):
    """Another process of a job of several has ended; exit code 1."""


def printable(text: object) -> str:
    """Return ``text`` on one line, with unprintable characters escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text)
    )
