# SPDX-License-Identifier: MPL-2.0
"""The exceptions whose text is all that a user needs to read."""


class InputError(Exception):
    """The user's input is wrong: a configuration key, a file, a recording, a data set.

    Its text is what the user reads: each line names the key or file, says what was expected and
    what was found. The command line prints it without a traceback and exits with code 2.
    """


class DivergenceError(Exception):
    """Training has led to numbers that are not finite; the command line exits with code 1."""
