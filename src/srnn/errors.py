# SPDX-License-Identifier: MPL-2.0
"""The one exception that means "what the user gave us is wrong"."""


class InputError(Exception):
    """The user's input is wrong: a configuration key, a file, a recording, a data set.

    Its text is what the user reads: each line names the key or file, says what was expected and
    what was found. The command line prints it without a traceback and exits with code 2.
    """
